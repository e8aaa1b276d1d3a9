"""The broker policy: users and permissions of the servers, compiled from the ACL file."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from securetransport.core.base.names import ServiceId
from securetransport.core.formats.body import Document, Flag, Text


class UserPermissions(Document):
    """One NATS user of the compiled policy.

    Attributes:
        user: The URI SAN that maps to this user.
        service: The service it stands for.
        account: ``APP`` or ``SYS``.
        publish: Subjects it may publish to; nothing else.
        subscribe: Subjects it may subscribe to; nothing else.
        allow_responses: Whether it may answer requests on reply subjects it was sent.
    """

    user: Annotated[str, Field(strict=True, max_length=1024)]
    service: ServiceId
    account: Literal["APP", "SYS"]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    allow_responses: Flag = False


class BrokerPolicy(Document):
    """Users and permissions of the servers, compiled from the ACL file.

    Attributes:
        acl_digest: SHA-256 of the ACL body it was compiled from, hex.
        users: By rising user name.
    """

    acl_digest: Text
    users: tuple[UserPermissions, ...]
