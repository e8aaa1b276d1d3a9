"""Users of the in-memory servers: who a certificate stands for, and what that user may do.

Rules, as the platform's servers keep them (``verify_and_map``):

1. A certificate must be signed by an issuer in the server's trust set and be valid now.
2. Its URI names are tried in their order; the first that is a user is it.
3. Permissions are allow lists; an empty list allows nothing.
4. With ``allow_responses`` the reply subject of a message that it received may be published to,
   once, within a minute. A reload makes the server forget these.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable
from typing import Final, Literal

from securetransport.core.acl.subjects import contains
from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    SecureTransportError,
    SignatureError,
)
from securetransport.core.base.names import ServiceId
from securetransport.core.crypto import x509
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.ports.bus import Credentials
from securetransport.core.ports.clock import Clock
from securetransport.core.ports.leaf_certificates import TlsIdentity

_RESPONSE_SECONDS: Final = 60.0
_MAX_RESPONSES: Final = 10_000
_EVERYTHING: Final = (">",)


class Permissions:
    """What one connection may do.

    Args:
        user: Whose connection it is.
    """

    def __init__(self, user: UserPermissions) -> None:
        self.user = user
        self._responses: OrderedDict[str, float] = OrderedDict()

    def may_publish(self, subject: str) -> bool:
        """Tell whether it may publish there; a response that it may give is used up."""
        if _allows(self.user.publish, subject):
            return True
        until = self._responses.pop(subject, None)
        return until is not None and asyncio.get_running_loop().time() < until

    def may_subscribe(self, pattern: str) -> bool:
        """Tell whether it may subscribe."""
        return _allows(self.user.subscribe, pattern)

    def received(self, reply: str) -> None:
        """Note that it was asked something (rule 4)."""
        if reply and self.user.allow_responses:
            self._responses[reply] = asyncio.get_running_loop().time() + _RESPONSE_SECONDS
            if len(self._responses) > _MAX_RESPONSES:
                self._responses.popitem(last=False)


def _allows(patterns: Iterable[str], subject: str) -> bool:
    return any(contains(pattern, subject) for pattern in patterns)


def open_user(user: str, service: str, account: Literal["APP", "SYS"] = "APP") -> UserPermissions:
    """Return a user who may do everything in its account."""
    return UserPermissions(
        user=user,
        service=ServiceId(service),
        account=account,
        publish=_EVERYTHING,
        subscribe=_EVERYTHING,
        allow_responses=True,
    )


def find_user(policy: BrokerPolicy | None, identity: TlsIdentity) -> UserPermissions:
    """Return the user that a certificate stands for (rule 2).

    Args:
        policy: The users; ``None`` makes everybody a user who may do everything.
        identity: What was presented.

    Raises:
        PermissionDeniedError: None.
    """
    uris = x509.describe(x509.pem_to_der(identity.certificate)).uri_sans
    if policy is None:
        uri = next(iter(uris), "")
        return open_user(uri, uri.rsplit("/", 1)[-1])
    known = {user.user: user for user in policy.users}
    found = next((known[uri] for uri in uris if uri in known), None)
    if found is None:
        raise PermissionDeniedError("connect: refused by the server", reason=VIOLATION)
    return found


def user_again(policy: BrokerPolicy | None, user: UserPermissions) -> UserPermissions | None:
    """Return what a live connection may do after a reload, ``None`` when its user is gone."""
    if policy is None:
        return user
    return next((known for known in policy.users if known.user == user.user), None)


VIOLATION: Final = "nats: 'Authorization Violation'"
"""What a server says to a certificate that is no user."""


def check_usable(credentials: Credentials) -> None:
    """Return when a client could begin a handshake with these.

    Raises:
        SecureTransportError: No anchor, or a key that does not fit its certificate.
    """
    if not credentials.anchors:
        raise SecureTransportError("no trust anchors; refusing to connect without any")
    if credentials.identity is not None:
        x509.tls_identity(credentials.identity.certificate, credentials.identity.private_key)


def check_handshake(
    credentials: Credentials,
    *,
    served: TlsIdentity | None,
    trust: tuple[bytes, ...] | None,
    clock: Clock,
) -> TlsIdentity:
    """Return the client's certificate when both sides accept each other's (rule 1).

    Args:
        credentials: The client's.
        served: The server's certificate; ``None`` leaves it unchecked.
        trust: DER of the issuers that the server accepts; ``None`` accepts any.
        clock: The server's.

    Raises:
        BusUnavailableError: One of them does not, in the words of TLS.
    """
    if served is not None and not _is_signed(served, credentials.anchors):
        raise BusUnavailableError("connect: bus not available", reason=_UNTRUSTED_SERVER)
    identity = credentials.identity
    if identity is None:
        raise BusUnavailableError("connect: bus not available", reason="tls: certificate required")
    if trust is not None:
        if not _is_signed(identity, trust):
            raise BusUnavailableError("connect: bus not available", reason=_UNKNOWN_ISSUER)
        if not identity.not_before <= clock.now() <= identity.not_after:
            raise BusUnavailableError("connect: bus not available", reason=_EXPIRED)
    return identity


_UNTRUSTED_SERVER: Final = "tls: certificate verify failed"
_UNKNOWN_ISSUER: Final = "tls: alert unknown ca"
_EXPIRED: Final = "tls: alert certificate expired"


def _is_signed(identity: TlsIdentity, anchors: Iterable[bytes]) -> bool:
    leaf = x509.pem_to_der(identity.certificate)
    for anchor in anchors:
        try:
            x509.check_signed_by(leaf, anchor)
        except SignatureError:
            continue
        return True
    return False
