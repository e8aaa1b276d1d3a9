"""A checkout in a place that is not plain, and the commands that a person runs there first.

Every command runs as a person would start it, with an environment that the test says in full. The
make targets are those of the Makefile; ``make --eval`` adds one that hands over to any program with
exactly the environment that the others get.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import resource
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from certificates import Issuer
from trust_scene import keys_json

ROOT = Path(__file__).resolve().parents[2]
MAKE = shutil.which("make") or "make"
SECOND_USER = 65534
_SECONDS = 100
_BUILD_SECONDS = 240
# A target beside those of the Makefile, so that its program is given what theirs are given.
_VIA = "--eval=via: env ; @$(ENV)/$(PROGRAM)"


@dataclass(frozen=True, slots=True)
class Terminal:
    """What a person's terminal brings along.

    Attributes:
        variables: Variables on top of a plain environment.
        without: Variables of the plain environment that are not set.
        umask: File mode mask.
        open_files: Limit of open files, ``None`` for the machine's own.
        is_stdin_closed: Whether there is no standard input at all.
        user: User id to run as; 0 for the one who runs the tests.
    """

    variables: Mapping[str, str] = field(default_factory=dict)
    without: tuple[str, ...] = ()
    umask: int = 0o022
    open_files: int | None = None
    is_stdin_closed: bool = False
    user: int = 0

    def environment(self) -> dict[str, str]:
        """Return the whole environment of a command."""
        plain = {
            "HOME": pwd.getpwuid(os.getuid()).pw_dir,
            "LANG": "C.UTF-8",
            "PATH": os.environ.get("PATH", os.defpath),
            "TERM": "xterm",
            "USER": pwd.getpwuid(os.getuid()).pw_name,
        }
        kept = {name: value for name, value in plain.items() if name not in self.without}
        return {**kept, **self.variables}

    def prepare(self) -> None:
        """Run in the child before the program: what is no variable."""
        os.umask(self.umask)
        if self.open_files is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (self.open_files, self.open_files))
        if self.is_stdin_closed:
            os.close(0)
        if self.user:
            os.setgroups([])
            os.setresgid(self.user, self.user, self.user)
            os.setresuid(self.user, self.user, self.user)


@dataclass(frozen=True, slots=True)
class Said:
    """What a command said.

    Attributes:
        code: Exit code.
        text: Both streams, in the order of their writing.
    """

    code: int
    text: str

    def is_told(self) -> bool:
        """Whether it ended as a person can use it: no stack trace, no signal, no silence."""
        return self.code >= 0 and not _has_trace(self.text) and (self.code == 0 or bool(self.text))


def _has_trace(text: str) -> bool:
    return "Traceback (most recent call last)" in text or "Fatal Python error" in text


@dataclass(frozen=True, slots=True)
class Checkout:
    """One checkout.

    Attributes:
        path: Its root.
        settings: A folder with configurations that agents and the command accept.
    """

    path: Path
    settings: Path

    def run(self, terminal: Terminal, *command: str | Path, seconds: float = _SECONDS) -> Said:
        """Run a command in the root of the checkout."""
        done = subprocess.run(
            command,
            cwd=self.path,
            env=terminal.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            preexec_fn=terminal.prepare,  # no thread runs here
            timeout=seconds,
            check=False,
        )
        return Said(done.returncode, done.stdout.decode(errors="replace"))

    def make(self, terminal: Terminal, *words: str, seconds: float = _SECONDS) -> Said:
        """Run a make target."""
        return self.run(
            terminal,
            MAKE,
            "--no-print-directory",
            f"PYTHON={interpreter()}",
            *words,
            seconds=seconds,
        )

    def via_make(self, terminal: Terminal, *program: str, seconds: float = _SECONDS) -> Said:
        """Run a program of ``.venv/bin`` as the targets of the Makefile do."""
        quoted = " ".join(f"'{word}'" for word in program)
        return self.make(terminal, _VIA, f"PROGRAM={quoted}", "via", seconds=seconds)

    def program(self, name: str) -> Path:
        """Return a program of its environment."""
        return self.path / ".venv" / "bin" / name

    def with_path(self, path: Path) -> Checkout:
        """Return the same checkout by another path."""
        return replace(self, path=path)


def interpreter() -> str:
    """Return a Python that every user of the machine may run.

    Raises:
        AssertionError: There is none; the second user cannot be tried then.
    """
    version = sysconfig.get_python_version()
    for name in (f"/usr/bin/python{version}", "/usr/bin/python3", sys.executable):
        found = Path(name).resolve()
        if found.exists() and all(place.stat().st_mode & 0o1 for place in (found, *found.parents)):
            return name
    raise AssertionError("no Python that another user may run; install python3 of the system")


def copy_checkout(target: Path) -> None:
    """Copy the files of this checkout, those included that are not committed yet."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],  # noqa: S607
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        source = ROOT / name
        if name and source.is_file():
            copied = target / name
            copied.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, copied)


def build(folder: Path) -> Checkout:
    """Make a checkout in ``folder`` and its environment by ``make env``.

    Where packages come from is the machine's affair, so its own variables are kept here.

    Raises:
        AssertionError: ``make env`` failed; its output is the message.
    """
    checkout = Checkout(folder / "checkout", folder / "settings")
    copy_checkout(checkout.path)
    said = checkout.make(Terminal(os.environ), "env", seconds=_BUILD_SECONDS)
    assert said.code == 0, said.text
    return checkout


def once_per_run(place: Path, make: Callable[[Path], None]) -> Path:
    """Call ``make`` for a folder once, although several workers ask for it.

    Raises:
        AssertionError: It failed, now or when another worker called it.
    """
    place.parent.mkdir(parents=True, exist_ok=True)
    stamp = place.with_name(place.name + ".made")
    with (place.with_name(place.name + ".lock")).open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not stamp.exists():
            stamp.write_text("failed in another test", encoding="utf-8")
            make(place)
            stamp.write_text("", encoding="utf-8")
        reason = stamp.read_text(encoding="utf-8")
        assert not reason, reason
    return place


def write_settings(folder: Path, state_dir: Path) -> None:
    """Write what agents and the command are configured with, with keys and a certificate."""
    folder.mkdir(parents=True, exist_ok=True)
    contents = {"ca.crt": Issuer.root("openbao").pem, "keys.json": keys_json()}
    for name in ("ca.crt", "keys.json", "role-id", "secret-id"):
        (folder / name).write_text(contents.get(name, "x"), encoding="utf-8")
    quoted = {
        name: json.dumps(str(folder / name))
        for name in ("ca.crt", "keys.json", "role-id", "secret-id", "token")
    }
    (folder / "cli.toml").write_text(
        f"""\
trust_domain = "a.test"
openbao_addresses = ["https://127.0.0.1:1"]
openbao_ca_file = {quoted["ca.crt"]}
role_id_file = {quoted["role-id"]}
secret_id_file = {quoted["secret-id"]}
authority_keys_file = {quoted["keys.json"]}
nats_servers = ["tls://127.0.0.1:1"]
""",
        encoding="utf-8",
    )
    (folder / "watcher.toml").write_text(
        f"""\
identity = {{service = "watcher", instance = "1", trust_domain = "a.test"}}
openbao.addresses = ["https://127.0.0.1:1"]
openbao.ca_file = {quoted["ca.crt"]}
openbao.token_file = {quoted["token"]}
authority = {{keys_file = {quoted["keys.json"]}}}
health = {{port = 1}}
paths = {{state_dir = {json.dumps(str(state_dir))}}}
nats = {{servers = ["tls://127.0.0.1:1"]}}
servers = [{{name = "nats-1", client_address = "127.0.0.1:1", route_address = "127.0.0.1:2"}}]
""",
        encoding="utf-8",
    )
