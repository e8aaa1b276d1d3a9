"""``OpenBaoStore`` on real nodes: tokens, rights, failover; and on nodes that misbehave."""

from __future__ import annotations

import asyncio
import json
import ssl
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from certificates import Issuer
from securetransport.adapters.files import write_atomic
from securetransport.adapters.openbao import OpenBaoStore
from securetransport.core.base.errors import (
    MalformedMessageError,
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from servers import LOOPBACK, OpenBao

READ_A = 'path "secret/data/rights/a" { capabilities = ["read"] }'


async def test_policy_that_says_no_is_permission_denied(bao: OpenBao) -> None:
    store = bao.store(bao.token_file(READ_A))
    assert await store.kv_get("rights/a") is None
    with pytest.raises(PermissionDeniedError) as caught:
        await store.kv_get("rights/b")
    assert caught.value.fields["path"] == "secret/data/rights/b"
    with pytest.raises(PermissionDeniedError):
        await store.kv_put("rights/a", {}, cas=0)


async def test_missing_token_file_is_waited_for(bao: OpenBao, tmp_path: Path) -> None:
    token_file = tmp_path / "token"
    store = bao.store(token_file)
    with pytest.raises(SecretStoreUnavailableError, match="no token yet"):
        await store.kv_get("rights/a")
    write_atomic(token_file, "")
    with pytest.raises(SecretStoreUnavailableError, match="no token yet"):
        await store.kv_get("rights/a")
    write_atomic(token_file, bao.admin_token_file.read_text() + "\n")
    assert await store.kv_get("rights/a") is None


async def test_replaced_token_is_used_by_the_next_call(bao: OpenBao, tmp_path: Path) -> None:
    """Also when the old one would still work, so that it is not a refusal that tells."""
    token_file = tmp_path / "token"
    write_atomic(token_file, bao.admin_token_file.read_text())
    store = bao.store(token_file)
    assert await store.kv_get("rights/b") is None
    write_atomic(token_file, bao.token_file(READ_A).read_text())
    with pytest.raises(PermissionDeniedError):
        await store.kv_get("rights/b")
    assert await store.kv_get("rights/a") is None


async def test_token_replaced_behind_our_back_is_read_again_on_403(
    bao: OpenBao, tmp_path: Path
) -> None:
    """A file whose time, size and inode did not change, so that only the refusal tells."""
    import os  # noqa: PLC0415  # this test alone forges file times

    token_file = tmp_path / "token"
    first, second = bao.token_file(READ_A).read_text(), bao.admin_token_file.read_text()
    assert len(first) == len(second)
    token_file.write_text(first)
    found = token_file.stat()
    store = bao.store(token_file)
    assert await store.kv_get("rights/a") is None
    token_file.write_text(second)
    os.utime(token_file, ns=(found.st_atime_ns, found.st_mtime_ns))
    assert await store.kv_get("rights/b") is None


async def test_each_call_is_reported_with_its_outcome(bao: OpenBao) -> None:
    seen: list[tuple[str, str]] = []
    store = OpenBaoStore(
        bao.addresses,
        bao.ca_file,
        bao.token_file(READ_A),
        on_call=lambda operation, seconds, outcome: seen.append(
            (operation, outcome if 0 < seconds < 5 else "impossible")
        ),
    )
    await store.kv_get("rights/a")
    with pytest.raises(PermissionDeniedError):
        await store.kv_get("rights/b")
    await store.server_time()
    store.close()
    assert seen == [("kv_get", "missing"), ("kv_get", "denied"), ("server_time", "ok")]


async def test_node_with_a_certificate_of_another_ca_is_not_believed(
    bao: OpenBao, tmp_path: Path
) -> None:
    other = tmp_path / "other.crt"
    other.write_text(Issuer.root("another CA").pem)
    store = OpenBaoStore(bao.addresses, other, bao.admin_token_file, 2.0)
    with pytest.raises(SecretStoreUnavailableError, match="certificate_verify_failed"):
        await store.kv_get("rights/a")
    store.close()


async def test_nobody_listening_is_unavailable_at_once(bao: OpenBao) -> None:
    store = OpenBaoStore(("https://127.0.0.1:1",), bao.ca_file, bao.admin_token_file, 5.0)
    started = time.monotonic()
    with pytest.raises(SecretStoreUnavailableError, match="connection refused"):
        await store.kv_put("x", {}, cas=0)
    assert time.monotonic() - started < 1
    store.close()


async def test_error_texts_hold_no_token(bao: OpenBao) -> None:
    token_file = bao.token_file(READ_A)
    store = bao.store(token_file)
    with pytest.raises(SecureTransportError) as caught:
        await store.kv_get("rights/b")
    assert token_file.read_text() not in repr(caught.value) + str(caught.value)


@pytest.mark.parametrize("path", ["../config", "enroll/gatekeeper/1/..", "a/./b", "a//b"])
async def test_path_that_means_another_path_is_refused(bao: OpenBao, path: str) -> None:
    """Names that others wrote become paths; none may lead out of its folder."""
    store = bao.store()
    for call in (store.kv_get(path), store.kv_list(path), store.kv_destroy(path)):
        with pytest.raises(SecureTransportError, match="not a plain path"):
            await call


# --- three nodes -----------------------------------------------------------------------------


@pytest.mark.timeout(120)
async def test_cluster_reads_are_fresh_and_calls_survive_loss_of_the_active_node(
    bao_cluster: OpenBao,
) -> None:
    """One history, because starting three nodes takes 15 s."""
    active = bao_cluster.active()
    standby = (active + 1) % 3
    writer = OpenBaoStore(
        (bao_cluster.addresses[active],), bao_cluster.ca_file, bao_cluster.admin_token_file
    )
    reader = OpenBaoStore(
        (bao_cluster.addresses[standby],), bao_cluster.ca_file, bao_cluster.admin_token_file
    )
    for number in range(50):
        await writer.kv_put("fresh/a", {"n": number}, cas=number)
        entry = await reader.kv_get("fresh/a")
        assert entry is not None
        assert entry.value == {"n": number}
    assert await reader.kv_put("fresh/b", {"via": "standby"}, cas=0) == 1

    store = bao_cluster.store(timeout_seconds=2.0)
    await store.kv_put("fresh/c", {"n": 1}, cas=0)
    bao_cluster.processes[active].kill()
    deadline = time.monotonic() + 20
    while True:
        try:
            entry = await store.kv_get("fresh/c")
            break
        except SecretStoreUnavailableError:
            assert time.monotonic() < deadline, "no take-over"
            await asyncio.sleep(0.1)
    assert entry is not None
    assert await store.kv_put("fresh/c", {"n": 2}, cas=1) == 2
    started = time.monotonic()
    await store.kv_get("fresh/c")
    assert time.monotonic() - started < 1, "the dead node is no longer asked first"
    writer.close()
    reader.close()


# --- nodes that misbehave --------------------------------------------------------------------

Answer = Callable[[str, str], tuple[int, dict[str, str], object]]


class Node:
    """An HTTPS server that answers as told and remembers what it was asked."""

    def __init__(self, issuer: Issuer, directory: Path, answer: Answer) -> None:
        self.asked: list[tuple[str, str, str | None]] = []
        node = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def _reply(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                node.asked.append((self.command, self.path, self.headers.get("X-Vault-Token")))
                status, headers, body = answer(self.command, self.path)
                content = json.dumps(body).encode()
                self.send_response(status)
                for name, value in {**headers, "Content-Length": str(len(content))}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = do_LIST = do_DELETE = _reply  # noqa: N815  # names of http.server

            def log_message(self, *_args: object) -> None:
                return

        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        self._server.daemon_threads = True
        leaf = issuer.leaf("openbao")
        path = directory / f"node-{self._server.server_port}.pem"
        write_atomic(path, leaf.certificate + leaf.private_key)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(path)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.address = f"https://{LOOPBACK}:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(5)


MakeStore = Callable[..., tuple[OpenBaoStore, list[Node]]]


@pytest.fixture
def nodes(tmp_path: Path) -> Iterator[MakeStore]:
    issuer = Issuer.root("nodes")
    (tmp_path / "ca.crt").write_text(issuer.pem)
    (tmp_path / "token").write_text("s.the-token")
    started: list[Node] = []
    stores: list[OpenBaoStore] = []

    def make(*answers: Answer) -> tuple[OpenBaoStore, list[Node]]:
        mine = [Node(issuer, tmp_path, answer) for answer in answers]
        started.extend(mine)
        store = OpenBaoStore(
            [node.address for node in mine], tmp_path / "ca.crt", tmp_path / "token", 1.0
        )
        stores.append(store)
        return store, mine

    yield make
    for store in stores:
        store.close()
    for node in started:
        node.stop()


def fine(_method: str, _path: str) -> tuple[int, dict[str, str], object]:
    return 200, {}, {"data": {"data": {"n": 1}, "metadata": {"version": 3}, "version": 4}}


def failing(status: int, *errors: str) -> Answer:
    return lambda _method, _path: (status, {}, {"errors": list(errors)})


@pytest.mark.parametrize(
    "bad",
    [
        failing(503, "Vault is sealed"),
        failing(500, "local node not active but active cluster node not found"),
        failing(429, "rate limit quota exceeded"),
        lambda _method, _path: (307, {"Location": "https://127.0.0.1:1/v1/x"}, {}),
    ],
    ids=["sealed", "no leader", "rate limit", "redirect"],
)
async def test_write_goes_on_to_the_next_node_when_the_first_did_nothing(
    nodes: MakeStore, bad: Answer
) -> None:
    store, (first, second) = nodes(bad, fine)
    assert await store.kv_put("a", {}, cas=3) == 4
    assert await store.kv_put("a", {}, cas=3) == 4
    assert (len(first.asked), len(second.asked)) == (1, 2), "the good node is then asked first"


async def test_redirect_is_not_followed_with_the_token(nodes: MakeStore) -> None:
    store, (thief,) = nodes(fine)
    redirecting, (first,) = nodes(
        lambda _method, path: (307, {"Location": thief.address + path}, {})
    )
    with pytest.raises(SecretStoreUnavailableError):
        await redirecting.kv_get("a")
    assert len(first.asked) == 1
    assert thief.asked == []
    assert store is not redirecting


async def test_write_with_unknown_outcome_is_not_repeated(nodes: MakeStore) -> None:
    store, (first, second) = nodes(failing(500, "something broke half way"), fine)
    with pytest.raises(SecretStoreUnavailableError) as caught:
        await store.kv_put("a", {}, cas=3)
    assert caught.value.fields["outcome"] == "unknown"
    assert (len(first.asked), len(second.asked)) == (1, 0)


async def test_read_with_unknown_outcome_is_repeated_on_the_next_node(nodes: MakeStore) -> None:
    store, (first, second) = nodes(failing(500, "something broke half way"), fine)
    entry = await store.kv_get("a")
    assert entry is not None
    assert entry.cas == 3
    assert (len(first.asked), len(second.asked)) == (1, 1)


async def test_silent_node_costs_one_timeout(nodes: MakeStore) -> None:
    def slow(method: str, path: str) -> tuple[int, dict[str, str], object]:
        time.sleep(1.5)
        return fine(method, path)

    store, (first, second) = nodes(slow, fine)
    started = time.monotonic()
    assert await store.kv_get("a") is not None
    assert 0.9 < time.monotonic() - started < 1.4
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HTTPS_PROXY", "http://127.0.0.1:1")
        assert await store.kv_get("a") is not None, "a proxy of the environment has no say"
    assert (len(first.asked), len(second.asked)) == (1, 2)
    await asyncio.sleep(0.7)  # let the slow handler end before its server is closed


async def test_stored_value_that_cannot_be_read_is_an_error_of_ours(bao: OpenBao) -> None:
    """Whoever may write one entry may write this; OpenBao takes it, and gives it back as it is."""
    value, path = "[" * 2000 + "]" * 2000, "junk/nested"
    token = bao.admin_token_file.read_text().strip()
    context = ssl.create_default_context(cafile=str(bao.ca_file))
    request = urllib.request.Request(  # noqa: S310  # a fixed scheme
        f"{bao.addresses[0]}/v1/secret/data/{path}",
        f'{{"data": {{"a": {value}}}, "options": {{"cas": 0}}}}'.encode(),
        {"X-Vault-Token": token},
        method="POST",
    )
    await asyncio.to_thread(urllib.request.urlopen, request, context=context, timeout=5)
    with pytest.raises(MalformedMessageError, match=f"path=secret/data/{path}"):
        await bao.store().kv_get(path)
