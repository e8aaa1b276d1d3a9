"""Directory and deny list come over the bus; OpenBao is asked seldom, or when it is silent."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import AsyncIterator

import pytest

from message_bench import MessageBench
from securetransport.core.base import names
from securetransport.core.base.names import ServiceId, Subject
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports import Connection
from securetransport.testing.clock import START
from service_scene import REPAIR_EVERY

pytestmark = pytest.mark.virtual_time
DENIED = DenyList(services={ServiceId("gatekeeper"): START})


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    yield made
    await made.stop()


async def announce(bench: MessageBench, authority: Connection) -> None:
    """Publish on the bus what lies in OpenBao, as the authority does."""
    for path, subject in (
        (names.KV_DIRECTORY, names.SUBJECT_DIRECTORY_NOTICE),
        (names.KV_DENY_LIST, names.SUBJECT_DENY_LIST_NOTICE),
    ):
        held = await bench.authority.store.kv_get(path)
        assert held is not None
        await authority.publish_acked(subject, base64.b64decode(held.value["document"]))


def reads(bench: MessageBench) -> int:
    """Return how often Directory and deny list were read in OpenBao."""
    paths = (names.KV_DIRECTORY, names.KV_DENY_LIST)
    return sum(bench.authority.store.calls.count(("kv_get", path)) for path in paths)


async def rounds(bench: MessageBench, seconds: int) -> int:
    """Let rounds pass, one a second; returns the reads in OpenBao."""
    before = reads(bench)
    for _ in range(seconds):
        await bench.reader.directory.reconcile()
        await asyncio.sleep(1)
    return reads(bench) - before


async def test_what_is_announced_is_in_force_at_once_and_costs_openbao_nothing(
    bench: MessageBench,
) -> None:
    directory = bench.reader.directory
    assert bench.reader.connection is not None
    await directory.listen(bench.reader.connection)
    authority = await bench.bus.join("metadata")
    await bench.authority.publish(deny=DENIED)
    before = reads(bench)
    await announce(bench, authority)
    before = reads(bench)
    await asyncio.sleep(0.1)
    assert directory.deny == DENIED
    assert reads(bench) == before


async def test_what_was_announced_before_is_read_from_the_stream(bench: MessageBench) -> None:
    authority = await bench.bus.join("metadata")
    await bench.authority.publish(deny=DENIED)
    await announce(bench, authority)
    before = reads(bench)
    assert bench.reader.connection is not None
    await bench.reader.directory.listen(bench.reader.connection)
    assert bench.reader.directory.deny == DENIED
    assert reads(bench) == before


async def test_openbao_is_asked_seldom_while_the_bus_tells(bench: MessageBench) -> None:
    authority = await bench.bus.join("metadata")
    await announce(bench, authority)
    await rounds(bench, 1)
    minutes = 10
    once = 60 * minutes // int(REPAIR_EVERY.total_seconds())
    assert await rounds(bench, 60 * minutes) <= 2 * once


async def test_lost_announcement_is_repaired_by_timer(bench: MessageBench) -> None:
    authority = await bench.bus.join("metadata")
    await announce(bench, authority)
    await rounds(bench, 1)
    await bench.authority.publish(deny=DENIED)
    await rounds(bench, int(REPAIR_EVERY.total_seconds()) + 1)
    assert bench.reader.directory.deny == DENIED


@pytest.mark.parametrize("silence", ["nothing announced", "no connection"])
async def test_openbao_is_asked_each_round_while_the_bus_does_not_tell(
    bench: MessageBench, silence: str
) -> None:
    if silence == "no connection":
        authority = await bench.bus.join("metadata")
        await announce(bench, authority)
        bench.reader.connection = None
    assert await rounds(bench, 10) == 20


async def test_demand_is_one_read(bench: MessageBench) -> None:
    authority = await bench.bus.join("metadata")
    await announce(bench, authority)
    await rounds(bench, 1)
    bench.reader.directory.demand()
    assert await rounds(bench, 5) == 2


@pytest.mark.parametrize("data", [b"", b"junk", b"{}"])
async def test_announcement_that_is_no_document_changes_nothing(
    bench: MessageBench, data: bytes
) -> None:
    directory = bench.reader.directory
    assert bench.reader.connection is not None
    await directory.listen(bench.reader.connection)
    held = directory.directory
    authority = await bench.bus.join("metadata")
    for subject in (names.SUBJECT_DIRECTORY_NOTICE, names.SUBJECT_DENY_LIST_NOTICE):
        await authority.publish(Subject(subject), data)
    await asyncio.sleep(0.1)
    assert directory.directory is held
    assert await rounds(bench, 2) == 4, "what the stream keeps tells nothing"
