"""What every server with its control and its probe does: a real nats-server and the fake, alike.

A subclass gives ``bench``: files, a configuration in ``folder``, the server, and what a test does
to it. Nothing is started when it is given.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pytest

from certificates import Issuer
from securetransport.core.ports import Files, PortKind, ProbeResult, ServerControl, TlsProbe

HOST = "127.0.0.1"
ROOT = Issuer.root("contract root")
FIRST = ROOT.intermediate("nats-int e1 0000000000000001")
SECOND = ROOT.intermediate("nats-int e2 0000000000000002")
KINDS: tuple[PortKind, ...] = ("client", "route")


class Process(Protocol):
    """What a test does to a server's process."""

    def start(self) -> None: ...
    def stop(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...


@dataclass
class Bench:
    """One server; ``dead_port`` is a port on which nobody listens."""

    folder: Path
    files: Files
    control: ServerControl
    tls: TlsProbe
    process: Process
    port: int
    route_port: int
    dead_port: int

    @property
    def config(self) -> Path:
        return self.folder / "nats.conf"

    def prepare(self) -> None:
        """Write a configuration that includes the TLS files, as role ``nats`` does."""
        peers = f"tls://localhost:{self.route_port}"
        self.files.write(
            self.config,
            f"""
server_name: nats-1
listen: "{HOST}:{self.port}"
pid_file: "{self.folder}/nats.pid"
include users.conf
tls {{
  include tls.conf
  verify: true
}}
cluster {{
  name: test
  listen: "{HOST}:{self.route_port}"
  routes: ["{peers}"]
  tls {{
    include tls.conf
    verify_cert_and_check_known_urls: true
  }}
}}
""",
        )
        self.files.write(self.folder / "users.conf", "max_payload: 1MB\n")
        self.files.write(
            self.folder / "tls.conf",
            f'cert_file: "{self.folder}/tls.crt"\n'
            f'key_file: "{self.folder}/tls.key"\n'
            f'ca_file: "{self.folder}/ca.crt"\n',
        )
        self.put(FIRST, [FIRST])

    def put(self, issuer: Issuer, anchors: Iterable[Issuer]) -> str:
        """Write a fresh leaf and the trusted CAs; returns the leaf's fingerprint."""
        leaf = issuer.leaf("nats/nats-1")
        self.files.write(self.folder / "tls.crt", leaf.certificate)
        self.files.write(self.folder / "tls.key", leaf.private_key)
        self.files.write(self.folder / "ca.crt", "".join(anchor.pem for anchor in anchors))
        return leaf.fingerprint

    async def look(self, kind: PortKind = "client", seconds: float = 2.0) -> ProbeResult:
        port = self.port if kind == "client" else self.route_port
        return await self.tls.probe(HOST, port, kind=kind, timeout_seconds=seconds)

    async def wait_for(self, check: Callable[[ProbeResult], bool]) -> ProbeResult:
        """Probe until ``check`` holds, for ten seconds."""
        for _ in range(200):
            found = await self.look()
            if check(found):
                return found
            await asyncio.sleep(0.05)
        raise AssertionError(f"not seen; last was {found}")


def names(*issuers: Issuer) -> set[str]:
    return {issuer.common_name for issuer in issuers}


class ServersContract:
    """The suite."""

    @pytest.mark.parametrize("kind", KINDS)
    async def test_probe_shows_leaf_issuer_end_and_trusted_cas(
        self, bench: Bench, kind: PortKind
    ) -> None:
        leaf = bench.put(FIRST, [FIRST, SECOND])
        bench.process.start()
        found = await bench.look(kind)
        assert found.error is None
        assert set(found.ca_names) == names(FIRST, SECOND)
        assert found.issuer_common_name == FIRST.common_name
        assert found.leaf_fingerprint == leaf
        assert found.leaf_not_after is not None

    async def test_server_that_does_not_run_has_no_process_and_no_port(self, bench: Bench) -> None:
        assert not bench.control.is_running()
        assert not bench.control.signal_reload()
        assert (await bench.look()).error is not None

    async def test_stopped_server_does_not_run(self, bench: Bench) -> None:
        bench.process.start()
        assert bench.control.is_running()
        bench.process.stop()
        assert not bench.control.is_running()
        assert not bench.control.signal_reload()
        assert (await bench.look()).error is not None

    async def test_written_files_are_shown_after_the_reload_and_not_before(
        self, bench: Bench
    ) -> None:
        old = bench.put(FIRST, [FIRST])
        bench.process.start()
        new = bench.put(SECOND, [FIRST, SECOND])
        assert (await bench.look()).leaf_fingerprint == old
        assert bench.control.signal_reload()
        found = await bench.wait_for(lambda seen: seen.leaf_fingerprint == new)
        assert set(found.ca_names) == names(FIRST, SECOND)
        route = await bench.look("route")
        assert (route.leaf_fingerprint, set(route.ca_names)) == (new, names(FIRST, SECOND))

    async def test_refused_files_leave_the_old_ones_in_force(self, bench: Bench) -> None:
        old = bench.put(FIRST, [FIRST])
        bench.process.start()
        bench.put(SECOND, [SECOND])
        bench.files.write(bench.folder / "tls.key", b"no key")
        assert bench.control.signal_reload()
        await asyncio.sleep(0.3)
        found = await bench.look()
        assert (found.leaf_fingerprint, set(found.ca_names)) == (old, names(FIRST))
        assert bench.control.is_running()

    async def test_restarted_server_shows_the_files_as_they_are(self, bench: Bench) -> None:
        bench.process.start()
        new = bench.put(SECOND, [SECOND])
        bench.process.stop()
        bench.process.start()
        found = await bench.look()
        assert (found.leaf_fingerprint, set(found.ca_names)) == (new, names(SECOND))

    @pytest.mark.parametrize("kind", KINDS)
    async def test_silent_server_runs_and_tells_a_probe_nothing(
        self, bench: Bench, kind: PortKind
    ) -> None:
        bench.process.start()
        bench.process.pause()
        found = await bench.look(kind, seconds=0.3)
        assert found == ProbeResult(error="no answer in time")
        assert bench.control.is_running()
        bench.process.resume()
        assert (await bench.look(kind)).error is None

    async def test_probe_of_the_wrong_kind_is_an_error(self, bench: Bench) -> None:
        bench.process.start()
        for port, kind in ((bench.port, KINDS[1]), (bench.route_port, KINDS[0])):
            found = await bench.tls.probe(HOST, port, kind=kind, timeout_seconds=0.5)
            assert found.error is not None
            assert found.leaf_fingerprint is None

    @pytest.mark.parametrize("port", [-1, 0, 65536, 99999, 10**30])
    async def test_port_that_cannot_exist_is_an_error_of_the_result(
        self, bench: Bench, port: int
    ) -> None:
        found = await bench.tls.probe(HOST, port)
        assert found == ProbeResult(error=f"port {port} is not 1 to 65535")

    @pytest.mark.parametrize("host", ["", "no such host", "a" * 300, "x..y", "\x00", "ü" * 70])
    async def test_host_that_cannot_exist_is_an_error_of_the_result(
        self, bench: Bench, host: str
    ) -> None:
        found = await bench.tls.probe(host, bench.dead_port, timeout_seconds=2)
        assert found.error
        assert "\n" not in found.error

    async def test_good_configuration_has_no_problem(self, bench: Bench) -> None:
        assert await bench.control.problem_of(bench.config) is None

    @pytest.mark.parametrize(
        ("name", "content"),
        [
            ("nats.conf", "listen: {\n"),
            ("tls.crt", "garbage"),
            ("tls.key", "garbage"),
            ("ca.crt", "garbage"),
            ("ca.crt", ""),
        ],
    )
    async def test_problem_is_told_whether_or_not_the_server_runs(
        self, bench: Bench, name: str, content: str
    ) -> None:
        bench.process.start()
        before = await bench.look()
        bench.files.write(bench.folder / name, content)
        assert await bench.control.problem_of(bench.config)
        assert await bench.look() == before, "a check touches no running server"
        bench.process.stop()
        assert await bench.control.problem_of(bench.config)

    @pytest.mark.parametrize("name", ["nats.conf", "users.conf", "tls.conf", "tls.key", "ca.crt"])
    async def test_absent_file_is_a_problem(self, bench: Bench, name: str) -> None:
        bench.files.remove(bench.folder / name)
        assert await bench.control.problem_of(bench.config)

    async def test_key_of_another_leaf_is_a_problem(self, bench: Bench) -> None:
        other = FIRST.leaf("nats/nats-2")
        bench.files.write(bench.folder / "tls.key", other.private_key)
        assert await bench.control.problem_of(bench.config)
