"""Images and trees, really made: the same twice, and nothing goes on when the lab is killed."""

from __future__ import annotations

import filecmp
import io
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from lab import images, paths
from lab.errors import LabError
from lab.images import making, trees
from lab.images.inputs import Compiled, Sources
from lab.paths import DATA, Cache
from lab.report import Report
from lab.waiting import wait_for


class NoTools:
    """A cache of tools with nothing in it."""

    def program(self, name: str) -> Path:
        raise LabError(f"{name} is not built")


@pytest.fixture
def sources(tmp_path: Path, said: io.StringIO) -> Sources:
    return Sources(Cache(tmp_path / "cache"), NoTools(), Report(said))


def test_pause_ends_when_it_is_told_to(tmp_path: Path, sources: Sources) -> None:
    (tmp_path / "pause.c").write_bytes((DATA / "images/pause/pause.c").read_bytes())
    Compiled("pause").put(tmp_path, sources)
    process = subprocess.Popen([tmp_path / "bin" / "pause"])
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(0.2)
    process.send_signal(signal.SIGTERM)
    assert process.wait(5) == 0


def test_the_same_inputs_give_the_same_digest(tmp_path: Path, said: io.StringIO) -> None:
    names = ["pause", "base"]
    earlier = images.ensure(paths.cache(), NoTools(), names, Report(said))
    cache = Cache(tmp_path / "cache")
    cache.root.mkdir()
    cache.roots.symlink_to(paths.cache().roots)
    again = images.ensure(cache, NoTools(), names, Report(said))
    assert again.digests == earlier.digests
    for name in names:
        assert filecmp.cmp(again.archive(name), earlier.archive(name), shallow=False)
    assert [path.name for path in cache.work.iterdir()] == ["images.lock"]
    begun = said.getvalue()
    assert images.ensure(cache, NoTools(), names, Report(said)) == again
    assert said.getvalue() == begun


def test_the_base_image_has_a_python_that_needs_no_compiling() -> None:
    base = paths.cache().roots / f"base-{trees.root_key('base')}"
    shown = "import json, ssl, sys; print(*sys.version_info[:2], ssl.OPENSSL_VERSION_INFO[0])"
    command = ["chroot", str(base), "python3", "-v", "-c", shown]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["3", "13", "3"]
    loaded = re.findall(r"code object from '?\"?(/[^'\"\s]+)", done.stderr)
    assert any("/json/__pycache__/" in file for file in loaded)
    assert not [file for file in loaded if not file.endswith(".pyc")]


def test_a_program_ends_with_the_lab_that_was_killed(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    forever = ["sh", "-c", f"echo $$ > {mark}; while sleep 0.1; do date > {mark}; done"]
    code = f"import subprocess; subprocess.run({[*making.ALONE, *forever]!r})"
    lab = subprocess.Popen([sys.executable, "-c", code])
    wait_for("the program", mark.exists, limit_seconds=10)
    lab.kill()
    lab.wait()

    def is_quiet() -> bool:
        mark.unlink(missing_ok=True)
        time.sleep(0.5)
        return not mark.exists()

    wait_for("silence", is_quiet, limit_seconds=10)
