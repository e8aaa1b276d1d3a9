# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts of OpenBao: secret engines and auth methods, with what is tuned on them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .._errors import ImmutableFieldError
from .._outcome import Outcome, reconcile
from .._values import clean_path, seconds
from .client import OpenBao

_TABLES: Final = {"secret": "sys/mounts", "auth": "sys/auth"}
_TUNED: Final = ("description", "default_lease_ttl", "max_lease_ttl")


@dataclass(frozen=True, slots=True)
class MountSpec:
    """A secret engine or an auth method.

    Attributes:
        path: Where it is mounted.
        type: Its type; needed unless it is to be absent.
        kind: ``secret`` or ``auth``.
        description: What people read in the list of mounts; ``None`` leaves it.
        default_lease_ttl: Duration; ``None`` leaves it.
        max_lease_ttl: Duration; ``None`` leaves it.
        user_lockout: Whether failed logins lock out whoever they were made for; ``None`` leaves it.
        kv_version: Version of a mount of type ``kv``.
        kv_cas_required: Whether each write to a KV mount must name the version it replaces.
        state: ``present`` or ``absent``.
    """

    path: str
    type: str | None = None
    kind: str = "secret"
    description: str | None = None
    default_lease_ttl: str | None = None
    max_lease_ttl: str | None = None
    user_lockout: bool | None = None
    kv_version: int = 2
    kv_cas_required: bool = False
    state: str = "present"

    def fields(self) -> dict[str, Any]:
        """Return what must hold, in OpenBao's own form.

        Raises:
            PlatformError: A duration is none.
        """
        wanted: dict[str, Any] = {"type": self.type}
        if self.description is not None:
            wanted["description"] = self.description
        for option, text in (
            ("default_lease_ttl", self.default_lease_ttl),
            ("max_lease_ttl", self.max_lease_ttl),
        ):
            if text is not None:
                wanted[option] = seconds(text, option=option)
        if self.user_lockout is not None:
            wanted["user_lockout"] = self.user_lockout
        if self.type == "kv":
            wanted["version"] = self.kv_version
            if self.kv_version == 2:
                wanted["cas_required"] = self.kv_cas_required
        return wanted


def ensure_mount(bao: OpenBao, spec: MountSpec, check_mode: bool) -> Outcome:
    """Make a mount exist as described, or not exist.

    Raises:
        PlatformError: OpenBao refuses, or the mount is of another type or version.
    """
    path = clean_path(spec.path, option="path")
    wanted = spec.fields()
    table = _TABLES[spec.kind]
    current = _current(bao, table, path)
    if spec.state == "absent":
        return reconcile(
            current, None, apply=lambda: bao.delete(f"{table}/{path}"), check_mode=check_mode
        )
    if current is not None:
        for field in ("type", "version"):
            if field in wanted and wanted[field] != current[field]:
                raise ImmutableFieldError(f"mount {path}", field, current[field], wanted[field])
    return reconcile(
        current,
        wanted,
        apply=lambda: _apply(bao, f"{table}/{path}", path, wanted, is_new=current is None),
        check_mode=check_mode,
    )


def _current(bao: OpenBao, table: str, path: str) -> dict[str, Any] | None:
    # The table is read as a whole: asking for one absent mount is an error 400, which could not
    # be told from other errors.
    entry = (bao.read(table) or {}).get(f"{path}/")
    if entry is None:
        return None
    current = {
        "type": entry["type"],
        "description": entry["description"],
        "default_lease_ttl": entry["config"]["default_lease_ttl"],
        "max_lease_ttl": entry["config"]["max_lease_ttl"],
    }
    if table == _TABLES["auth"]:
        lockout = entry["config"].get("user_lockout_config") or {}
        current["user_lockout"] = not lockout.get("user_lockout_disable", False)
    if entry["type"] == "kv":
        current["version"] = int((entry.get("options") or {}).get("version", 1))
        if current["version"] == 2:
            current["cas_required"] = (bao.read(f"{path}/config") or {}).get("cas_required", False)
    return current


def _apply(bao: OpenBao, entry: str, path: str, wanted: Mapping[str, Any], *, is_new: bool) -> None:
    tuned = {name: wanted[name] for name in _TUNED if name in wanted}
    if is_new:
        body: dict[str, Any] = {"type": wanted["type"]}
        if "version" in wanted:
            body["options"] = {"version": str(wanted["version"])}
        bao.write(entry, body)
    if "user_lockout" in wanted:
        tuned["user_lockout_config"] = {"lockout_disable": not wanted["user_lockout"]}
    if tuned:
        # The same for both kinds; sys/auth/…/tune would need sudo.
        bao.write(f"sys/mounts/{entry.removeprefix('sys/').removeprefix('mounts/')}/tune", tuned)
    if "cas_required" in wanted:
        bao.write(f"{path}/config", {"cas_required": wanted["cas_required"]})
