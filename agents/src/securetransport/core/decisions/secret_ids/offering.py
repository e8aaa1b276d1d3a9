"""The authority's next step in the renewal of one instance's secret-id.

Rules, the first that applies:

1. An instance without any secret-id is nobody yet: Ansible delivers the first.
2. What is older than the one that the instance has proven is destroyed.
3. An offer that is not proven is waited for until its end, and then taken back.
4. The next offer is made when the proven one, or without a proof the newest, is as old as the
   interval, and the last offer too: an instance that is away costs one offer an interval.
5. What was opened and not proven is left alone: it may be the one that the instance has. So that it
   does not become many, from :data:`MOST_UNPROVEN` on offers are as many times rarer.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from securetransport.core.decisions.secret_ids import look_interval
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.secret_id import Offer, Proof

MOST_UNPROVEN: Final = 8
_NOT_TAKEN: Final = "has not taken the offered secret-id yet"


@dataclass(frozen=True, slots=True)
class KnownSecretId:
    """A secret-id as OpenBao tells it by its accessor.

    Attributes:
        accessor: Its accessor.
        created_at: When it was made, by OpenBao's clock.
        expires_at: When it ends; ``None`` for never.
        handover: Of the offer that it was minted for; ``None`` when somebody else made it.
    """

    accessor: str
    created_at: datetime
    expires_at: datetime | None = None
    handover: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What the authority knows of one instance's secret-ids.

    Attributes:
        now: Wall clock.
        known: All that OpenBao has for its role.
        offer: What lies in KV for it.
        proof: What it last stated.
    """

    now: datetime
    known: tuple[KnownSecretId, ...]
    offer: Offer | None = None
    proof: Proof | None = None

    @property
    def proven(self) -> KnownSecretId | None:
        """The secret-id that the instance has stated, if OpenBao still has it."""
        stated = self.proof.accessor if self.proof else None
        return next((entry for entry in self.known if entry.accessor == stated), None)

    @property
    def is_offer_open(self) -> bool:
        """Whether an offer is neither proven nor taken back."""
        if self.offer is None or self.offer.is_withdrawn:
            return False
        return self.proof is None or self.proof.handover != self.offer.handover

    @property
    def newest(self) -> KnownSecretId | None:
        """The newest secret-id that was not minted for an offer, or is proven."""
        settled = [one for one in self.known if one.handover is None or one == self.proven]
        return max(settled or self.known, key=lambda one: one.created_at, default=None)


@dataclass(frozen=True, slots=True)
class Mint:
    """Mint one, wrapped, and offer it."""


@dataclass(frozen=True, slots=True)
class Withdraw:
    """Take back an offer: if nobody opened it, its secret-id is destroyed."""

    offer: Offer


@dataclass(frozen=True, slots=True)
class Destroy:
    """Destroy a secret-id by its accessor."""

    accessor: str


Step = Mint | Withdraw | Destroy


def decide(seen: Observation, interval: timedelta) -> Step | Wait:
    """Return the next step, by the rules of this module."""
    newest = seen.newest
    if newest is None:
        reason = "has no secret-id; a run of site.yml delivers the first"
        return Wait(waits_for=(reason,), until=seen.now + interval, step="mint")
    proven = seen.proven
    if proven is not None:
        older = [entry for entry in seen.known if entry.created_at < proven.created_at]
        if older:
            return Destroy(min(older, key=lambda entry: entry.created_at).accessor)
    if seen.offer is not None and seen.is_offer_open:
        return _open_offer(seen.offer, seen.now, interval)
    return _next_offer(seen, newest, interval)


def _open_offer(offer: Offer, now: datetime, interval: timedelta) -> Step | Wait:
    """Rule 3."""
    if now >= offer.not_after:
        return Withdraw(offer)
    until = min(offer.not_after, now + look_interval(interval))
    # Whoever is there has looked several times by then; before, there is nothing to tell.
    is_late = now - offer.created_at > (offer.not_after - offer.created_at) / 2
    return Wait(waits_for=(_NOT_TAKEN,) if is_late else (), until=until)


def _next_offer(seen: Observation, newest: KnownSecretId, interval: timedelta) -> Step | Wait:
    """Rules 4 and 5."""
    unproven = [one for one in seen.known if one.handover is not None and one != seen.proven]
    last = newest.created_at
    if seen.offer is not None:
        is_many = len(unproven) >= MOST_UNPROVEN
        pause = interval * (MOST_UNPROVEN - 1) if is_many else timedelta(0)
        last = max(last, seen.offer.created_at + pause)
    if seen.now >= last + interval:
        return Mint()
    reasons: list[str] = []
    if seen.offer is not None and seen.offer.is_withdrawn and unproven:
        reasons.append(f"opened {len(unproven)} secret-ids and proved none of them")
    elif seen.offer is not None and seen.offer.is_withdrawn:
        reasons.append("did not take the last secret-id that was offered")
    return Wait(waits_for=tuple(reasons), until=last + interval)
