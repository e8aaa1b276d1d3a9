"""When a step is safe: each gate returns the evidence that is missing, one line per item.

An empty answer means the gate is open. Gates look at evidence only; the passing of time alone never
opens one. The deadline, which is a decision to go on without evidence, is rule 7 of ``decide``.

Rules:

1. A server confirms a trust set D by three things together: its keeper attests D and saw it
   served, no RELOAD error, and an outside probe of client and route port lists exactly its names.
2. A server that has been silent for ``broker_health.SILENT_AFTER`` and is absent from every peer's
   routes does not gate: its keeper fetches before it starts again. A server that the report does
   not name is *unknown*, not absent, and gates.
3. Every connection's leaf must be in an attestation of D that is younger than the connection, up to
   the accepted disagreement of clocks: the two instants come from two servers. (The leaf's key
   lives in one process, whose trust set never goes back, so that allowance hides nothing.)
   A leaf nobody attested counts against every epoch.
4. Evidence older than what it shall show, or than ``EVIDENCE_AGE``, is no evidence; nor is one from
   the future, which says that the judging clock was set back. Its age is counted from its arrival,
   by the clock of whoever judges.
5. An administrator's connection younger than ``SHORT_CONNECTION`` does not gate; one that seems to
   begin later than clocks may disagree is not young. Foreign users are counted apart: for them
   trust is assumed, and said to be.
6. A census is complete when a fresh report knows the connections of every server that gates.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca.observation import MemberAttestation, Observation
from securetransport.core.decisions.ca.record import RotationRecord
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.server_report import ServerConnection, ServerObservation
from securetransport.core.formats.trust_bundle import TrustBundle
from securetransport.core.trust import bundle as trust

EVIDENCE_AGE: Final = timedelta(seconds=5)
SHORT_CONNECTION: Final = timedelta(seconds=10)
_NOT_REPORTED: Final = "server {server}: not in the watcher's report"


def deadline_of(record: RotationRecord, profile: Profile) -> datetime | None:
    """Return the last instant at which the active issuer can still give a full leaf (rule 7)."""
    active = record.active
    if active is None or active.issuer is None:
        return None
    return active.issuer.not_after - profile.leaf_validity - profile.retire_margin


def is_past(deadline: datetime | None, now: datetime) -> bool:
    """Tell whether a gate is passed without its evidence; never without a deadline."""
    return deadline is not None and now >= deadline


def servers_confirm(seen: Observation, bundle: TrustBundle, since: datetime) -> tuple[str, ...]:
    """Return what is missing until every server verifies with exactly ``bundle``.

    Args:
        seen: The world.
        bundle: The trust set to be confirmed.
        since: Evidence must be younger than this, the moment of distribution.
    """
    missing = _report_problem(seen, since)
    if missing:
        return (missing,)
    wanted = trust.names(bundle)
    return tuple(
        line
        for server, keeper in sorted(seen.keepers.items())
        for line in _server_lines(_find(seen, server), server, keeper, bundle, wanted)
    )


def servers_present(seen: Observation, common_name: str, since: datetime) -> tuple[str, ...]:
    """Return what is missing until every server serves a leaf of one issuer on both ports."""
    missing = _report_problem(seen, since)
    if missing:
        return (missing,)
    lines: list[str] = []
    for server in sorted(seen.keepers):
        found = _find(seen, server)
        if found is None:
            lines.append(_NOT_REPORTED.format(server=server))
            continue
        if _is_absent(found):
            continue
        for port, issuer in (
            ("client", found.served_issuer),
            ("route", found.route_served_issuer),
        ):
            if issuer != common_name:
                lines.append(f"server {server}: {port} port serves {issuer or 'unknown'}")
    return tuple(lines)


def keepers_attest(seen: Observation, bundle: TrustBundle) -> tuple[str, ...]:
    """Return which keepers do not attest ``bundle``; enough where no bus is needed."""
    return tuple(
        f"keeper of {server}: attests {_short(keeper.digest) if keeper else 'nothing'}"
        for server, keeper in sorted(seen.keepers.items())
        if not (keeper and keeper.digest == bundle.digest) and not _server_is_absent(seen, server)
    )


def members_confirm(
    seen: Observation, bundle: TrustBundle, since: datetime, skew: timedelta
) -> tuple[str, ...]:
    """Return what is missing until every connected member verifies with ``bundle``.

    Args:
        seen: The world.
        bundle: The trust set to be confirmed.
        since: Evidence must be younger than this, the moment of distribution.
        skew: How far clocks may disagree.
    """
    missing = _report_problem(seen, since)
    if missing:
        return (missing,)
    by_leaf = attested_leaf_certificates(seen)
    lines: list[str] = []
    for server, connection in _connections(seen):
        if connection is None:
            lines.append(f"server {server}: connections unknown")
            continue
        if not _gates(seen, connection, skew):
            continue
        member = by_leaf.get(connection.leaf) if connection.leaf else None
        if member is None:
            lines.append(f"{connection.user} on {server}: its leaf is not attested")
        elif member.received_at + skew < connection.started_at:
            lines.append(f"{member.attestation.instance}: has not attested since it connected")
        elif member.attestation.digest != bundle.digest:
            held = _short(member.attestation.digest)
            lines.append(f"{member.attestation.instance}: still verifies with {held}")
    return tuple(sorted(set(lines)))


@dataclass(frozen=True, slots=True)
class Census:
    """Live connections by the CA epoch of their leaf.

    Attributes:
        by_epoch: Number of connections per epoch.
        unknown: Connections whose leaf nobody attested; they count in every epoch.
        foreign: Connections of foreign clients.
        is_complete: Rule 6: nobody is missing from these numbers.
    """

    by_epoch: dict[EpochNumber, int] = field(default_factory=dict)
    unknown: int = 0
    foreign: int = 0
    is_complete: bool = False


def census(seen: Observation) -> Census:
    """Join the servers' connections to attestations by the hash of the leaf."""
    by_leaf = attested_leaf_certificates(seen)
    counts: Counter[EpochNumber] = Counter()
    unknown = foreign = 0
    complete = _report_problem(seen) is None and all(_find(seen, name) for name in seen.keepers)
    for _server, connection in _connections(seen):
        if connection is None:
            complete = False
            continue
        if connection.user in seen.foreign_users:
            foreign += 1
            continue
        member = by_leaf.get(connection.leaf) if connection.leaf else None
        epoch = member.leaf_epochs.get(connection.leaf) if member and connection.leaf else None
        if epoch is None:
            unknown += 1
        else:
            counts[epoch] += 1
    return Census(
        by_epoch=dict(sorted(counts.items())),
        unknown=unknown,
        foreign=foreign,
        is_complete=complete,
    )


def attested_leaf_certificates(seen: Observation) -> dict[Fingerprint, MemberAttestation]:
    """Return the attestation of each leaf certificate whose chain was verified."""
    found: dict[Fingerprint, MemberAttestation] = {}
    for member in seen.members.values():
        for leaf in member.leaf_epochs:
            held = found.get(leaf)
            if held is None or held.received_at < member.received_at:
                found[leaf] = member
    return found


def _report_problem(seen: Observation, since: datetime | None = None) -> str | None:
    """Rule 4: what is wrong with the report, ``None`` when it is evidence."""
    received = seen.report_received_at
    if seen.report is None or received is None:
        return "watcher: no report of the servers yet"
    age = seen.now - received
    if age > EVIDENCE_AGE:
        return f"watcher: newest report is {age.total_seconds():.0f} s old"
    if age < timedelta(0):
        return "watcher: newest report arrived before the authority's clock was set back"
    if since is not None and received < since:
        return "watcher: no report since the change"
    return None


def _find(seen: Observation, server: str) -> ServerObservation | None:
    if seen.report is None:
        return None
    return next((entry for entry in seen.report.servers if entry.server == server), None)


def _is_absent(found: ServerObservation) -> bool:
    """Rule 2. ``reachable=False`` comes after ``broker_health.SILENT_AFTER`` only."""
    return not found.reachable and found.seen_by_peers is False


def _server_is_absent(seen: Observation, server: str) -> bool:
    found = None if _report_problem(seen) else _find(seen, server)
    return found is not None and _is_absent(found)


def _server_lines(
    found: ServerObservation | None,
    server: str,
    keeper: KeeperAttestation | None,
    bundle: TrustBundle,
    wanted: frozenset[str],
) -> Iterator[str]:
    if found is None:
        yield _NOT_REPORTED.format(server=server)
        return
    if _is_absent(found):
        return
    if keeper is None:
        yield f"keeper of {server}: attests nothing"
    elif keeper.digest != bundle.digest:
        yield f"keeper of {server}: attests {_short(keeper.digest)}, not {_short(bundle.digest)}"
    elif not keeper.is_served:
        yield f"keeper of {server}: has not seen the new files served"
    if found.reload_error:
        yield f"server {server}: reload failed: {found.reload_error}"
    for port, listed in (("client", found.client_names), ("route", found.route_names)):
        if listed is None:
            yield f"server {server}: {port} port does not answer the probe"
        elif frozenset(listed) != wanted:
            yield f"server {server}: {port} port lists other CA names"


def _connections(seen: Observation) -> Iterator[tuple[str, ServerConnection | None]]:
    """Yield every live connection; ``None`` stands for a server whose connections are unknown."""
    for entry in seen.report.servers if seen.report else ():
        if _is_absent(entry):
            continue
        if entry.connections is None:
            yield entry.server, None
            continue
        for connection in entry.connections:
            yield entry.server, connection


def _gates(seen: Observation, connection: ServerConnection, skew: timedelta) -> bool:
    """Rule 5."""
    if connection.user in seen.foreign_users:
        return False
    is_short = -skew <= seen.now - connection.started_at < SHORT_CONNECTION
    return not (connection.user == seen.admin_user and is_short)


def _short(digest: str) -> str:
    return digest[:12]
