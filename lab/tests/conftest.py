"""A cache of one's own, and a family that builds in a second."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from lab.paths import Cache
from lab.toolchain.families import Family

MODULE = "example.invalid/parts"


@pytest.fixture
def cache(tmp_path: Path) -> Cache:
    return Cache(tmp_path / "cache")


@pytest.fixture
def said() -> io.StringIO:
    return io.StringIO()


@pytest.fixture
def tiny(tmp_path: Path) -> Family:
    """A family that builds in a second and needs no network: its one module lies beside it."""
    root = tmp_path / "families"
    parts = root / "tiny" / "parts"
    parts.mkdir(parents=True)
    (parts / "go.mod").write_text(f"module {MODULE}\n\ngo 1.26.0\n")
    (parts / "parts.go").write_text("package parts\n")
    (parts / "kind.yaml").write_text("kind: Tiny\n")
    folder = root / "tiny"
    (folder / "go.mod").write_text(
        f"module example.invalid/tiny\n\ngo 1.26.0\n\nrequire {MODULE} v1.2.3\n\n"
        f"replace {MODULE} => ./parts\n"
    )
    (folder / "go.sum").write_text("")
    (folder / "main.go").write_text(f'package main\n\nimport _ "{MODULE}"\n\nfunc main() {{}}\n')
    return Family("tiny", MODULE, {"tiny": "."}, root=root)
