"""A token file that vanished is put back; one that is there is never touched."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from handover_scene import PLACE, ROLE, Scene
from prometheus_client import CollectorRegistry

from securetransport.credentials.disk import Disk
from securetransport.credentials.sink import Sink
from securetransport.credentials.telemetry import CredentialsMetrics

TOKEN = Path("/dev/shm/gatekeeper-1/token")  # noqa: S108  # of a file system in memory


def sink(scene: Scene) -> Sink:
    scene.files.make_dir(TOKEN.parent, mode=0o700)
    return Sink(
        TOKEN,
        Disk(scene.files, PLACE),
        scene.files,
        scene.approles,
        scene.clock,
        CredentialsMetrics(CollectorRegistry()),
    )


async def test_the_token_that_was_there_is_put_back_with_its_folder() -> None:
    scene = Scene()
    made = sink(scene)
    scene.files.write(TOKEN, "of-the-bao-agent")
    await made.round()
    scene.files.remove(TOKEN.parent)
    await made.round()
    assert scene.files.read(TOKEN) == b"of-the-bao-agent"
    assert scene.files.mode(TOKEN) == 0o600
    assert scene.files.mode(TOKEN.parent) == 0o700
    assert scene.approles.logins == []


async def test_where_no_token_is_known_a_login_gives_one_and_it_is_renewed() -> None:
    scene = Scene()
    made = sink(scene)
    await made.round()
    first = scene.files.read(TOKEN)
    assert first is not None
    assert scene.approles.logins == [ROLE]
    for _ in range(30):
        scene.clock.advance(timedelta(minutes=10))
        await made.round()
    assert scene.files.read(TOKEN) == first
    assert scene.approles.logins == [ROLE]


async def test_a_token_of_its_own_that_has_ended_is_replaced() -> None:
    scene = Scene()
    made = sink(scene)
    await made.round()
    first = scene.files.read(TOKEN)
    scene.clock.advance(timedelta(hours=2))
    await made.round()
    await made.round()
    assert scene.files.read(TOKEN) not in {None, first}


async def test_what_the_bao_agent_wrote_is_left_alone() -> None:
    scene = Scene()
    made = sink(scene)
    await made.round()
    scene.files.write(TOKEN, "of-the-bao-agent")
    scene.clock.advance(timedelta(hours=2))
    changes = len(scene.files.changes)
    await made.round()
    assert len(scene.files.changes) == changes


async def test_without_a_secret_id_nothing_is_made_up() -> None:
    scene = Scene()
    made = sink(scene)
    scene.files.remove(PLACE.secret_id)
    await made.round()
    assert scene.files.read(TOKEN) is None
