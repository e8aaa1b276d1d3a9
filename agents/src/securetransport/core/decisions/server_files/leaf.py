"""The server's leaf certificate: when a new one is needed, taken, and whose turn it is.

Rules 2 and 3 of ``decide``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.decisions.server_files.observation import LeafFacts, Wanted
from securetransport.core.formats.attestation import KeeperAttestation


class LeafNeed(StrEnum):
    """Why a new server leaf is needed; the words are metric labels."""

    MISSING = "missing"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"
    NOT_ACTIVE = "not_active"
    POLICY = "policy"
    AGE = "age"


def leaf_need(
    leaf: LeafFacts | None, wanted: Wanted, at: datetime, *, is_due: bool = False
) -> LeafNeed | None:
    """Return why a new leaf is needed, ``None`` when the one that is held is right.

    Args:
        leaf: The leaf that is held.
        wanted: The documents to follow.
        at: Now.
        is_due: It is time to renew whatever ``at`` says.
    """
    if leaf is None:
        return LeafNeed.MISSING
    if at >= leaf.not_after:
        return LeafNeed.EXPIRED
    if leaf.issuer not in wanted.names:
        return LeafNeed.UNTRUSTED
    if leaf.epoch != wanted.bundle.active:
        return LeafNeed.NOT_ACTIVE
    if leaf.proves_broker != wanted.broker:
        return LeafNeed.POLICY
    return LeafNeed.AGE if is_due or at >= leaf.renew_at else None


def is_leaf_acceptable(epoch: EpochNumber, issuer: str, wanted: Wanted, *, is_urgent: bool) -> bool:
    """Tell whether a leaf that OpenBao just signed may be used.

    The authority switches the issuer a moment before its bundle says so. A leaf of such a *coming*
    epoch is trusted by everybody (``confirmed``), yet only a server without a usable leaf takes it:
    all others wait for the bundle, so that the order of rule 3 stays the authority's.
    """
    if issuer not in wanted.names or wanted.bundle.active is None:
        return False
    return epoch == wanted.bundle.active or (is_urgent and epoch > wanted.bundle.active)


def may_move(  # noqa: PLR0913  # one fact of rule 3 each
    server: str,
    order: Sequence[str],
    active: EpochNumber,
    attested: Mapping[str, KeeperAttestation],
    *,
    waited: timedelta,
    limit: timedelta,
) -> bool:
    """Apply rule 3.

    Args:
        server: The asking server.
        order: All servers of the cluster; a server that is not listed waits for nobody.
        active: The epoch to move to.
        attested: Last statement per server; a server without one is not waited for.
        waited: How long this keeper has known that ``active`` is active.
        limit: Longest wait per earlier server.
    """
    earlier = list(order[: order.index(server)]) if server in order else []
    if waited >= limit * len(earlier):
        return True
    return all(
        entry is None or (entry.leaf_epoch == active and entry.is_served)
        for entry in map(attested.get, earlier)
    )
