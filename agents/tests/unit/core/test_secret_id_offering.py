"""Rules of ``decisions.secret_ids.offering``, by their numbers."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from securetransport.core.decisions.secret_ids import offer_window
from securetransport.core.decisions.secret_ids.offering import (
    MOST_UNPROVEN,
    Destroy,
    KnownSecretId,
    Mint,
    Observation,
    Withdraw,
    decide,
)
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.secret_id import Offer, Proof

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
INTERVAL = timedelta(hours=1)
WINDOW = offer_window(INTERVAL)


def known(name: str, age: timedelta, handover: str | None = None) -> KnownSecretId:
    return KnownSecretId(name, NOW - age, handover=handover)


def offer(age: timedelta, handover: str = "0" * 32) -> Offer:
    return Offer(
        handover=handover,
        wrapped="w",
        accessor="new",
        created_at=NOW - age,
        not_after=NOW - age + WINDOW,
    )


def proof(accessor: str, handover: str | None = None) -> Proof:
    return Proof(accessor=accessor, handover=handover, stated_at=NOW)


def test_rule_1_nothing_is_minted_for_nobody() -> None:
    step = decide(Observation(NOW, ()), INTERVAL)
    assert isinstance(step, Wait)
    assert "site.yml delivers the first" in step.waits_for[0]


def test_rule_2_older_than_the_proven_one_goes_and_nothing_else() -> None:
    old, new = known("old", INTERVAL), known("new", timedelta(minutes=1), "0" * 32)
    assert decide(Observation(NOW, (old, new), proof=proof("new")), INTERVAL) == Destroy("old")
    # Without a proof nothing is destroyed, however old.
    assert isinstance(decide(Observation(NOW, (old, new), offer(WINDOW / 4)), INTERVAL), Wait)
    # A statement about a secret-id that OpenBao does not have proves nothing.
    forged = Observation(NOW, (old, new), offer(WINDOW / 4), proof("made up"))
    assert isinstance(decide(forged, INTERVAL), Wait)


def test_rule_3_an_offer_is_waited_for_told_when_late_and_taken_back() -> None:
    old = known("old", INTERVAL)
    early = decide(Observation(NOW, (old,), offer(WINDOW / 4)), INTERVAL)
    assert isinstance(early, Wait)
    assert early.waits_for == ()
    late = decide(Observation(NOW, (old,), offer(WINDOW * 0.75)), INTERVAL)
    assert isinstance(late, Wait)
    assert late.waits_for == ("has not taken the offered secret-id yet",)
    over = offer(WINDOW)
    assert decide(Observation(NOW, (old,), over), INTERVAL) == Withdraw(over)


def test_rule_4_the_next_is_minted_an_interval_after_the_last_and_the_last_offer() -> None:
    seen = Observation(NOW, (known("old", INTERVAL),))
    assert decide(seen, INTERVAL) == Mint()
    assert isinstance(decide(seen, INTERVAL + timedelta(seconds=1)), Wait)
    gone = offer(INTERVAL / 2).model_copy(update={"is_withdrawn": True})
    waiting = decide(replace(seen, offer=gone), INTERVAL)
    assert isinstance(waiting, Wait)
    assert waiting.waits_for == ("did not take the last secret-id that was offered",)
    assert waiting.until == NOW + INTERVAL / 2


def test_rule_5_what_was_opened_and_not_proven_is_kept_and_makes_offers_rarer() -> None:
    opened = tuple(
        known(f"n{number}", timedelta(minutes=number), f"{number:032x}")
        for number in range(1, MOST_UNPROVEN + 1)
    )
    gone = offer(INTERVAL * 2).model_copy(update={"is_withdrawn": True})
    seen = Observation(NOW, (known("kept", INTERVAL * 3), *opened), gone)
    found = decide(seen, INTERVAL)
    assert isinstance(found, Wait)
    assert found.waits_for == (f"opened {MOST_UNPROVEN} secret-ids and proved none of them",)
    much_later = replace(seen, now=NOW + INTERVAL * MOST_UNPROVEN)
    assert decide(much_later, INTERVAL) == Mint()
