"""What a person installs: the collection's tarball and the wheel, and environments of their own.

Nothing of the checkout is visible in such an environment: its home is empty, its collections come
from tarballs, and Ansible runs with its own defaults from a folder that is empty.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
COLLECTIONS = ("community/crypto", "kubernetes/core")
"""What galaxy.yml depends on; the packages come with the locked ``ansible``."""

_PLAY_SECONDS = 420
_TOOL_SECONDS = 300


def run_tool(*command: str | Path, cwd: Path = ROOT, env: dict[str, str] | None = None) -> str:
    """Run a tool and return what it said; a failure shows all of it."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=_TOOL_SECONDS,
        check=False,
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-5000:]}"
    return done.stdout


@dataclass(frozen=True, slots=True)
class Artefacts:
    """What was built from the checkout.

    Attributes:
        folder: Where it lies.
        collection: The tarball of the collection.
        wheels: The wheel of the agents, and of whatever else the checkout ships as a package.
    """

    folder: Path
    collection: Path
    wheels: tuple[Path, ...]


def build(folder: Path) -> Artefacts:
    """Build everything into ``folder``."""
    run_tool(BIN / "ansible-galaxy", "collection", "build", "--output-path", folder, ROOT)
    for project in ("agents", "examples"):
        if (ROOT / project / "pyproject.toml").is_file():
            told = ("--wheel", "--no-build-isolation", "--python", sys.executable)
            run_tool(BIN / "uv", "build", "--quiet", *told, "--out-dir", folder, project)
    return Artefacts(
        folder,
        next(folder.glob("securetransport-platform-*.tar.gz")),
        tuple(folder.glob("*.whl")),
    )


def find_python(minor: str) -> Path | None:
    """Return an interpreter of Python ``minor`` that starts, ``None`` if this machine has none."""
    if f"{sys.version_info.major}.{sys.version_info.minor}" == minor:
        return Path(sys.executable)
    pyenv = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
    on_path = shutil.which(f"python{minor}")
    found = [Path(on_path)] if on_path else []
    for python in (*found, *sorted(pyenv.glob(f"{minor}.*/bin/python{minor}"))):
        # A shim of pyenv is on the path also for versions that it does not start.
        if subprocess.run([python, "-c", ""], capture_output=True, check=False).returncode == 0:
            return python
    return None


@dataclass(frozen=True, slots=True)
class Play:
    """What one run of a tool of Ansible said."""

    exit_code: int
    text: str
    took_seconds: float

    @property
    def recap(self) -> list[str]:
        """The lines of the recap, one per host."""
        return [line for line in self.text.splitlines() if " : ok=" in line]


@dataclass(frozen=True, slots=True)
class Environment:
    """A virtual environment with a home of its own.

    Attributes:
        folder: Holds ``venv``, ``home`` and ``here``, the empty folder that everything runs from.
    """

    folder: Path

    @property
    def bin(self) -> Path:
        """Where its programs are."""
        return self.folder / "venv" / "bin"

    @property
    def here(self) -> Path:
        """Where its programs are started."""
        return self.folder / "here"

    @property
    def collection(self) -> Path:
        """The installed collection."""
        default = self.folder / "home" / ".ansible" / "collections" / "ansible_collections"
        return default / "securetransport" / "platform"

    def make(self, python: Path, lock: Path, *requirements: str | Path) -> None:
        """Make it; versions and hashes are those of ``lock``."""
        self.here.mkdir(parents=True)
        (self.folder / "home").mkdir()
        run_tool(BIN / "uv", "venv", "--quiet", "--python", python, self.folder / "venv")
        told = ("--python", self.bin / "python", "--constraint", lock)
        run_tool(BIN / "uv", "pip", "install", "--quiet", *told, *requirements)

    def install(self, tarball: Path) -> None:
        """Install the collection where Ansible looks by default, without a network.

        What it depends on is there already, since no server can be asked for it.
        """
        packages = next(Path(path) for path in sys.path if path.endswith("site-packages"))
        for name in COLLECTIONS:
            source = packages / "ansible_collections" / name
            shutil.copytree(source, self.collection.parents[1] / name)
        done = self.run("ansible-galaxy", "collection", "install", "--offline", str(tarball))
        assert done.exit_code == 0, done.text
        assert "was installed successfully" in done.text

    def run(self, tool: str, *arguments: str) -> Play:
        """Run a tool of it from the empty folder, with nothing of ours in the environment."""
        begun = time.monotonic()
        done = subprocess.run(
            [self.bin / tool, *arguments],
            cwd=self.here,
            env={
                "HOME": str(self.folder / "home"),
                "PATH": os.pathsep.join((str(self.bin), "/usr/bin", "/bin")),
                "LANG": "C.UTF-8",
                "ANSIBLE_NOCOLOR": "1",
            },
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PLAY_SECONDS,
            check=False,
        )
        return Play(done.returncode, done.stdout, time.monotonic() - begun)

    def play(self, name: str, inventory: Path, *arguments: str) -> Play:
        """Run a playbook of the installed collection."""
        playbook = f"securetransport.platform.{name}"
        return self.run("ansible-playbook", "-i", str(inventory), playbook, *arguments)

    def copy_inventory(self, target: Path, port_base: int) -> Path:
        """Copy the example out of the installed collection, onto other ports."""
        shutil.copytree(self.collection / "inventories" / "local", target)
        settings = target / "group_vars" / "all" / "platform.yml"
        text = settings.read_text(encoding="utf-8")
        told = f"local_platform_port_base: {port_base}"
        assert "local_platform_port_base: 24200" in text
        settings.write_text(text.replace("local_platform_port_base: 24200", told), encoding="utf-8")
        return target
