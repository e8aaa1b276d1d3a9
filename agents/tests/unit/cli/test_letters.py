"""Rules of ``cli.letters`` over a bus in memory: by the rights of an administrator alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from message_bench import DURABLE, STREAM, MessageBench
from securetransport.cli.letters import (
    Letter,
    check_replay,
    drop,
    every_letter,
    give_out,
    one_letter,
    parse_name,
)
from securetransport.core.base.errors import (
    MalformedMessageError,
    NotFoundError,
    NotPermittedError,
    SecureTransportError,
)
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports import Connection
from service_scene import PROFILE, TOPIC

pytestmark = pytest.mark.virtual_time


@pytest.fixture
async def bench() -> AsyncIterator[MessageBench]:
    made = MessageBench()
    await made.start()
    made.reader.keys.know_schemas(Topic(TOPIC), {"other/1"})
    await made.consume()
    yield made
    await made.stop()


@pytest.fixture
async def admin(bench: MessageBench) -> AsyncIterator[Connection]:
    user = next(user for user in bench.policy.users if user.service == "admin")
    connection = await bench.bus.join(ServiceId("admin"), user=user)
    yield connection
    await connection.close()


async def listed(admin: Connection) -> list[Letter]:
    return [letter async for letter in every_letter(admin)]


async def parked(bench: MessageBench, admin: Connection, *sizes: int) -> list[Letter]:
    for size in sizes:
        await bench.send(payload=bytes(size))
    await bench.wait(lambda: bench.left() == 0)
    return await listed(admin)


async def test_every_letter_is_listed_with_why_and_of_whom(
    bench: MessageBench, admin: Connection
) -> None:
    found = await parked(bench, admin, 1, 40_000, 1)
    assert [letter.name for letter in found] == ["1", "2", "large-1"]
    assert {(letter.readable().code, letter.readable().signer) for letter in found} == {
        ("schema", "gatekeeper")
    }
    assert found[0].header().signer == "gatekeeper"


async def test_no_letters_are_no_error(admin: Connection) -> None:
    assert await listed(admin) == []
    with pytest.raises(NotFoundError):
        await one_letter(admin, "1")


async def test_replay_reaches_the_handler_after_the_reader_was_repaired(
    bench: MessageBench, admin: Connection
) -> None:
    (letter,) = await parked(bench, admin, 1)
    await asyncio.sleep(
        PROFILE.retry_limit.total_seconds() + 2 * PROFILE.clock_skew.total_seconds()
    )
    material = check_replay(letter, DenyList())
    assert "gatekeeper/1" in material["signing key"]
    assert "auth-controller/1" in material["statement"]
    bench.reader.keys.know_schemas(Topic(TOPIC), None)
    assert await give_out(admin, letter)
    assert not await give_out(admin, letter), "twice in a row is once"
    await bench.wait(lambda: len(bench.handled) == 1)


async def test_what_was_revoked_is_not_given_out(bench: MessageBench, admin: Connection) -> None:
    (letter,) = await parked(bench, admin, 1)
    header, now = letter.header(), bench.clock.now()
    for deny in (
        DenyList(services={header.signer: now}),
        DenyList(key_ids={header.key_id: now}),
    ):
        with pytest.raises(NotPermittedError, match="revoked"):
            check_replay(letter, deny)


async def test_junk_is_shown_and_not_given_out(bench: MessageBench, admin: Connection) -> None:
    assert bench.sender.connection is not None
    await bench.sender.connection.publish_acked(TOPIC, b"junk", message_id="x")
    (letter,) = await parked(bench, admin)
    assert letter.readable().code == "parse"
    with pytest.raises(MalformedMessageError):
        check_replay(letter, DenyList())


async def test_letter_whose_headers_cannot_be_read_hides_no_other_and_can_be_dropped(
    bench: MessageBench, admin: Connection
) -> None:
    await parked(bench, admin, 1)
    assert bench.reader.connection is not None
    subject = f"dlq.{STREAM}.{DURABLE}.gatekeeper"
    await bench.reader.connection.publish_acked(subject, b"junk", message_id="junk")
    first, junk, last = await parked(bench, admin, 1)
    assert (junk.name, junk.notes) == ("2", None)
    assert None not in {first.notes, last.notes}
    for refused in (lambda: check_replay(junk, DenyList()), junk.header):
        with pytest.raises(MalformedMessageError):
            refused()
    with pytest.raises(MalformedMessageError, match="can only be dropped"):
        await give_out(admin, junk)
    await drop(admin, await one_letter(admin, "2"))
    assert await listed(admin) == [first, last]


async def test_dropped_letter_is_gone_and_makes_room(
    bench: MessageBench, admin: Connection
) -> None:
    first, second = await parked(bench, admin, 1, 1)
    await drop(admin, first)
    assert await listed(admin) == [second]
    with pytest.raises(NotFoundError):
        await one_letter(admin, first.name)
    with pytest.raises(SecureTransportError, match="not dropped"):
        await drop(admin, first)


@pytest.mark.parametrize(
    "text", ["", "0", "-1", "x", "1.5", "large-", "large-0", "²", "9" * 30, "1\n"]
)
def test_name_that_is_none_is_one_line(text: str) -> None:
    with pytest.raises(SecureTransportError, match="ID must be"):
        parse_name(text)
