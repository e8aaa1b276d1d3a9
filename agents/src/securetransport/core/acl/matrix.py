"""Who may what, as a table: every identity against every subject that the ACL or the platform uses.

The table is generated from the same rights that the servers get; an integration test asks a real
server about every row, so the table is a claim that is checked, not a drawing.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from securetransport.core.acl.compile.broker import bus_rights
from securetransport.core.acl.model import Acl
from securetransport.core.acl.platform import ANNOUNCED, Action, BusRights
from securetransport.core.base import names
from securetransport.core.base.names import ServiceId

_SERVER = "SERVERID"
_REPLICA = "1"


@dataclass(frozen=True, slots=True, order=True)
class MatrixRow:
    """One claim: may ``service`` do ``action`` on the literal ``subject``.

    Attributes:
        service: Who.
        action: ``publish`` or ``subscribe``.
        subject: A subject without wildcards.
        is_allowed: The claim.
    """

    service: ServiceId
    action: Action
    subject: str
    is_allowed: bool


def is_allowed(rights: BusRights | None, action: Action, subject: str) -> bool:
    """Tell whether an identity may; without a user it may nothing."""
    return rights is not None and rights.grant(action, subject) is not None


def probe_subjects(acl: Acl) -> tuple[str, ...]:
    """Return one literal subject of every kind in use, sorted: the columns of the table."""
    identities = sorted({*bus_rights(acl), names.KEEPER, names.NATS_SERVER, names.PROBE})
    found: set[str] = {
        *ANNOUNCED,
        names.SUBJECT_DIRECTORY,
        names.SUBJECT_STATUS,
        names.SUBJECT_SERVER_REPORT,
        names.SUBJECT_WATCHER_COMMAND,
        names.SUBJECT_ROTATION_LOG,
        "$JS.API.INFO",
        "$JS.API.STREAM.NAMES",
        "unknown.subject",
        *(f"$SYS.REQ.SERVER.{_SERVER}.{verb}" for verb in ("RELOAD", "CONNZ", "KICK", "LDM")),
        "$SYS.REQ.SERVER.PING.CONNZ",
    }
    found.update(acl.topics)
    for identity in identities:
        found.add(f"{names.inbox_prefix(identity)}.x")
        found.add(f"metadata.attest.{identity}.{_REPLICA}")
        found.add(str(names.subject_bundle_push(identity)))
        found.add(str(names.subject_key_exchange(identity)))
    streams = {
        *acl.streams,
        names.STREAM_ATTESTATIONS,
        names.STREAM_CA_CLIENT,
        names.STREAM_ROTATION_LOG,
        names.STREAM_DEAD_LETTERS,
        names.STREAM_LARGE_LETTERS,
    }
    for stream in streams:
        found.update(_stream_subjects(stream))
    for spec in acl.services.values():
        for item in spec.consumes:
            found.update(_durable_subjects(acl.topics[item.topic], item.durable))
    return tuple(sorted(found))


def _stream_subjects(stream: str) -> Iterable[str]:
    api = "$JS.API.STREAM"
    verbs = ("CREATE", "UPDATE", "INFO", "DELETE", "PURGE", "MSG.GET", "MSG.DELETE")
    yield from (f"{api}.{verb}.{stream}" for verb in verbs)
    yield f"$JS.API.CONSUMER.CREATE.{stream}.intruder"
    yield f"$JS.API.CONSUMER.DURABLE.CREATE.{stream}.intruder"
    yield f"$JS.API.DIRECT.GET.{stream}"
    yield from (f"$JS.API.DIRECT.GET.{stream}.{subject}" for subject in ANNOUNCED)


def _durable_subjects(stream: str, durable: str) -> Iterable[str]:
    yield f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}"
    yield f"$JS.API.CONSUMER.INFO.{stream}.{durable}"
    yield f"$JS.API.CONSUMER.DELETE.{stream}.{durable}"
    yield f"$JS.ACK.{stream}.{durable}.1.1.1.1.0"
    yield f"dlq.{stream}.{durable}.{names.ACCOUNT_NEWER}"


def matrix(acl: Acl, subjects: Iterable[str] | None = None) -> list[MatrixRow]:
    """Return a row for every identity, action and subject, sorted.

    Args:
        acl: The ACL.
        subjects: Literal subjects; :func:`probe_subjects` when not given.
    """
    columns = tuple(subjects) if subjects is not None else probe_subjects(acl)
    rights = bus_rights(acl)
    identities = sorted({*rights, *names.PLATFORM_SERVICES})
    actions: tuple[Action, ...] = ("publish", "subscribe")
    return [
        MatrixRow(identity, action, subject, is_allowed(rights.get(identity), action, subject))
        for identity in identities
        for action in actions
        for subject in columns
    ]
