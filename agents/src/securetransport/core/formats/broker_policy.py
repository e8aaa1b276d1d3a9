"""The broker policy: users and permissions of the servers, compiled from the ACL file."""

from __future__ import annotations

from typing import Literal

from securetransport.core.base.names import ServiceId
from securetransport.core.formats.body import Document


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

    user: str
    service: ServiceId
    account: Literal["APP", "SYS"]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    allow_responses: bool = False


class BrokerPolicy(Document):
    """Users and permissions of the servers, compiled from the ACL file.

    Attributes:
        acl_digest: SHA-256 of the ACL body it was compiled from, hex.
        users: By rising user name.
    """

    acl_digest: str
    users: tuple[UserPermissions, ...]
