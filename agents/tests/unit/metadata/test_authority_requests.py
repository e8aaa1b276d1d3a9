"""A flood of requests of one writer: it waits for itself, and nobody else notices (B4)."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field

import pytest
from authority_desk import PROFILE, Desk
from enrolments import Enrolled
from test_authority_exchange import ACL

from securetransport.core.base import names
from securetransport.core.base.names import InstanceId
from securetransport.core.crypto import kem
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.ports import Clock, Message
from securetransport.metadata import requests
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.exchange import KeyExchange
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.metadata.requests import FairRequests
from securetransport.testing.bus import FakeBus

pytestmark = pytest.mark.virtual_time

FLOOD = 1_000_000
SECONDS = 20


@dataclass
class Answers:
    """The way back of one request."""

    clock: Clock
    answered: asyncio.Future[tuple[bytes, float]] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )

    async def respond(self, data: bytes) -> None:
        if not self.answered.done():
            self.answered.set_result((data, self.clock.monotonic()))


def message(service: str, data: bytes, answers: object) -> Message:
    subject = names.subject_key_exchange(names.parse_service(service))
    return Message(subject, data, "_INBOX.x", {}, answers)  # type: ignore[arg-type]  # one way back


@pytest.mark.long
async def test_a_million_requests_of_one_member_delay_no_other(desk: Desk) -> None:
    """Through the real exchange with real keys; only time is simulated."""
    clock = FakeBus().clock
    enrolled = EnrolledKeys(desk.store, PROFILE)
    keys = KeyRotation(
        store=desk.store,
        clock=desk.clock,
        profile=PROFILE,
        document_store=desk.documents,
        signer=desk.signer,
        enrolled=enrolled,
    )
    authority = await desk.authority_keys()
    exchange = KeyExchange(
        store=desk.store,
        clock=desk.clock,
        profile=PROFILE,
        signer=desk.signer,
        enrolled=enrolled,
        keys=keys,
        policy=PolicyKeeper(desk.documents, desk.clock, PROFILE, authority, authority),
        metrics=desk.metrics,
    )
    await keys.ensure_topic_keys(ACL)
    await keys.ensure_bundles(ACL)
    dropped = 0

    def count() -> None:
        nonlocal dropped
        dropped += 1

    waiting = FairRequests(clock, count)

    def signed(member: Enrolled, number: int) -> bytes:
        request = KeyRequest(
            instance=member.instance,
            kem=kem.ML_KEM_768,
            kem_public_key=kem.generate_kem_key().public_key,
            nonce=number.to_bytes(32, "big"),
            requested_at=desk.clock.now(),
        )
        return member.signed(DocumentKind.KEY_REQUEST, request)

    async def serve() -> None:
        while True:
            taken = await waiting.take()
            await taken.answers.respond(await exchange.answer(taken.data))
            await asyncio.sleep(0.005)  # what OpenBao takes to sign

    hostile = Enrolled(InstanceId("gatekeeper/1"), desk.clock)
    innocent = Enrolled(InstanceId("auth-controller/1"), desk.clock)
    for member in (hostile, innocent):
        await member.enrol(desk.store)
    data, nowhere = signed(hostile, 0), Answers(clock)
    latencies: list[float] = []
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(serve())
        for second in range(SECONDS):
            flooded = message("gatekeeper", data, nowhere)
            for _ in range(FLOOD // SECONDS):
                waiting.offer("gatekeeper", flooded)
            asked = Answers(clock)
            began = clock.monotonic()
            own = message("auth-controller", signed(innocent, second), asked)
            assert waiting.offer("auth-controller", own)
            answer, at = await asked.answered
            assert documents.decode(answer).kind is DocumentKind.SEALED_BUNDLE
            latencies.append(at - began)
            await asyncio.sleep(1 - (clock.monotonic() - began))
        serving.cancel()
    assert max(latencies) < 5, latencies
    assert max(latencies) < 0.1, "one request of another lane, and its own"
    assert dropped > FLOOD * 0.99
    refused = json.loads(await exchange.answer(data))
    assert refused == {"error": "refused", "detail": "request was answered before"}


async def test_lanes_are_served_in_turn_and_paced() -> None:
    clock = FakeBus().clock
    waiting = FairRequests(clock, lambda: None)
    for writer in ("a", "b"):
        for number in range(3):
            waiting.offer(writer, message("gatekeeper", f"{writer}{number}".encode(), None))
    began = clock.monotonic()
    taken = [((await waiting.take()).data.decode(), clock.monotonic() - began) for _ in range(6)]
    assert [name for name, _ in taken] == ["a0", "b0", "a1", "b1", "a2", "b2"]
    assert taken[-1][1] == pytest.approx(0.04, abs=0.005)


async def test_a_request_wakes_who_waits_and_writers_are_bounded() -> None:
    clock = FakeBus().clock
    dropped: list[None] = []
    waiting = FairRequests(clock, lambda: dropped.append(None))
    async with asyncio.TaskGroup() as group:
        taking = group.create_task(waiting.take())
        await asyncio.sleep(3)
        waiting.offer("a", message("gatekeeper", b"first", None))
    assert taking.result().data == b"first"
    for number in range(requests.MOST_WRITERS + 10):
        waiting.offer(f"w{number}", message("gatekeeper", b"", None))
    assert 10 <= len(dropped) <= 11
