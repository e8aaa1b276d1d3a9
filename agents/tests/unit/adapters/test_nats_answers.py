"""Whatever a server says becomes a value or an error of our tree, and nothing waits for ever."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from datetime import UTC, datetime

import nats.aio.client
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from securetransport.adapters.nats import NatsConnection, direct
from securetransport.adapters.nats.link import CLOSE_SECONDS
from securetransport.adapters.nats.message import check_size, delivery_of
from securetransport.adapters.nats.receipts import parse_receipt
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedMessageError,
    SecureTransportError,
)
from securetransport.core.ports.bus import PublishAck, StoredMessage

pytestmark = pytest.mark.virtual_time

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
RECEIPT = st.fixed_dictionaries(
    {},
    optional={
        "stream": JSON,
        "seq": JSON,
        "duplicate": JSON,
        "error": JSON
        | st.fixed_dictionaries({}, optional={"code": JSON, "description": JSON, "err_code": JSON}),
    },
)
NUMBER = st.sampled_from(["1", "0", "-1", "9" * 20, "9" * 5000, "1_0", "\u0661", " 1", "1.0", ""])
INSTANT = st.sampled_from(
    ["2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00Z", "0000-01-01T00:00:00Z", "Z", "x"]
)
HEADERS = st.dictionaries(st.text(), st.text()) | st.fixed_dictionaries(
    {},
    optional={
        "Status": st.sampled_from(["100", "204", "404", "408", "503", "x"]),
        "Nats-Sequence": NUMBER,
        "Nats-Subject": st.text(),
        "Nats-Time-Stamp": INSTANT,
    },
)


@given(st.binary() | JSON.map(lambda v: json.dumps(v).encode()) | RECEIPT.map(json.dumps))
def test_any_receipt_is_read_or_refused(data: bytes | str) -> None:
    raw = data if isinstance(data, bytes) else data.encode()
    try:
        ack = parse_receipt(raw, "orders.new")
    except SecureTransportError:
        return
    assert isinstance(ack, PublishAck)
    assert 0 <= ack.sequence < 2**64


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b"1",
        b'{"stream": "ORDERS"}',
        b'{"seq": 1}',
        b'{"stream": 1, "seq": 1}',
        b'{"stream": "ORDERS", "seq": true}',
        b'{"stream": "ORDERS", "seq": -1}',
        b'{"stream": "ORDERS", "seq": 1e3}',
        b'{"stream": "ORDERS", "seq": ' + b"9" * 5000 + b"}",
        b'{"error": "text"}',
        b'{"error": {"code": "x", "description": 1}}',
        b"[" * 100_000,
    ],
)
def test_unreadable_receipt_is_transient_for_the_message_may_be_stored(data: bytes) -> None:
    with pytest.raises(BusUnavailableError):
        parse_receipt(data, "orders.new")


@given(st.binary(), HEADERS)
def test_any_direct_answer_is_read_or_refused(data: bytes, headers: Mapping[str, str]) -> None:
    try:
        stored = direct.parse(data, headers, "ORDERS")
    except BusUnavailableError:
        return
    assert stored is None or isinstance(stored, StoredMessage)


def test_direct_answer_keeps_the_senders_headers_and_six_decimals() -> None:
    headers = {
        "Mine": "1",
        "Nats-Subject": "orders.a",
        "Nats-Sequence": "18446744073709551615",
        "Nats-Time-Stamp": "2026-01-01T00:00:00.123456789Z",
    }
    stored = direct.parse(b"x", headers, "ORDERS")
    at = datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC)
    assert stored == StoredMessage("orders.a", b"x", 2**64 - 1, at, {"Mine": "1"})


@given(
    st.text()
    | st.lists(NUMBER | st.text(), max_size=12).map(lambda rest: ".".join(["$JS", "ACK", *rest]))
)
@example("$JS.ACK.....0.0..0")
def test_any_reply_subject_is_read_or_belongs_to_no_stream(reply: str) -> None:
    facts = delivery_of(reply)
    assert facts is None or 0 <= facts.stream_sequence < 2**64


def test_headers_count_for_the_size() -> None:
    check_size("a", bytes(10), None, 10)
    with pytest.raises(RejectedMessageError):
        check_size("a", bytes(11), None, 10)
    line = len("NATS/1.0\r\nA: 1\r\n\r\n")
    check_size("a", bytes(10), {"A": "1"}, 10 + line)
    with pytest.raises(RejectedMessageError):
        check_size("a", bytes(10), {"A": "1"}, 9 + line)


class StubbornClient(nats.aio.client.Client):
    """A client whose close swallows every cancellation, as nats-py's may."""

    def __init__(self) -> None:
        super().__init__()
        self.released = asyncio.Event()

    async def close(self) -> None:
        while not self.released.is_set():
            try:
                await self.released.wait()
            except asyncio.CancelledError:
                continue


@pytest.mark.parametrize("ending", ["close", "drain"])
async def test_close_ends_in_time_whatever_the_client_does(ending: str) -> None:
    client = StubbornClient()
    connection = NatsConnection(
        name="a/1", inbox_prefix="_INBOX.a", request_seconds=1.0, on_event=None, client=client
    )
    started = asyncio.get_running_loop().time()
    await (connection.close() if ending == "close" else connection.drain())
    assert asyncio.get_running_loop().time() - started <= CLOSE_SECONDS
    assert connection.is_closed
    with pytest.raises(BusUnavailableError):
        await connection.request("a", b"")
    client.released.set()
    await asyncio.sleep(0)


async def test_close_that_is_cancelled_gives_the_socket_back() -> None:
    client = StubbornClient()
    connection = NatsConnection(
        name="a/1", inbox_prefix="_INBOX.a", request_seconds=1.0, on_event=None, client=client
    )
    closing = asyncio.ensure_future(connection.close())
    await asyncio.sleep(0.1)
    closing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await closing
    assert connection.is_closed
    client.released.set()
    await asyncio.sleep(0)
