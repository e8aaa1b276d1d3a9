"""Backends without Ansible: a planted import is refused, and no library is needed to load them."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PLUGINS = ROOT / "plugins"
CONTRACT = ROOT / "tests" / "gates" / "plugins.importlinter"
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the collection's ``module_utils``, to plant into."""
    skip = shutil.ignore_patterns("__pycache__")
    return shutil.copytree(PLUGINS / "module_utils", tmp_path / "module_utils", ignore=skip)


def check(copy: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LINT_IMPORTS, "--no-logo", "--no-cache", "--config", CONTRACT],
        cwd=copy.parent,
        env={**os.environ, "PYTHONPATH": str(copy.parent)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_backends_as_they_are_keep_the_contract(copy: Path) -> None:
    result = check(copy)
    assert result.returncode == 0, result.stdout


PLANTED = [
    ("_openbao/one", "import ansible", "module_utils._openbao.one -> ansible"),
    (
        "_nats/one",
        "from ansible.module_utils.basic import AnsibleModule",
        "module_utils._nats.one -> ansible",
    ),
    (
        "_local/one",
        "from ansible_collections.securetransport.platform.plugins.module_utils import _core",
        "module_utils._local.one -> ansible_collections",
    ),
    ("_values", "import ansible", "module_utils._values -> ansible"),
    ("_openbao/two", "from .. import _nats", "_openbao.two -> module_utils._nats"),
    ("_local/two", "from .. import _openbao", "_local.two -> module_utils._openbao"),
    ("_runner", "from ._openbao import client", "_runner -> module_utils._openbao.client"),
    ("_openbao/three", "import securetransport", "_openbao.three -> securetransport"),
    ("_nats/three", "import nats", "module_utils._nats.three -> nats"),
]


def test_planted_wrong_imports_are_refused_by_name(copy: Path) -> None:
    for module, line, _named in PLANTED:
        with (copy / f"{module}.py").open("a", encoding="utf-8") as file:
            file.write(f"\n{line}\n")
    result = check(copy)
    assert result.returncode != 0, "the contract let them pass"
    assert [named for _module, _line, named in PLANTED if named not in result.stdout] == []


def test_backends_load_where_neither_ansible_nor_any_library_is_installed() -> None:
    names = sorted(
        ".".join(path.relative_to(PLUGINS).with_suffix("").parts)
        for path in (PLUGINS / "module_utils").rglob("*.py")
        if path.name not in ("__init__.py", "_runner.py")
    )
    assert len(names) > 20
    # -I and -S: no environment, no folder of packages.
    code = f"import sys; sys.path.insert(0, {str(PLUGINS)!r})\n" + "".join(
        f"import {name}\n" for name in names
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-B", "-c", code], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_public_names_under_module_utils_are_none() -> None:
    # A name without an underscore would be an interface for everybody, for ever.
    entries = {path.name for path in (PLUGINS / "module_utils").iterdir()} - {"__pycache__"}
    assert {name for name in entries if not name.startswith("_")} == set()


def test_modules_are_documentation_options_and_one_call() -> None:
    for path in sorted((PLUGINS / "modules").glob("*.py")):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
        assert {node.name for node in functions} <= {"main", "wanted"}, path.name
        last = functions[-1].body[-1]
        assert isinstance(last, ast.Expr), path.name
        assert isinstance(last.value, ast.Call), path.name
        assert ast.unparse(last.value.func) in ("run_local", "run_remote"), path.name
        assert "ansible.module_utils" not in path.read_text(encoding="utf-8"), path.name


@pytest.mark.parametrize(
    ("library", "module", "constant"),
    [
        ("securetransport", "_core", "_MINIMUM"),
        ("hvac", "_openbao/client", "_MINIMUM_HVAC"),
        ("supervisor", "_local/supervisor", "_MINIMUM"),
    ],
)
def test_the_least_version_of_a_library_is_the_same_in_code_and_documentation(
    library: str, module: str, constant: str
) -> None:
    text = (PLUGINS / "module_utils" / f"{module}.py").read_text(encoding="utf-8")
    least = re.search(rf'^{constant}: Final = "([0-9.]+)"$', text, re.MULTILINE)
    assert least is not None
    places = [*(PLUGINS / "modules").glob("*.py"), *(PLUGINS / "doc_fragments").glob("*.py")]
    said = {
        version
        for path in (*places, ROOT / "meta" / "ee-requirements.txt")
        for version in re.findall(
            rf"^(?:  - )?{library} ?>= ?([0-9.]+)", path.read_text(encoding="utf-8"), re.MULTILINE
        )
    }
    assert said == {least[1]}
