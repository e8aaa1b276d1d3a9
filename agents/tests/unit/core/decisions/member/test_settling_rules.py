"""Rules of ``core.decisions.member.settling``."""

from __future__ import annotations

from datetime import timedelta

import pytest

from securetransport.core.acl.compile.streams import MAX_ACK_PENDING
from securetransport.core.base.names import ServiceId, parse_service
from securetransport.core.decisions.member.settling import (
    HELD_IN_ALL,
    HELD_OF_ACCOUNT,
    LAST_DELIVERY,
    MAY_BE_STALE,
    STALE_DELIVERIES,
    Drop,
    Holding,
    Later,
    NotTaken,
    Park,
    Refused,
    before_handling,
    not_handled,
    not_taken,
    refused,
)
from securetransport.core.trust.opening import Refusal

SIGNER = ServiceId("gatekeeper")
COPIES = {Refusal.SUBJECT, Refusal.MESSAGE_ID, Refusal.STATEMENT}


@pytest.mark.parametrize("code", Refusal)
@pytest.mark.parametrize("signer", [SIGNER, None])
def test_only_copies_are_dropped_and_nothing_that_somebody_signed(
    code: Refusal, signer: ServiceId | None
) -> None:
    step = refused(Refused(code, signer, STALE_DELIVERIES, is_current=True))
    if code in COPIES:
        assert step == Drop(code)
        return
    assert isinstance(step, Park)
    assert step.code == code
    assert step.is_kept == (signer is not None and code != Refusal.DENIED)


@pytest.mark.parametrize(
    ("code", "signer", "account"),
    [
        (Refusal.KEY_EPOCH, SIGNER, "gatekeeper"),
        (Refusal.SCHEMA, SIGNER, "gatekeeper"),
        (Refusal.DENIED, SIGNER, "gatekeeper"),
        (Refusal.SIGNATURE, None, "_unverified"),
        (Refusal.PARSE, None, "_unverified"),
        (Refusal.SIZE, None, "_unverified"),
        (Refusal.VERSION, None, "_newer"),
        (Refusal.FRESHNESS, SIGNER, "_late"),
        (Refusal.STATEMENT_KEY, SIGNER, "_late"),
    ],
)
def test_parked_message_is_charged_to_who_is_answerable(
    code: Refusal, signer: ServiceId | None, account: str
) -> None:
    step = refused(Refused(code, signer, STALE_DELIVERIES, is_current=True))
    assert isinstance(step, Park)
    assert step.account == account


def test_no_service_can_have_the_name_of_an_account_of_nobody() -> None:
    for account in ("_unverified", "_newer", "_late"):
        with pytest.raises(ValueError, match="lower-case"):
            parse_service(account)


@pytest.mark.parametrize("code", sorted(MAY_BE_STALE))
def test_what_may_be_this_receivers_fault_waits_a_little(code: Refusal) -> None:
    waits = [refused(Refused(code, SIGNER, number, is_current=True)) for number in range(1, 7)]
    seconds = [wait.delay.total_seconds() for wait in waits[:-1] if isinstance(wait, Later)]
    assert seconds == [0.5, 1.0, 1.5, 2.0, 2.5]
    assert waits[-1] == Park(code, SIGNER)


@pytest.mark.parametrize("code", sorted(MAY_BE_STALE))
def test_receiver_that_could_not_read_the_newest_waits_as_long_as_a_handler(code: Refusal) -> None:
    last = refused(Refused(code, None, LAST_DELIVERY - 1, is_current=False))
    assert last == Later(timedelta(seconds=10))
    parked = refused(Refused(code, None, LAST_DELIVERY, is_current=False))
    assert parked == Park(code, "_unverified", is_kept=True)


def test_handler_gets_longer_and_longer_and_then_the_message_is_parked() -> None:
    def seconds(code: str) -> list[float]:
        steps = [not_handled(code, SIGNER, number) for number in range(1, LAST_DELIVERY)]
        return [step.delay.total_seconds() for step in steps if isinstance(step, Later)]

    assert seconds("transient") == [1, 2, 4, 8] + [10] * 11
    assert seconds("failed") == [5, 5, 5, 8] + [10] * 11
    assert not_handled("failed", SIGNER, LAST_DELIVERY) == Park("failed", SIGNER)


def test_message_that_nobody_settled_is_parked_before_it_is_handled() -> None:
    assert before_handling(SIGNER, LAST_DELIVERY) is None
    assert before_handling(SIGNER, LAST_DELIVERY + 1) == Park("deliveries", SIGNER)


@pytest.mark.parametrize("why", NotTaken)
def test_what_is_not_taken_waits_long(why: NotTaken) -> None:
    park = Park("schema", SIGNER)
    waits = [not_taken(park, number, why, Holding()) for number in (1, 2, 10, 1000)]
    assert waits == [Later(timedelta(seconds=s)) for s in (30, 60, 300, 300)]


@pytest.mark.parametrize(
    ("code", "signer"),
    [
        (Refusal.PARSE, None),
        (Refusal.DENIED, SIGNER),
        (Refusal.VERSION, None),
        (Refusal.FRESHNESS, None),
    ],
)
def test_what_nobody_signed_and_what_the_denied_send_do_not_hold_up_others(
    code: Refusal, signer: ServiceId | None
) -> None:
    step = refused(Refused(code, signer, 1))
    assert isinstance(step, Park)
    for why in (NotTaken.FULL, NotTaken.REFUSED):
        assert not_taken(step, 1, why, Holding()) == Drop(code)


@pytest.mark.parametrize(
    "holding", [Holding(of_account=HELD_OF_ACCOUNT), Holding(in_all=HELD_IN_ALL)]
)
@pytest.mark.parametrize("why", NotTaken)
def test_signed_messages_beyond_the_bound_are_dropped_only_when_they_were_refused(
    why: NotTaken, holding: Holding
) -> None:
    fate = not_taken(Park("schema", SIGNER), 1, why, holding)
    assert isinstance(fate, Drop) == why.is_their_word


def test_what_waits_for_room_leaves_most_of_a_durable_to_others() -> None:
    assert HELD_OF_ACCOUNT < HELD_IN_ALL
    assert HELD_IN_ALL * 4 < MAX_ACK_PENDING


def test_evidence_is_kept_within_the_bound_while_the_dead_letters_were_not_asked() -> None:
    step = Park(Refusal.PARSE, "_unverified", is_kept=False)
    for why in (NotTaken.UNAVAILABLE, NotTaken.NO_SIGNING_KEY, NotTaken.NOT_PERMITTED):
        assert isinstance(not_taken(step, 1, why, Holding()), Later)
        assert isinstance(not_taken(step, 1, why, Holding(of_account=HELD_OF_ACCOUNT)), Drop)
