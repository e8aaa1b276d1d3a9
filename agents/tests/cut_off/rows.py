"""Every way in which a member of the bus is cut off, as a table: how it is cut, how it is healed.

A row leaves the rest of the platform alone; what cannot be reached here stands in ``NOT_REACHED``.
"""

from __future__ import annotations

import resource
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from outlet import Outlet

from platform_stage import Member, Stage
from securetransport.core.base import names

VICTIM: Final = "gatekeeper"
NOT_REACHED: Final = {
    "clock-off": "a process reads the clock of the machine, and nobody but root may set that",
}


@dataclass
class Site:
    """The platform of one row, and what a row remembers between cutting and healing.

    Attributes:
        stage: The platform.
        outlet: The victim's way to OpenBao.
    """

    stage: Stage
    outlet: Outlet
    kept: dict[str, Any] = field(default_factory=dict)

    @property
    def victim(self) -> Member:
        return self.stage.members[VICTIM]

    @property
    def token_file(self) -> Path:
        text = (self.victim.home / "config.toml").read_text(encoding="utf-8")
        return Path(tomllib.loads(text)["openbao"]["token_file"])


@dataclass(frozen=True)
class Row:
    """One way to be cut off.

    Attributes:
        name: As ``--rows`` takes it.
        cut: Cuts.
        heal: Takes the cause away, and nothing more.
        stops: Whether traffic is expected to stop; a row in which it must go on says so.
        says: A part of a reason that the victim's ``/readyz`` has to give; empty for any or none.
    """

    name: str
    cut: Callable[[Site], None]
    heal: Callable[[Site], None]
    stops: bool
    says: str


# --- token ------------------------------------------------------------------------------------


def _remove_token(site: Site) -> None:
    site.kept["token"] = site.token_file.read_text(encoding="utf-8")
    site.token_file.unlink()


def _put_token(site: Site) -> None:
    site.token_file.write_text(site.kept["token"], encoding="utf-8")


def _end_token(site: Site) -> None:
    """What a dead secret-id leaves behind: the token ends, and no other one comes."""
    _remove_token(site)
    bao = site.stage.bao
    bao.call("POST", "auth/token/revoke", {"token": site.kept["token"].strip()})


def _new_token(site: Site) -> None:
    fresh = site.stage.token_file(VICTIM)
    site.token_file.write_text(fresh.read_text(encoding="utf-8"), encoding="utf-8")


# --- OpenBao ----------------------------------------------------------------------------------


def _kill_openbao(site: Site) -> None:
    for process in site.stage.bao.processes:
        process.kill()


def _start_openbao(site: Site) -> None:
    bao = site.stage.bao
    for index in range(bao.nodes):
        bao.start_node(index)
    bao.wait_active()


# --- authority and its documents ----------------------------------------------------------------


def _kill_authority(site: Site) -> None:
    site.stage.members["metadata"].kill()


def _start_authority(site: Site) -> None:
    site.stage.members["metadata"].start()


_DOCUMENTS: Final = (names.KV_TRUST_BUNDLE, names.KV_DIRECTORY)


def _garble_documents(site: Site) -> None:
    """Nobody signs anew, and what lies in OpenBao has a signature that does not verify."""
    _kill_authority(site)
    for path in _DOCUMENTS:
        site.kept[path] = site.stage.document(path)
        data = bytearray(site.kept[path])
        data[-1] ^= 1  # the last byte belongs to the signature
        site.stage.put_document(path, bytes(data))


def _old_directory(site: Site) -> None:
    """Nobody signs anew, and the directory is one that everybody has seen a newer one of."""
    _kill_authority(site)
    site.kept[names.KV_DIRECTORY] = site.stage.document(names.KV_DIRECTORY)
    site.stage.put_document(names.KV_DIRECTORY, site.kept["first directory"])


def _restore_documents(site: Site) -> None:
    for path in _DOCUMENTS:
        if path in site.kept:
            site.stage.put_document(path, site.kept[path])
    _start_authority(site)


# --- bus, disk --------------------------------------------------------------------------------


def _kill_bus(site: Site) -> None:
    for server in site.stage.nats:
        server.kill()


def _start_bus(site: Site) -> None:
    stage = site.stage
    stage.nats[:] = [stage.start_server(number) for number in range(1, stage.servers + 1)]


def _fill_disk(site: Site) -> None:
    """No file of the victim may grow: what a full disk is to a process, without a disk."""
    process = site.victim.process
    assert process is not None
    limits = resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE)
    site.kept["limits"] = limits
    resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, (1, limits[1]))


def _free_disk(site: Site) -> None:
    process = site.victim.process
    assert process is not None
    if process.is_running():
        resource.prlimit(process.child.pid, resource.RLIMIT_FSIZE, site.kept["limits"])
    else:
        site.victim.start()  # its supervisor's part


ROWS: Final = (
    Row("token-file", _remove_token, _put_token, stops=False, says=""),
    Row("dead-secret-id", _end_token, _new_token, stops=True, says="leaf certificate"),
    Row(
        "openbao-unreachable",
        lambda site: site.outlet.shut(),
        lambda site: site.outlet.open(),
        stops=True,
        says="leaf certificate",
    ),
    Row("openbao-gone", _kill_openbao, _start_openbao, stops=True, says="leaf certificate"),
    Row("authority-gone", _kill_authority, _start_authority, stops=True, says="trust bundle"),
    Row("bus-gone", _kill_bus, _start_bus, stops=True, says="not connected"),
    Row("disk-full", _fill_disk, _free_disk, stops=True, says=""),
    Row("bundle-refused", _garble_documents, _restore_documents, stops=True, says="trust bundle"),
    Row("directory-older", _old_directory, _restore_documents, stops=True, says=""),
)
