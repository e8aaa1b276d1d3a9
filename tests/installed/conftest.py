"""What is built once for all tests of the installed collection."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

# A platform's free ports are found in one way.
sys.path.append(str(Path(__file__).parents[1] / "idempotence"))
from artefacts import Artefacts, build


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A short folder, since sockets lie below it, whose name is not plain."""
    with tempfile.TemporaryDirectory(prefix="bü [1 ") as name:
        yield Path(name)


@pytest.fixture(scope="session")
def artefacts(ground: Path) -> Artefacts:
    """The tarball and the wheel of this checkout."""
    folder = ground / "dist"
    folder.mkdir()
    return build(folder)
