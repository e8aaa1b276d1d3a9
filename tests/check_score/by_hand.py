"""Faults that no generator makes: two things wrong at once, wrong but well-formed, taken, lost."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from pathlib import Path

from generator import Fault, Inject
from scene import Scene, remove_folder


def _replaced(name: str, old: str, new: str) -> Inject:
    def inject(scene: Scene) -> None:
        text = scene.read(name).decode()
        changed = re.sub(old, new, text, count=1)
        assert changed != text, f"{name} has no {old}"
        scene.write(name, changed.encode())

    return inject


def _restarted(inject: Inject, *processes: str) -> Inject:
    def both(scene: Scene) -> None:
        inject(scene)
        scene.restart(*processes)

    return both


def _port_taken(scene: Scene) -> None:
    port = int(re.search(rb":(\d+)", scene.read("servers/nats-2/nats.conf"))[1])  # type: ignore[index]
    scene.stop("servers/nats-2")
    listener = socket.socket()
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listener.bind(("127.0.0.1", port))
    listener.listen()
    scene.start("servers/nats-2")
    scene.healing += [lambda: scene.again("servers/nats-2"), listener.close]


def _other_keys(name: str) -> Inject:
    def inject(scene: Scene) -> None:
        other = json.loads(scene.read("authority/admin/administrator-keys.json"))
        if name.endswith("administrator-keys.json"):
            other = json.loads(scene.read("authority/admin/authority-keys.json"))
        scene.write(name, json.dumps(other).encode())

    return inject


def _token_gone(scene: Scene) -> None:
    scene.stop("services/gatekeeper-1-bao")
    scene.keep(scene.run_dir / "gatekeeper-1" / "token")
    (scene.run_dir / "gatekeeper-1" / "token").unlink()


def _memory_cleaned(scene: Scene) -> None:
    for file in sorted(scene.run_dir.rglob("*")):
        if file.is_file():
            scene.keep(file)
    folders = sorted(path for path in scene.run_dir.rglob("*") if path.is_dir())
    modes = [(path, path.stat().st_mode & 0o777) for path in (scene.run_dir, *folders)]
    scene.healing.append(
        lambda: [path.mkdir(mode=mode, exist_ok=True) for path, mode in modes] and None
    )
    remove_folder(scene.run_dir)


def _supervisor_gone(scene: Scene) -> None:
    scene.shutdown("services")


def _two_nodes_stopped(scene: Scene) -> None:
    scene.stop("authority/openbao-1")
    scene.stop("authority/openbao-2")


def _all_nodes_frozen(scene: Scene) -> None:
    for number in (1, 2, 3):
        scene.freeze(f"authority/openbao-{number}")


def _lost(*names: str) -> Inject:
    """Delete a stream or a durable."""

    def inject(scene: Scene) -> None:
        gone = _bus(scene, "delete", *names)
        scene.healing.append(lambda: _bus(scene, "restore", told=gone) and None)

    return inject


def _bus(scene: Scene, *arguments: str, told: str = "") -> str:
    script = Path(__file__).with_name("bus.py")
    done = subprocess.run(
        [sys.executable, script, str(scene.state_dir), *arguments],
        input=told, capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


_GATEKEEPER = "services/gatekeeper-1"
_KEYS = "authority/admin/authority-keys.json"
BY_HAND = [
    Fault("a port of nats-2 is taken", ("servers/nats-2",), ("is held by",), _port_taken, 8.0),
    Fault("everybody may read a secret-id", (f"{_GATEKEEPER}/secret-id",),
          ("others may read", "readable"),
          lambda scene: scene.set_mode(f"{_GATEKEEPER}/secret-id", 0o644)),
    Fault("another authority's keys are pinned", (_KEYS,),
          ("not those", "another", "does not have"), _other_keys(_KEYS)),
    Fault("another administrator's keys", ("authority/admin/administrator-keys.json",),
          ("not those", "another", "does not have", "does not belong"),
          _other_keys("authority/admin/administrator-keys.json")),
    Fault("the token is gone and so is its bao agent", ("services/gatekeeper-1-bao",),
          ("stopped", "does not run"), _token_gone),
    Fault("the memory was cleaned", ("run directory", "run_dir"), ("missing",), _memory_cleaned),
    Fault("a supervisor is gone", ("supervisord of services",), ("does not answer", "does not run"),
          _supervisor_gone, 5.0),
    Fault("two nodes of OpenBao are stopped", ("authority/openbao-1", "authority/openbao-2"),
          ("stopped", "does not run"), _two_nodes_stopped, 8.0),
    Fault("all nodes of OpenBao are frozen", ("authority/openbao-",), ("frozen", "suspended"),
          _all_nodes_frozen, 8.0),
    Fault("another profile", (f"{_GATEKEEPER}/config.toml",), ("profile",),
          _replaced(f"{_GATEKEEPER}/config.toml", r'name = "compressed"', 'name = "test"')),
    Fault("another trust domain", (f"{_GATEKEEPER}/config.toml",), ("trust_domain",),
          _replaced(f"{_GATEKEEPER}/config.toml", r'trust_domain = "[^"]*"',
                    'trust_domain = "other.example"')),
    Fault("an unknown key, restarted", (f"{_GATEKEEPER}/config.toml",), ("unknown",),
          _restarted(_replaced(f"{_GATEKEEPER}/config.toml", r"\[logs\]", "[logs]\ncolour = 1"),
                     _GATEKEEPER), 6.0),
    Fault("a server's configuration without its trust", ("servers/nats-3/nats.conf",),
          ("include", "tls"),
          _replaced("servers/nats-3/nats.conf", r"include ./managed/tls.conf", "")),
    Fault("a stream is gone", ("AUTH_STREAM",), ("missing",), _lost("AUTH_STREAM"), 6.0),
    Fault("a durable is gone", ("AUTH_STREAM", "auth-controller"), ("missing",),
          _lost("AUTH_STREAM", "auth-controller"), 6.0),
    Fault("an instance that is another one", ("services/auth-controller-1/config.toml",),
          ("service", "identity"), _replaced("services/auth-controller-1/config.toml",
                                 r'service = "auth-controller"', 'service = "gatekeeper"')),
]  # fmt: skip
