"""What is about nats-py and TLS; the promises of the port are in the contract of the bus."""

from __future__ import annotations

import asyncio
import signal

import pytest

from securetransport.adapters.nats import NatsConnection
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import Message
from service_bench import Connect
from service_broker import Broker, user


async def test_answers_that_are_waited_for_are_counted(connect: Connect, broker: Broker) -> None:
    admin, sender = await connect("admin"), await connect("sender")
    assert isinstance(sender, NatsConnection)
    asked = asyncio.Event()

    async def silent(_: Message) -> None:
        asked.set()

    await admin.subscribe("orders.ask", silent)
    waiting = asyncio.ensure_future(sender.request("orders.ask", b"", timeout=30.0))
    await asked.wait()
    assert sender.pending == 1
    await asyncio.to_thread(broker.stop)
    with pytest.raises(BusUnavailableError):
        async with asyncio.timeout(5):
            await waiting
    assert sender.pending == 0


async def test_clients_closed_while_they_reconnect_end_for_good(
    connect: Connect, broker: Broker
) -> None:
    """A reconnect of nats-py may swallow its cancellation; then it must find nothing to go on with.

    Without that about one of four goes on for ever, and hangs whoever waits for its end.
    """
    clients = [await connect("sender") for _ in range(24)]
    broker.set_users([user("reader", ["x"], ["_INBOX.reader.>"])])
    async with asyncio.timeout(8):
        while any(client.is_connected for client in clients):
            await asyncio.sleep(0.01)
    for number, client in enumerate(clients):
        await asyncio.sleep(0.003 * (number % 7))
        await client.close()
    assert all(client.is_closed for client in clients)
    async with asyncio.timeout(5):
        while any(_is_of_a_client(task) for task in asyncio.all_tasks()):
            await asyncio.sleep(0.01)


async def test_refused_client_slows_down(connect: Connect, broker: Broker) -> None:
    """Fast for the first seconds, then once a second: it must not hammer the servers."""
    sender = await connect("sender")
    assert isinstance(sender, NatsConnection)
    await asyncio.to_thread(broker.stop)
    options = sender.link.client.options
    async with asyncio.timeout(15):
        while options["reconnect_time_wait"] < 1:
            await asyncio.sleep(0.05)
    await asyncio.to_thread(broker.start)
    async with asyncio.timeout(8):
        while not sender.is_connected:
            await asyncio.sleep(0.05)
    assert options["reconnect_time_wait"] < 1


async def test_server_that_goes_on_after_a_pause_is_used_again(
    connect: Connect, broker: Broker
) -> None:
    sender = await connect("sender")
    assert isinstance(sender, NatsConnection)
    broker.signal(signal.SIGSTOP)
    async with asyncio.timeout(8):
        while sender.is_connected:
            await asyncio.sleep(0.05)
    broker.signal(signal.SIGCONT)
    await sender.wait_connected(8.0)


def _is_of_a_client(task: asyncio.Task[object]) -> bool:
    return any(kind in str(task.get_coro()) for kind in ("Client.", "Transport.", "Subscription."))
