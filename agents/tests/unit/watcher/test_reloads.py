"""What the watcher remembers of a server's reloads."""

from __future__ import annotations

from securetransport.core.decisions.broker_health import Reload, should_reload
from securetransport.core.formats.body import Version
from securetransport.watcher.reloads import ReloadMemory

V1, V2 = Version(counter=1), Version(counter=2)


def due(memory: ReloadMemory, now: float) -> bool:
    seen = memory.observe(shows_newest=True, now=now, patience=2.0)
    return isinstance(should_reload(seen), Reload)


def test_an_answer_without_an_error_confirms_the_version_until_the_next_one() -> None:
    memory = ReloadMemory()
    memory.note(V1, 100.0)
    memory.answered(None, shows_newest=True, now=100.0)
    assert not due(memory, 200.0)
    memory.note(V2, 300.0)
    assert due(memory, 300.0)


def test_an_error_stays_until_a_reload_is_accepted() -> None:
    memory = ReloadMemory()
    memory.note(V1, 100.0)
    memory.answered("bad", shows_newest=True, now=100.0)
    assert memory.error == "bad"
    assert not due(memory, 101.0)
    assert due(memory, 102.0)
    memory.answered(None, shows_newest=True, now=102.0)
    assert memory.error is None
    assert not due(memory, 110.0)


def test_an_answer_of_a_server_that_shows_another_set_confirms_nothing() -> None:
    memory = ReloadMemory()
    memory.note(V1, 100.0)
    memory.answered(None, shows_newest=False, now=100.0)
    assert due(memory, 110.0)
