"""The import contract refuses wrong imports: each one is planted in a copy and must be named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the package and its contract, to plant into."""
    shutil.copy2(ROOT / ".importlinter", tmp_path)
    shutil.copytree(
        ROOT / "agents" / "src" / "securetransport",
        tmp_path / "securetransport",
        ignore=shutil.ignore_patterns("__pycache__"),
    )
    return tmp_path


def check(copy: Path) -> subprocess.CompletedProcess[str]:
    """Run the contract on the copy alone; the installed package must not be seen instead."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache"],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        capture_output=True,
        text=True,
        check=False,
    )


def plant(copy: Path, module: str, line: str) -> None:
    """Write a module that holds one import, with the packages that it needs to be seen."""
    file = copy / "securetransport" / f"{module}.py"
    for folder in (file.parent, *file.parent.parents):
        if folder == copy / "securetransport":
            break
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "__init__.py").touch()
    file.write_text(f'"""Planted."""\n\n{line}\n', encoding="utf-8")


def test_the_package_as_it_is_keeps_the_contract(copy: Path) -> None:
    result = check(copy)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize(
    ("module", "line", "named"),
    [
        ("core/base/names", "import asyncio", "securetransport.core.base.names -> asyncio"),
        ("core/base/pae", "import time", "securetransport.core.base.pae -> time"),
        ("core/base/pae", "import secrets", "securetransport.core.base.pae -> secrets"),
        ("core/base/pae", "from random import random", "securetransport.core.base.pae -> random"),
        (
            "core/base/epochs",
            "from securetransport.core.formats import body",
            "securetransport.core.base.epochs -> securetransport.core.formats.body",
        ),
        (
            "core/formats/deny_list",
            "from securetransport.core.formats import directory",
            "securetransport.core.formats.deny_list -> securetransport.core.formats.directory",
        ),
        (
            "core/planted",
            "from securetransport.core.base import names",
            "securetransport.core.planted",
        ),
        (
            "adapters/planted",
            "from securetransport.messages import planted_two",
            "securetransport.adapters.planted -> securetransport.messages.planted_two",
        ),
        (
            "keeper/planted",
            "from securetransport.watcher import planted_two",
            "securetransport.keeper.planted -> securetransport.watcher.planted_two",
        ),
        (
            "adapters/nats/numbers",
            "from securetransport.adapters.nats import receipts",
            "No cycles are allowed in securetransport.adapters.nats",
        ),
        ("metadata/planted", "import nats", "securetransport.metadata.planted -> nats"),
        ("messages/planted", "import hvac", "securetransport.messages.planted -> hvac"),
        ("runtime/planted", "import OpenSSL", "securetransport.runtime.planted -> OpenSSL"),
        (
            "watcher/planted",
            "from cryptography import x509",
            "securetransport.watcher.planted -> cryptography",
        ),
        (
            "keeper/planted",
            "from securetransport.adapters.files import LocalFiles",
            "securetransport.keeper.planted -> securetransport.adapters.files",
        ),
        (
            "cli/planted",
            "from securetransport.adapters import tls",
            "securetransport.cli.planted -> securetransport.adapters.tls",
        ),
        (
            "testing/planted",
            "from securetransport.adapters.system import SystemClock",
            "securetransport.testing.planted -> securetransport.adapters.system",
        ),
        ("cli/planted", "import ansible.module_utils", "securetransport.cli.planted -> ansible"),
        (
            "messages/planted",
            "import securetransport_examples.payloads",
            "securetransport.messages.planted -> securetransport_examples",
        ),
        ("messages/planted", "import evaluation", "securetransport.messages.planted -> evaluation"),
    ],
)
def test_a_planted_wrong_import_is_refused_by_name(
    copy: Path, module: str, line: str, named: str
) -> None:
    for package in ("messages", "watcher"):
        if package in line:
            plant(copy, f"{package}/planted_two", "import typing")
    plant(copy, module, line)
    result = check(copy)
    assert result.returncode != 0, "the contract let it pass"
    assert named in " ".join(result.stdout.split()), "it wraps its lines"
