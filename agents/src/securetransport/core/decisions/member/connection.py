"""The connection of a member: what is due on it, and when it is replaced by another one.

Rules, the first that applies:

1. Without a trust set or a leaf nothing can be connected with: wait.
2. A connection that cannot be used is replaced: there is none ("first"), it ended for good
   ("closed"), or it has been trying to reconnect for too long ("stuck").
3. Later reconnects use the newest trust set and leaf.
4. While it is down, wait: it reconnects by itself.
5. After a reconnect the newest trust document is read before anything is stated.
6. The trust set in force and the leaf in use are attested: after each connect ("connected"), when
   one of them changed ("trust", "leaf"), and again and again ("repeat").
7. A connection that works is replaced, make-before-break, when a newer leaf is held ("leaf") or its
   server asks to leave ("lame_duck"). What is due on it comes first, so a move that fails for long
   holds up no attestation.

Source: docs/architecture.md, "Trust"; docs/rotation.md.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from securetransport.core.base.names import Fingerprint
from securetransport.core.decisions.wait import Wait

STUCK_SECONDS: Final = 8.0
"""The bus client tries for ever; after this long a connection made anew is tried beside it."""


@dataclass(frozen=True, slots=True)
class Presented:
    """Trust set and leaf as one: what a connection is made with.

    Attributes:
        digest: Of the trust set.
        leaf: The leaf's fingerprint.
    """

    digest: str
    leaf: str


@dataclass(frozen=True, slots=True)
class ConnectionView:
    """The current connection.

    Attributes:
        is_connected: It is up.
        is_closed: It has ended for good.
        leaf: The leaf it was presented with.
        prepared: What its next reconnect uses.
        down_seconds: For how long it has been down; ``None`` while it is up.
        is_lame_duck: Its server asks clients to leave.
        must_reread: It reconnected, and the newest trust document was not read since.
    """

    is_connected: bool
    is_closed: bool
    leaf: str
    prepared: Presented
    down_seconds: float | None = None
    is_lame_duck: bool = False
    must_reread: bool = False


@dataclass(frozen=True, slots=True)
class Attested:
    """What was attested last on the current connection.

    Attributes:
        digest: Trust digest.
        leaf_fingerprints: Of the attested leaf certificates.
        age_seconds: Since then.
    """

    digest: str
    leaf_fingerprints: frozenset[Fingerprint]
    age_seconds: float


@dataclass(frozen=True, slots=True)
class Observation:
    """What a member knows of its connection.

    Attributes:
        digest: Of the trust set in force; ``None`` without one.
        leaf: Fingerprint of the newest leaf; ``None`` without one.
        connection: ``None`` before the first.
        attested: ``None`` when nothing was attested since it connected.
        attest_every: A statement is repeated at this distance.
    """

    digest: str | None
    leaf: str | None
    connection: ConnectionView | None
    attested: Attested | None
    attest_every: timedelta


@dataclass(frozen=True, slots=True)
class Move:
    """Make a connection, and leave the one before when the new one is admitted."""

    reason: str


@dataclass(frozen=True, slots=True)
class UseCredentials:
    """Let later reconnects use the newest trust set and leaf."""


@dataclass(frozen=True, slots=True)
class Reread:
    """Read the newest trust document."""


@dataclass(frozen=True, slots=True)
class Attest:
    """State what is trusted and presented."""

    reason: str


Step = Move | UseCredentials | Reread | Attest


def decide(seen: Observation) -> Step | Wait:
    """Return the next step, by the rules of this module."""
    if seen.digest is None or seen.leaf is None:
        return Wait(("a trust set",) if seen.digest is None else ("a leaf certificate",))
    current, wanted = seen.connection, Presented(seen.digest, seen.leaf)
    if current is None:
        return Move("first")
    if current.is_closed or (current.down_seconds or 0.0) > STUCK_SECONDS:
        return Move("closed" if current.is_closed else "stuck")
    if current.prepared != wanted:
        return UseCredentials()
    if not current.is_connected:
        return Wait(("the server",))
    return _due(seen, current, wanted)


def _due(seen: Observation, current: ConnectionView, wanted: Presented) -> Step | Wait:
    """Rules 5 to 7, of a connection that is up."""
    if current.must_reread:
        return Reread()
    reason = _attestation(seen, current, wanted.digest)
    if reason is not None:
        return Attest(reason)
    if current.leaf != wanted.leaf:
        return Move("leaf")
    return Move("lame_duck") if current.is_lame_duck else Wait()


def is_admitted(seen: Observation) -> bool:
    """Tell whether it is up and has attested the trust set in force since it connected."""
    current, attested = seen.connection, seen.attested
    return (
        current is not None
        and current.is_connected
        and attested is not None
        and attested.digest == seen.digest
    )


def _attestation(seen: Observation, current: ConnectionView, digest: str) -> str | None:
    attested = seen.attested
    if attested is None:
        return "connected"
    if attested.digest != digest:
        return "trust"
    if current.leaf not in attested.leaf_fingerprints:
        return "leaf"
    if attested.age_seconds >= seen.attest_every.total_seconds():
        return "repeat"
    return None
