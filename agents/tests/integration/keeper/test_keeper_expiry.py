"""One server whose leaf lives six seconds: renewal in time, and a start when everything is over."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from keeper_scene import Authority, Scene, make_scene
from securetransport.adapters.tls import probe
from servers import LOOPBACK, OpenBao, wait_until

LEAF_SECONDS = 6
PROFILE = f'name = "burst"\n[profile.overrides]\nleaf_validity = {LEAF_SECONDS}'


@pytest.fixture(scope="module")
def short(
    tmp_path_factory: pytest.TempPathFactory, own_bao: OpenBao, authority: Authority
) -> Iterator[Scene]:
    made = make_scene(tmp_path_factory.mktemp("short"), own_bao, authority, 1, PROFILE)
    try:
        made.sites[0].start_keeper()
        made.sites[0].start_server()
        made.wait_served(authority.bundle(1, active=1).digest, epoch=1, seconds=60)
        yield made
    finally:
        made.stop()


def served_leaf(scene: Scene) -> str | None:
    return asyncio.run(probe(LOOPBACK, scene.sites[0].port)).leaf_fingerprint


def is_over(scene: Scene) -> bool:
    """Whether the leaf on disk has ended."""
    ready = json.loads((scene.sites[0].managed / "ready.json").read_text())
    return datetime.now(UTC) >= datetime.fromisoformat(ready["leaf_not_after"])


def test_leaf_is_renewed_in_time_without_a_restart(short: Scene) -> None:
    site = short.sites[0]
    pid, seen = site.pid(), set()

    def three_leaf_certificates() -> bool:
        seen.add(served_leaf(short))
        return len(seen - {None}) >= 3

    wait_until("three leaf certificates in a row are served", three_leaf_certificates, 30)
    assert site.pid() == pid
    assert {line["reason"] for line in site.events("leaf_issued")} == {"missing", "age"}


def test_server_starts_after_everything_is_over(short: Scene) -> None:
    site = short.sites[0]
    assert site.server is not None
    site.kill_keeper()
    over = served_leaf(short)
    site.server.kill()
    log = site.home / "server.log"
    wait_until("the leaf is over", lambda: is_over(short), LEAF_SECONDS + 10)
    site.start_server()
    wait_until("it says what for", lambda: "a new server leaf" in log.read_text())
    assert served_leaf(short) is None
    site.start_keeper()
    wait_until("it serves", lambda: served_leaf(short) not in (None, over), 30)
