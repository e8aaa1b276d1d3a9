"""What differs between the accounts of the bus in which a member can live, as data.

1. Account APP hears announcements of trust sets, and its stream keeps the last one. Account SYS
   hears none, so OpenBao is looked at every second.
2. A statement of account APP is stored in a stream, whose receipt says so. Account SYS exports its
   statements without a receipt, so they are repeated every few seconds: an authority that was
   restarted, or missed one, hears the next.

Everything else (leaf certificate, signing keys, connection) is the same for every member.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from securetransport.core.base import names
from securetransport.core.base.names import Subject
from securetransport.core.base.profile import Profile
from securetransport.core.ports.bus import Connection
from securetransport.documents.announced import Announcement

Deliver = Callable[[Connection, Subject, bytes, str], Awaitable[None]]
"""Hands a signed statement over: connection, subject, bytes, message id.

Raises ``BusUnavailableError`` when it was not taken, ``PermissionDeniedError`` when this user may
not state there.
"""

_SYSTEM_REPEAT: Final = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Account:
    """How a member of one account hears and states.

    Attributes:
        name: For people, as in "not connected to the bus".
        announcements: Where trust sets are heard besides OpenBao.
        deliver: How a statement is handed over.
        statement_life: How long a statement counts.
        attest_every: A statement is repeated at this distance, even when nothing changed.
        trust_round: From one look for a newer trust set to the next.
    """

    name: str
    announcements: tuple[Announcement, ...]
    deliver: Deliver
    statement_life: timedelta
    attest_every: timedelta
    trust_round: timedelta


def application_account(profile: Profile) -> Account:
    """Return the account of services and of the authority."""
    return Account(
        name="the bus",
        announcements=(Announcement(names.SUBJECT_TRUST_NOTICE, names.STREAM_CA_CLIENT),),
        deliver=_store,
        statement_life=profile.ca_period,
        attest_every=profile.ca_period / 4,
        trust_round=clamp(profile.ca_period / 16, 1, 30),
    )


def system_account(profile: Profile) -> Account:
    """Return the account of watchers."""
    return Account(
        name="the system account",
        announcements=(),
        deliver=_export,
        statement_life=profile.ca_period,
        attest_every=_SYSTEM_REPEAT,
        trust_round=clamp(profile.ca_lead / 60, 1, 30),
    )


def clamp(value: timedelta, low: float, high: float) -> timedelta:
    """Return ``value`` between ``low`` and ``high`` seconds."""
    return timedelta(seconds=min(max(value.total_seconds(), low), high))


async def _store(connection: Connection, subject: Subject, data: bytes, message_id: str) -> None:
    await connection.publish_acked(subject, data, message_id=message_id)


async def _export(connection: Connection, subject: Subject, data: bytes, message_id: str) -> None:
    del message_id  # nobody deduplicates an export; the authority keeps the newest
    await connection.publish(subject, data)
    await connection.flush()
