"""Each supported ansible-core with a Python of its own, without a server; and what is refused.

A row whose interpreter this machine does not have is named in the summary as skipped.
"""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import yaml
from artefacts import ROOT, Artefacts, Environment, find_python

pytestmark = pytest.mark.timeout(480)
_LOCKS = ROOT / "requirements"
_ROWS = (
    ("2.19", "3.11", "dev.txt"),
    ("2.20", "3.12", "ansible-2.20.txt"),
    ("2.21", "3.13", "ansible-2.21.txt"),
)
_PLAYBOOKS = ("site", "down", "verify", "teardown")
_IMPORT = """\
import ast, importlib, sys
for name in sys.argv[1:]:
    module = importlib.import_module("ansible_collections.securetransport.platform.plugins." + name)
    # Imports of the wheel are guarded, so that a missing one is told well: look at each by itself.
    for node in ast.walk(ast.parse(open(module.__file__, encoding="utf-8").read())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("securetransport."):
            for alias in node.names:
                exec(f"from {node.module} import {alias.name}")
"""


@pytest.mark.parametrize(("core", "minor", "lock"), _ROWS)
def test_version_is_supported(
    core: str, minor: str, lock: str, ground: Path, artefacts: Artefacts
) -> None:
    python = find_python(minor)
    if python is None:
        pytest.skip(f"Python {minor}, for ansible-core {core}, is not on this machine")
    environment = Environment(ground / core)
    wanted = ("--requirement", ROOT / "requirements.txt", "--find-links", artefacts.folder)
    environment.make(python, _LOCKS / lock, "ansible-core", *artefacts.wheels, *wanted)
    environment.install(artefacts.collection)
    told = environment.run("ansible-playbook", "--version")
    assert f"[core {core}." in told.text
    assert f"python version = {minor}." in told.text

    inventory = environment.copy_inventory(environment.folder / "in", 24200)
    names = [f"securetransport.platform.{name}" for name in _PLAYBOOKS]
    checked = environment.run("ansible-playbook", "-i", str(inventory), "--syntax-check", *names)
    assert checked.exit_code == 0, checked.text
    dry = environment.play("site", inventory, "--check", "-e", "local_platform_port_base=25900")
    assert dry.exit_code == 0, dry.text[-5000:]
    assert not (inventory / ".state").exists()
    for text in (checked.text, dry.text):
        assert re.findall(r"\[(?:WARNING|DEPRECATION WARNING)\]: .*", text) == []
    refused = environment.play("site", inventory, "--check", "-e", "nats_nodes=2")
    assert "value of nats_nodes must be one of: 3, got: 2" in refused.text
    _has_loadable_plugins(environment)


def _has_loadable_plugins(environment: Environment) -> None:
    plugins = environment.collection / "plugins"
    names = [
        ".".join(path.relative_to(plugins).with_suffix("").parts)
        for path in sorted(plugins.rglob("*.py"))
        if path.name != "__init__.py"
    ]
    collections = environment.collection.parents[2]
    code = f"import sys; sys.path.insert(0, {str(collections)!r})\n{_IMPORT}"
    loaded = environment.run("python", "-c", code, *names)
    assert loaded.exit_code == 0, loaded.text
    modules = [path.stem for path in sorted((plugins / "modules").glob("*.py"))]
    documented = environment.run(
        "ansible-doc", "--json", *(f"securetransport.platform.{name}" for name in modules)
    )
    assert documented.exit_code == 0, documented.text
    assert len(json.loads(documented.text[documented.text.index("{") :])) == len(modules)


@pytest.fixture(scope="module")
def bare(ground: Path, artefacts: Artefacts) -> Environment:
    """Ansible and the collection, and no wheel."""
    environment = Environment(ground / "bare")
    environment.make(Path(sys.executable), _LOCKS / "dev.txt", "ansible-core")
    environment.install(artefacts.collection)
    environment.copy_inventory(environment.folder / "in", 24200)
    return environment


def test_a_missing_wheel_is_told_in_one_line(bare: Environment) -> None:
    refused = bare.play("site", bare.folder / "in")
    assert refused.exit_code != 0
    assert "has no package securetransport; run: " in refused.text
    assert not (bare.folder / "in" / ".state").exists()


def test_an_older_wheel_is_told_in_one_line(bare: Environment) -> None:
    packages = next((bare.folder / "venv" / "lib").glob("python*/site-packages"))
    facts = packages / "securetransport-0.0.9.dist-info"
    facts.mkdir()
    told = "Metadata-Version: 2.1\nName: securetransport\nVersion: 0.0.9\n"
    (facts / "METADATA").write_text(told, encoding="utf-8")
    refused = bare.play("site", bare.folder / "in")
    assert refused.exit_code != 0
    assert "has securetransport 0.0.9, this collection needs 0.1.0 or later" in refused.text
    assert not (bare.folder / "in" / ".state").exists()


@pytest.mark.parametrize("name", _PLAYBOOKS)
def test_an_older_ansible_is_told_in_one_line(
    name: str, ground: Path, artefacts: Artefacts
) -> None:
    environment = Environment(ground / "2.18")
    if not environment.folder.exists():
        environment.make(Path(sys.executable), _LOCKS / "ansible-2.18.txt", "ansible-core")
        environment.install(artefacts.collection)
        environment.copy_inventory(environment.folder / "in", 24200)
    refused = environment.play(name, environment.folder / "in")
    assert refused.exit_code != 0
    assert "the collection securetransport.platform needs 2.19.0 or later" in refused.text
    assert not (environment.folder / "in" / ".state").exists()


def test_collection_and_wheel_name_the_same_versions() -> None:
    wheel = re.search(
        r'^version = "(.*)"$', (ROOT / "agents/pyproject.toml").read_text(), re.MULTILINE
    )
    assert wheel is not None
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text(encoding="utf-8"))
    preflight = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text(encoding="utf-8"))
    runtime = yaml.safe_load((ROOT / "meta/runtime.yml").read_text(encoding="utf-8"))
    assert galaxy["version"] == wheel[1]
    for file in ("requirements.txt", "meta/ee-requirements.txt"):
        assert f"securetransport>={preflight['__preflight_package']}" in (ROOT / file).read_text()
    least = runtime["requires_ansible"].removeprefix(">=")
    assert f"version('{least}', '>=')" in (ROOT / "playbooks/preflight.yml").read_text()
