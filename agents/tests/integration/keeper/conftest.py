"""Fixtures: an OpenBao of this folder alone, and clusters with keepers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from keeper_scene import Authority, Scene, make_scene
from servers import OpenBao


@pytest.fixture(scope="module")
def own_bao(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OpenBao]:
    """A single OpenBao node that a test may stop and start."""
    server = OpenBao(tmp_path_factory.mktemp("keeper-bao"))
    try:
        yield server.start()
    finally:
        server.stop()


@pytest.fixture(scope="module")
def authority(own_bao: OpenBao) -> Authority:
    """Issuers 1 and 2, 1 signing; bundle {1} and a policy are published."""
    made = Authority(own_bao)
    made.prepare()
    made.make_issuer(1)
    made.make_issuer(2)
    made.sign_with(1)
    made.publish_policy()
    made.publish_bundle(1, active=1)
    return made


@pytest.fixture(scope="module")
def scene(
    tmp_path_factory: pytest.TempPathFactory, own_bao: OpenBao, authority: Authority
) -> Iterator[Scene]:
    """Three servers with keepers; nothing is started."""
    made = make_scene(tmp_path_factory.mktemp("scene"), own_bao, authority, 3)
    try:
        yield made
    finally:
        made.stop()
