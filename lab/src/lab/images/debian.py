"""Debian file trees from the mirror that this machine uses, with the archive's signatures checked.

Nothing is installed on the machine: debootstrap is unpacked from its package where it is missing.
Every mount is made in a namespace that ends with the program, so nothing is left of a killed one.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lab import apt
from lab.errors import LabError
from lab.images.making import ALONE
from lab.run import run

SUITE = "trixie"
_KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
_IN_TREE = f"deb [signed-by={_KEYRING}] {{mirror}} {SUITE} main\n"
_CHROOT = ("sh", "-euc", 'mount -t proc proc "$1/proc"; exec chroot "$@"', "chroot")
_ENV = {
    "DEBIAN_FRONTEND": "noninteractive",
    "LC_ALL": "C.UTF-8",
    "PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
    "SOURCE_DATE_EPOCH": "0",
}
_KEPT_SETTINGS = ("Acquire::http", "Acquire::https", "Acquire::Check", "Acquire::Retries")
DPKG_OPTIONS = """\
force-unsafe-io
path-exclude=/usr/share/doc/*
path-include=/usr/share/doc/*/copyright
path-exclude=/usr/share/locale/*
path-exclude=/usr/share/man/*
path-exclude=/usr/share/info/*
"""
"""A tree that a power failure hits is half-made anyway, so dpkg need not wait for the disk."""
TEMPORARY = (
    "etc/apt/apt.conf.d/99lab",
    "etc/apt/sources.list",
    "etc/dpkg/dpkg.cfg.d/lab",
    "etc/hosts",
    "etc/resolv.conf",
)
"""Files in a tree that only its making needs; they would tell of this machine."""
MOUNTPOINTS = ("etc/hosts", "etc/resolv.conf")
"""Files that others bind over; they stay, empty."""
_LIMIT_SECONDS = 1200.0


def bootstrap(tree: Path, packages: Sequence[str], work: Path) -> None:
    """Make a tree of the essential packages and some more.

    Args:
        tree: A folder that does not exist yet.
        packages: What to add.
        work: A folder for what is needed on the way.

    Raises:
        LabError: No mirror or keyring, or debootstrap failed.
    """
    if not _KEYRING.exists():
        raise LabError(f"{_KEYRING} is missing", "install debian-archive-keyring")
    source = mirror()
    _write(tree / "etc/dpkg/dpkg.cfg.d/lab", DPKG_OPTIONS)
    command, env = _debootstrap(work)
    proxy = _settings().get("Acquire::http::Proxy", "")
    run(
        [
            *ALONE,
            *command,
            "--variant=minbase",
            f"--include={','.join(packages)}",
            f"--keyring={_KEYRING}",
            SUITE,
            tree,
            source,
        ],
        env={**_ENV, **env, **({"http_proxy": proxy} if proxy else {})},
        limit_seconds=_LIMIT_SECONDS,
        log=work / "debootstrap.log",
    )


def add(tree: Path, packages: Sequence[str], work: Path) -> None:
    """Install more packages in a tree, with the tree's own apt.

    Raises:
        LabError: apt failed.
    """
    settings = "".join(f'{name} "{value}";\n' for name, value in _settings().items())
    _write(tree / "etc/apt/apt.conf.d/99lab", settings)
    _write(tree / "etc/apt/sources.list", _IN_TREE.format(mirror=mirror()))
    _write(tree / "etc/dpkg/dpkg.cfg.d/lab", DPKG_OPTIONS)
    for name in ("etc/hosts", "etc/resolv.conf"):
        shutil.copyfile(Path("/") / name, tree / name)
    log = work / "apt.log"
    inside(tree, ["apt-get", "--quiet", "update"], log=log)
    install = ["apt-get", "--quiet", "--yes", "--no-install-recommends", "install", *packages]
    inside(tree, install, log=log)


def inside(tree: Path, command: Sequence[str | Path], *, log: Path | None = None) -> str:
    """Run a program of a tree with the tree as its root; return its output.

    Raises:
        LabError: It failed.
    """
    words = [*ALONE, *_CHROOT, tree, *command]
    return run(words, env=_ENV, limit_seconds=_LIMIT_SECONDS, log=log)


def versions(tree: Path) -> str:
    """Return a line for each package of a tree: name, version, architecture."""
    shown = "${Package} ${Version} ${Architecture}\n"
    return run(["dpkg-query", f"--admindir={tree}/var/lib/dpkg", "--show", f"--showformat={shown}"])


def mirror() -> str:
    """Return the Debian mirror that this machine's apt is set up with.

    Raises:
        LabError: There is none.
    """
    found = _mirrors()
    if not found:  # apt forgot, or never knew, what its sources are
        run(["apt-get", "--quiet", "update"], limit_seconds=300)
        found = _mirrors()
    if not found:
        raise LabError("apt has no source of Debian packages", "add one, then `apt-get update`")
    return found[0]


def _mirrors() -> list[str]:
    shown = "$(ORIGIN)|$(LABEL)|$(REPO_URI)"
    told = run(["apt-get", "indextargets", "--format", shown, "Identifier: Packages"])
    return [line.split("|")[2] for line in told.splitlines() if line.startswith("Debian|Debian|")]


def _settings() -> dict[str, str]:
    """Return how this machine's apt reaches its mirror: proxies, clock checks, retries."""
    lines = run(["apt-config", "dump", "--no-empty", "--format", "%F|%v%n"]).splitlines()
    pairs = (line.split("|", 1) for line in lines if line.startswith(_KEPT_SETTINGS))
    return {name: value for name, value in pairs if not name.endswith("::")}


def _debootstrap(work: Path) -> tuple[list[Path], dict[str, str]]:
    """Return debootstrap's command and variables; it is fetched where it is missing."""
    if found := shutil.which("debootstrap", path=_ENV["PATH"]):
        return [Path(found)], {}
    unpacked = work / "debootstrap"
    run(["dpkg-deb", "--extract", apt.download("debootstrap", work), unpacked])
    share = unpacked / "usr/share/debootstrap"
    return [unpacked / "usr/sbin/debootstrap"], {"DEBOOTSTRAP_DIR": str(share)}


def _write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
