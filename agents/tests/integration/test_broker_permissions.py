"""The compiled users on a real nats-server: every row of the matrix is asked, and the flows work.

The server runs the text that a keeper would write, for the ACL file of the local inventory.
"""

from __future__ import annotations

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from certificates import TRUST_DOMAIN, Issuer
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.tls import client_context
from securetransport.core.acl import (
    Acl,
    MatrixRow,
    compile_broker,
    compile_consumers,
    compile_streams,
    load_acl,
    matrix,
    render_broker_conf,
)
from securetransport.core.base import names
from securetransport.core.base.errors import BusUnavailableError, PermissionDeniedError
from securetransport.core.base.names import ServiceId
from securetransport.core.base.profile import PROFILES
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.ports.bus import Connection, Credentials
from servers import LOOPBACK, MakeNats, NatsServer

ACL_FILE = Path(__file__).parents[3] / "inventories" / "local" / "group_vars" / "acl.yml"
FOREIGN = """
foreign:
  monitor:
    reason: dashboards
    trust_reload_seconds: 60
    subscribe: [observe.servers, auth.>]
"""
EVERYONE = (
    "admin",
    "auth-controller",
    "gatekeeper",
    "keeper",
    "metadata",
    "monitor",
    "nats",
    "probe",
    "watcher",
)
NOW = datetime(2026, 1, 1, tzinfo=UTC)
Join = Callable[[str], Awaitable[Connection]]


@pytest.fixture(scope="module")
def acl() -> Acl:
    text = ACL_FILE.read_text().replace("securetransport.local", TRUST_DOMAIN)
    return load_acl(text.replace("\nforeign: {}\n", FOREIGN))


@pytest.fixture(scope="module")
def issuer(pki: Issuer) -> Issuer:
    return pki.intermediate("nats-int e1 00000000000000ac")


@pytest.fixture(scope="module")
def empty_server(make_nats: MakeNats, issuer: Issuer, acl: Acl) -> NatsServer:
    """A server without streams, where asking for a deletion destroys nothing."""
    text = render_broker_conf(compile_broker(acl))
    return make_nats(1, issuer, [issuer], accounts=text)[0]


@pytest.fixture(scope="module")
def server(make_nats: MakeNats, issuer: Issuer, acl: Acl) -> NatsServer:
    text = render_broker_conf(compile_broker(acl))
    return make_nats(1, issuer, [issuer], accounts=text)[0]


@pytest.fixture
async def join(server: NatsServer, issuer: Issuer) -> AsyncIterator[Join]:
    """Return a function that connects as an identity."""
    async with AsyncExitStack() as stack:

        async def connect(service: str) -> Connection:
            made = await _connect(server, issuer, service)
            stack.push_async_callback(made.close)
            return made

        yield connect


@pytest.fixture
async def streams(join: Join, acl: Acl) -> None:
    """Build streams and durables as Ansible does: as ``admin``; twice is fine."""
    admin = await join("admin")
    for config in compile_streams(acl, PROFILES["compressed"], replicas=1):
        await _api(admin, f"STREAM.CREATE.{config['name']}", config)
    for body in compile_consumers(acl, replicas=1):
        stream, durable = body["stream_name"], body["config"]["durable_name"]
        await _api(admin, f"CONSUMER.CREATE.{stream}.{durable}", body)


def _credentials(issuer: Issuer, service: str) -> Credentials:
    return Credentials((issuer.der,), issuer.leaf(f"{service}/1"))


async def _connect(server: NatsServer, issuer: Issuer, service: str) -> Connection:
    return await NatsBus().connect(
        [server.url],
        _credentials(issuer, service),
        name=f"{service}/1",
        inbox_prefix=names.inbox_prefix(ServiceId(service)),
    )


async def _api(connection: Connection, verb: str, body: object = None) -> dict[str, Any]:
    data = b"" if body is None else json.dumps(body).encode()
    answer: dict[str, Any] = json.loads((await connection.request(f"$JS.API.{verb}", data)).data)
    assert "error" not in answer, answer["error"]
    return answer


# --- the matrix ----------------------------------------------------------------------------------


def _refused(server: NatsServer, issuer: Issuer, rows: list[MatrixRow]) -> set[tuple[str, str]]:
    """Return (action, subject) of every row that the server refuses to one identity.

    Speaks the protocol itself: a client library would hide or delay refusals.
    """
    raw = socket.create_connection((LOOPBACK, server.port), 5)
    raw.settimeout(5)
    while raw.recv(1) != b"\n":  # the INFO line comes before TLS
        pass
    own = _credentials(issuer, rows[0].service)
    context = client_context(own.anchors, own.identity)
    with context.wrap_socket(raw, server_hostname=LOOPBACK) as link:
        link.sendall(b'CONNECT {"verbose":false,"pedantic":false,"headers":false}\r\nPING\r\n')
        greeting = _until_pong(link)
        if "Authorization Violation" in greeting:
            return {(row.action, row.subject) for row in rows}
        for number, row in enumerate(rows):
            line = (
                f"PUB {row.subject} 0\r\n"
                if row.action == "publish"
                else (f"SUB {row.subject} {number}\r\nUNSUB {number}\r\n")
            )
            link.sendall(line.encode() + b"\r\n" * (row.action == "publish"))
        link.sendall(b"PING\r\n")
        text = _until_pong(link)
    words = {"Publish": "publish", "Subscription": "subscribe"}
    found = re.findall(r"Permissions Violation for (Publish|Subscription) to \"([^\"]+)\"", text)
    return {(words[kind], subject) for kind, subject in found}


def _until_pong(link: ssl.SSLSocket) -> str:
    data = b""
    while b"PONG\r\n" not in data:
        try:
            more = link.recv(65536)
        except ConnectionError:
            break
        if not more:
            break
        data += more
    return data.decode()


@pytest.mark.parametrize(
    "service",
    EVERYONE,
)
def test_server_allows_and_denies_what_the_matrix_says(
    empty_server: NatsServer, issuer: Issuer, acl: Acl, service: str
) -> None:
    rows = [row for row in matrix(acl) if row.service == service]
    assert len(rows) > 100
    expected = {(row.action, row.subject) for row in rows if not row.is_allowed}
    assert _refused(empty_server, issuer, rows) == expected


def test_matrix_asks_about_every_identity(acl: Acl) -> None:
    assert {row.service for row in matrix(acl)} == set(EVERYONE)


# --- who gets in ---------------------------------------------------------------------------------


@pytest.mark.parametrize("service", ["probe", "nats", "keeper", "stranger"])
async def test_leaf_without_a_user_is_refused(join: Join, service: str) -> None:
    with pytest.raises((PermissionDeniedError, BusUnavailableError)):
        await join(service)


async def test_denied_service_is_refused_and_the_others_stay(
    make_nats: MakeNats, issuer: Issuer, acl: Acl
) -> None:
    deny = DenyList(services={ServiceId("gatekeeper"): NOW})
    text = render_broker_conf(compile_broker(acl, deny))
    denying = make_nats(1, issuer, [issuer], accounts=text)[0]
    with pytest.raises((PermissionDeniedError, BusUnavailableError)):
        await _connect(denying, issuer, "gatekeeper")
    other = await _connect(denying, issuer, "auth-controller")
    await other.close()


# --- flows ---------------------------------------------------------------------------------------


@pytest.mark.usefixtures("streams")
async def test_message_goes_from_producer_to_consumer_with_these_rights(join: Join) -> None:
    sender, reader = await join("gatekeeper"), await join("auth-controller")
    ack = await sender.publish_acked("auth.requests", b"hello", message_id="m-1", timeout=5)
    assert ack
    pull = await reader.pull("AUTH_STREAM", "auth-controller")
    message = await asyncio.wait_for(pull.next(), 5)
    assert message is not None
    assert message.data == b"hello"
    await message.ack()
    await reader.flush()
    info = await _api(await join("admin"), "CONSUMER.INFO.AUTH_STREAM.auth-controller")
    assert info["ack_floor"]["consumer_seq"] == 1
    assert info["num_ack_pending"] == 0


@pytest.mark.usefixtures("streams")
async def test_consumer_parks_a_message_in_its_own_dead_letters_only(join: Join) -> None:
    reader = await join("auth-controller")
    await reader.publish_acked(
        "dlq.AUTH_STREAM.auth-controller.gatekeeper", b"x", message_id="d-1", timeout=5
    )
    with pytest.raises(PermissionDeniedError):
        await reader.publish_acked(
            "dlq.AUTH_STREAM.other.gatekeeper", b"x", message_id="d-2", timeout=5
        )


@pytest.mark.usefixtures("streams")
async def test_only_an_administrator_reads_and_drops_dead_letters(join: Join) -> None:
    reader, admin = await join("auth-controller"), await join("admin")
    for number, large in ((1, ""), (2, ".large")):
        subject = f"dlq.AUTH_STREAM.auth-controller.gatekeeper{large}"
        await reader.publish_acked(subject, b"x", message_id=f"drop-{number}", timeout=5)
    for stream in ("DEAD_LETTERS", "DEAD_LETTERS_LARGE"):
        found = await admin.list_last(stream, "dlq.>")
        with pytest.raises(PermissionDeniedError):
            await reader.list_last(stream, "dlq.>")
        body = json.dumps({"seq": found[-1].sequence}).encode()
        with pytest.raises(PermissionDeniedError):
            await reader.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", body)
        answer = await admin.request(f"$JS.API.STREAM.MSG.DELETE.{stream}", body)
        assert json.loads(answer.data)["success"] is True


@pytest.mark.usefixtures("streams")
async def test_publishing_on_the_topic_of_another_is_denied(join: Join) -> None:
    sender = await join("gatekeeper")
    with pytest.raises(PermissionDeniedError):
        await sender.publish_acked("gatekeeper.responses", b"forged", message_id="f-1", timeout=5)


@pytest.mark.usefixtures("streams")
async def test_pulling_from_the_durable_of_another_is_denied(join: Join) -> None:
    pull = await (await join("gatekeeper")).pull("AUTH_STREAM", "auth-controller")
    with pytest.raises(PermissionDeniedError):
        await asyncio.wait_for(pull.next(), 5)


@pytest.mark.usefixtures("streams")
@pytest.mark.parametrize("service", ["gatekeeper", "auth-controller", "metadata", "monitor"])
async def test_creating_a_consumer_is_denied(join: Join, service: str) -> None:
    intruder = await join(service)
    config = {"deliver_subject": "_INBOX.gatekeeper.x", "ack_policy": "none"}
    body = json.dumps({"stream_name": "AUTH_STREAM", "config": config}).encode()
    for subject in (
        "$JS.API.CONSUMER.CREATE.AUTH_STREAM",
        "$JS.API.CONSUMER.CREATE.AUTH_STREAM.spy",
        "$JS.API.CONSUMER.DURABLE.CREATE.AUTH_STREAM.spy",
    ):
        with pytest.raises(PermissionDeniedError):
            await intruder.request(subject, body)


async def test_subscribing_to_the_inbox_of_another_is_denied(join: Join) -> None:
    async def ignore(_: object) -> None: ...

    spy = await join("gatekeeper")
    # Often, because the refusal races with the answer to a flush.
    for subject in ("_INBOX.auth-controller.>", "_INBOX.>", ">", "auth.requests") * 50:
        with pytest.raises(PermissionDeniedError):
            await spy.subscribe(subject, ignore)


@pytest.mark.usefixtures("streams")
async def test_trust_announcement_is_heard_and_read_back(join: Join) -> None:
    authority, member = await join("metadata"), await join("gatekeeper")
    heard: asyncio.Queue[bytes] = asyncio.Queue()

    async def take(message: Any) -> None:
        await heard.put(message.data)

    await member.subscribe(names.SUBJECT_TRUST_NOTICE, take)
    await authority.publish_acked(names.SUBJECT_TRUST_NOTICE, b"v1", message_id="t-1", timeout=5)
    assert await asyncio.wait_for(heard.get(), 5) == b"v1"
    stored = await member.last_message(names.STREAM_CA_CLIENT, names.SUBJECT_TRUST_NOTICE)
    assert stored is not None
    assert stored.data == b"v1"
    with pytest.raises(PermissionDeniedError):
        await member.publish_acked(names.SUBJECT_TRUST_NOTICE, b"forged", message_id="t", timeout=5)


@pytest.mark.usefixtures("streams")
async def test_attestations_of_members_and_watcher_reach_the_authority(join: Join) -> None:
    member, watcher, authority = (
        await join("gatekeeper"),
        await join("watcher"),
        await join("metadata"),
    )
    for number in (1, 2):
        await member.publish_acked(
            "metadata.attest.gatekeeper.1", b"a%d" % number, message_id=f"a-{number}", timeout=5
        )
        await watcher.publish("metadata.attest.watcher.1", b"w%d" % number)
    await watcher.flush()
    with pytest.raises(PermissionDeniedError):
        await member.publish_acked("metadata.attest.watcher.1", b"x", message_id="a-3", timeout=5)
    await asyncio.sleep(0.2)  # the watcher's account gets no receipt
    found = await authority.list_last(names.STREAM_ATTESTATIONS, "metadata.attest.>")
    assert {item.subject: item.data for item in found} == {
        "metadata.attest.gatekeeper.1": b"a2",
        "metadata.attest.watcher.1": b"w2",
    }


async def test_authority_hears_the_watcher_and_commands_it(join: Join) -> None:
    watcher, authority, member = (
        await join("watcher"),
        await join("metadata"),
        await join("gatekeeper"),
    )
    reports: asyncio.Queue[bytes] = asyncio.Queue()

    async def report(message: Any) -> None:
        await reports.put(message.data)

    async def obey(message: Any) -> None:
        await watcher.publish(message.reply, b"done: " + message.data)

    await authority.subscribe(names.SUBJECT_SERVER_REPORT, report)
    await watcher.subscribe(names.SUBJECT_WATCHER_COMMAND, obey)
    await watcher.publish(names.SUBJECT_SERVER_REPORT, b"r")
    assert await asyncio.wait_for(reports.get(), 5) == b"r"
    assert (await authority.request(names.SUBJECT_WATCHER_COMMAND, b"probe")).data == b"done: probe"
    with pytest.raises(PermissionDeniedError):
        await member.request(names.SUBJECT_WATCHER_COMMAND, b"kick")


async def test_watcher_asks_servers_and_nobody_else_does(join: Join) -> None:
    watcher = await join("watcher")
    answer = json.loads((await watcher.request("$SYS.REQ.SERVER.PING.CONNZ")).data)
    server_id = answer["server"]["id"]
    users = json.loads(
        (await watcher.request(f"$SYS.REQ.SERVER.{server_id}.CONNZ", b'{"auth":true}')).data
    )["data"]["connections"]
    assert f"spiffe://{TRUST_DOMAIN}/watcher" in {item["authorized_user"] for item in users}
    reloaded = json.loads((await watcher.request(f"$SYS.REQ.SERVER.{server_id}.RELOAD")).data)
    assert "error" not in reloaded, reloaded
    for service in ("gatekeeper", "metadata", "admin"):
        other = await join(service)
        with pytest.raises(PermissionDeniedError):
            await other.request(f"$SYS.REQ.SERVER.{server_id}.RELOAD")


async def test_authority_answers_a_request_and_writes_to_no_inbox_unasked(join: Join) -> None:
    authority, member = await join("metadata"), await join("gatekeeper")

    async def answer(message: Any) -> None:
        await authority.publish(message.reply, b"sealed")

    await authority.subscribe(f"{names.SUBJECT_KEY_EXCHANGE}.*", answer)
    own = names.subject_key_exchange(ServiceId("gatekeeper"))
    assert (await member.request(own, b"please")).data == b"sealed"
    for other in (names.SUBJECT_KEY_EXCHANGE, names.subject_key_exchange(names.WATCHER)):
        with pytest.raises(PermissionDeniedError):
            await member.request(other, b"please")
    with pytest.raises(PermissionDeniedError):
        await authority.request("_INBOX.gatekeeper.x", b"unasked")


@pytest.mark.usefixtures("streams")
async def test_streams_and_durables_come_back_as_they_were_written(join: Join, acl: Acl) -> None:
    admin = await join("admin")
    for config in compile_streams(acl, PROFILES["compressed"], replicas=1):
        found = (await _api(admin, f"STREAM.INFO.{config['name']}"))["config"]
        assert {key: found.get(key) for key in config} == config
    for body in compile_consumers(acl, replicas=1):
        verb = f"CONSUMER.INFO.{body['stream_name']}.{body['config']['name']}"
        found = (await _api(admin, verb))["config"]
        assert {key: found.get(key) for key in body["config"]} == body["config"]


@pytest.mark.usefixtures("streams")
async def test_copy_inside_the_window_is_dropped_by_the_server(join: Join) -> None:
    sender = await join("gatekeeper")
    first = await sender.publish_acked("auth.requests", b"x", message_id="same", timeout=5)
    again = await sender.publish_acked("auth.requests", b"x", message_id="same", timeout=5)
    assert (first.is_duplicate, again.is_duplicate) == (False, True)
    assert first.sequence == again.sequence
