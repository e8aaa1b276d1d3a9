"""Fixtures: a cluster with keepers and a watcher, all processes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper_scene import Authority, Scene, make_scene
from servers import OpenBao
from watcher_scene import WatcherProcess


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """Three servers that serve epoch 1 and trust it."""
    bao = OpenBao(tmp_path_factory.mktemp("watcher-bao"))
    made: Scene | None = None
    try:
        authority = Authority(bao.start())
        authority.prepare()
        authority.make_issuer(1)
        authority.make_issuer(2)
        authority.sign_with(1)
        authority.publish_policy()
        digest = authority.publish_bundle(1, active=1)
        made = make_scene(tmp_path_factory.mktemp("scene"), bao, authority, 3)
        for site in made.sites:
            site.start_keeper()
            site.start_server()
        made.wait_served(digest, epoch=1, seconds=60)
        yield made
    finally:
        if made is not None:
            made.stop()
        bao.stop()


@pytest.fixture(scope="module")
def watcher(tmp_path_factory: pytest.TempPathFactory, scene: Scene) -> Iterator[WatcherProcess]:
    """The watcher of that cluster."""
    made = WatcherProcess(tmp_path_factory.mktemp("watcher"), scene)
    try:
        made.start()
        yield made
    finally:
        made.stop()
