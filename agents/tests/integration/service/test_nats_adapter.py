"""What is about nats-py and TLS; the promises of the port are in the contract of the bus."""

from __future__ import annotations

import asyncio
import signal

import pytest

from securetransport.adapters.nats import NatsConnection
from securetransport.core.base.errors import BusUnavailableError
from securetransport.core.ports.bus import Message
from service_bench import Connect
from service_broker import Broker


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


async def test_closed_client_leaves_no_task_and_no_server_to_try(
    connect: Connect, broker: Broker
) -> None:
    """A reconnect of nats-py may swallow its cancellation; it must find nothing to go on with."""
    sender = await connect("sender")
    assert isinstance(sender, NatsConnection)
    before = {task for task in asyncio.all_tasks() if not _is_of_the_client(task)}
    await asyncio.to_thread(broker.stop)
    async with asyncio.timeout(5):
        while sender.is_connected:
            await asyncio.sleep(0.01)
    await sender.close()
    async with asyncio.timeout(5):
        while {task for task in asyncio.all_tasks() if task not in before}:
            await asyncio.sleep(0.01)
    assert sender.link.client.is_closed


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


def _is_of_the_client(task: asyncio.Task[object]) -> bool:
    return "Client." in str(task.get_coro()) or "Subscription." in str(task.get_coro())
