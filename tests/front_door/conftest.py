"""One checkout for all tests of the front commands, in a place that is not plain."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "agents" / "tests"), str(ROOT / "tests" / "idempotence")]

from checkout import Checkout, build, once_per_run, write_settings  # noqa: E402

# A space, parentheses, letters beyond ASCII: what a home's name may have.
ODD = "Jané Dœ, (new)"
_FOLDER = "FRONT_DOOR_FOLDER"  # where the workers of one run share the checkout


def pytest_configure() -> None:
    """Make a folder that the second user may look into; pytest's own are closed to others."""
    if _FOLDER not in os.environ:
        os.environ[_FOLDER] = tempfile.mkdtemp(prefix="front-door-")
        Path(os.environ[_FOLDER]).chmod(0o755)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove it when all workers are done."""
    if not hasattr(config, "workerinput"):
        shutil.rmtree(os.environ.pop(_FOLDER), ignore_errors=True)


@pytest.fixture(scope="session")
def checkout() -> Checkout:
    """A checkout that anybody may write to, as some container images have it."""

    def make(folder: Path) -> None:
        made = build(folder)
        write_settings(made.settings, folder / "state")
        for path in (folder, made.path):
            path.chmod(0o777)

    place = once_per_run(Path(os.environ[_FOLDER]) / ODD, make)
    return Checkout(place / "checkout", place / "settings")


@pytest.fixture
def short_path() -> Iterator[Path]:
    """A folder whose path leaves room for a Unix socket's; others may look into it."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        Path(folder).chmod(0o711)
        yield Path(folder)
