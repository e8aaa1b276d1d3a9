"""The collection by itself: installed from its tarball beside the wheel, run from an empty folder.

The tests are steps of one story, in this order; each uses the platform that the first one built.
"""

from __future__ import annotations

import sys
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from artefacts import ROOT, Artefacts, Environment, Play
from local_platform import free_port_base

pytestmark = pytest.mark.timeout(480)
_SHIPPED = {
    "CHANGELOG.md",
    "CODE_OF_CONDUCT.md",
    "CONTRIBUTING.md",
    "FILES.json",
    "LICENSE",
    "LICENSES",
    "MANIFEST.json",
    "README.md",
    "REUSE.toml",
    "SECURITY.md",
    "changelogs",
    "docs",
    "inventories",
    "meta",
    "playbooks",
    "plugins",
    "requirements.txt",
    "roles",
}


@dataclass(frozen=True, slots=True)
class Scene:
    """An environment with a copied inventory."""

    environment: Environment
    inventory: Path

    def play(self, name: str, *arguments: str) -> Play:
        """Run a playbook of the installed collection on the inventory."""
        return self.environment.play(name, self.inventory, *arguments)


@pytest.fixture(scope="module")
def scene(ground: Path, artefacts: Artefacts) -> Iterator[Scene]:
    """The platform's environment; what was built is removed at the end, whatever happened."""
    environment = Environment(ground / "e")
    lock = ROOT / "requirements" / "dev.txt"
    wanted = ("--requirement", ROOT / "requirements.txt", "--find-links", artefacts.folder)
    environment.make(Path(sys.executable), lock, "ansible-core", *artefacts.wheels, *wanted)
    environment.install(artefacts.collection)
    made = Scene(environment, environment.copy_inventory(ground / "in", free_port_base()))
    yield made
    made.play("teardown")


def test_nothing_of_the_checkout_is_shipped_that_is_not_product(artefacts: Artefacts) -> None:
    with tarfile.open(artefacts.collection) as archive:
        names = archive.getnames()
    assert {name.split("/")[0] for name in names} == _SHIPPED
    assert [name for name in names if "__pycache__" in name] == []


def test_the_shipped_inventory_is_that_of_the_checkout(scene: Scene) -> None:
    ours = ROOT / "inventories" / "local"
    shipped = scene.environment.collection / "inventories" / "local"
    files = {path.relative_to(ours) for path in ours.rglob("*.yml")}
    assert {path.relative_to(shipped) for path in shipped.rglob("*.yml")} == files
    assert [
        name for name in files if (ours / name).read_bytes() != (shipped / name).read_bytes()
    ] == []


def test_the_inventory_has_only_its_hosts(scene: Scene) -> None:
    listed = scene.environment.run("ansible-inventory", "-i", str(scene.inventory), "--graph")
    assert listed.exit_code == 0, listed.text
    assert "WARNING" not in listed.text
    hosts = [line.split("--")[1] for line in listed.text.splitlines() if "--" in line]
    assert hosts == ["@ungrouped:", "@securetransport:", "authority", "servers", "services"]


def test_the_platform_is_built(scene: Scene) -> None:
    built = scene.play("site")
    assert built.exit_code == 0, built.text[-5000:]
    assert (scene.inventory / ".state" / "authority").is_dir()


def test_the_second_run_changes_nothing(scene: Scene) -> None:
    again = scene.play("site")
    assert again.exit_code == 0, again.text[-5000:]
    assert [line for line in again.recap if "changed=0 " not in line] == []
    assert len(again.recap) == 3


def test_the_platform_is_what_site_builds(scene: Scene) -> None:
    verified = scene.play("verify")
    assert verified.exit_code == 0, verified.text[-5000:]


def test_a_removed_platform_leaves_nothing(scene: Scene) -> None:
    stopped = scene.play("down")
    assert stopped.exit_code == 0, stopped.text[-5000:]
    removed = scene.play("teardown")
    assert removed.exit_code == 0, removed.text[-5000:]
    assert not (scene.inventory / ".state").exists()
    assert list(scene.environment.here.iterdir()) == []
