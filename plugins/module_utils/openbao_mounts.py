# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mounts of OpenBao: secret engines and auth methods, with what is tuned on them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    ImmutableFieldError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    logged_in,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import (
    Outcome,
    reconcile,
)
from ansible_collections.securetransport.platform.plugins.module_utils.values import (
    clean_path,
    seconds,
)

_TABLES = {"secret": "sys/mounts", "auth": "sys/auth"}
_TUNED = ("description", "default_lease_ttl", "max_lease_ttl")


def ensure_mount(module: AnsibleModule) -> Outcome:
    """Make a mount exist as the options say, or not exist.

    Raises:
        PlatformError: OpenBao refuses, or the mount is of another type or version.
    """
    params = module.params
    path = clean_path(params["path"], option="path")
    table = _TABLES[params["kind"]]
    with logged_in(module) as bao:
        current = _current(bao, table, path)
        if params["state"] == "absent":
            return reconcile(
                current,
                None,
                apply=lambda: bao.delete(f"{table}/{path}"),
                check_mode=module.check_mode,
            )
        wanted = _wanted(params)
        if current is not None:
            for field in ("type", "version"):
                if field in wanted and wanted[field] != current[field]:
                    raise ImmutableFieldError(f"mount {path}", field, current[field], wanted[field])
        return reconcile(
            current,
            wanted,
            apply=lambda: _apply(bao, table, path, current, wanted),
            check_mode=module.check_mode,
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
    if entry["type"] == "kv":
        current["version"] = int((entry.get("options") or {}).get("version", 1))
        if current["version"] == 2:
            current["cas_required"] = (bao.read(f"{path}/config") or {}).get("cas_required", False)
    return current


def _wanted(params: Mapping[str, Any]) -> dict[str, Any]:
    wanted: dict[str, Any] = {"type": params["type"]}
    if params["description"] is not None:
        wanted["description"] = params["description"]
    for option in ("default_lease_ttl", "max_lease_ttl"):
        if params[option] is not None:
            wanted[option] = seconds(params[option], option=option)
    if params["type"] == "kv":
        wanted["version"] = params["kv_version"]
        if params["kv_version"] == 2:
            wanted["cas_required"] = params["kv_cas_required"]
    return wanted


def _apply(
    bao: OpenBao,
    table: str,
    path: str,
    current: Mapping[str, Any] | None,
    wanted: Mapping[str, Any],
) -> None:
    tuned = {name: wanted[name] for name in _TUNED if name in wanted}
    if current is None:
        body: dict[str, Any] = {"type": wanted["type"]}
        if "version" in wanted:
            body["options"] = {"version": str(wanted["version"])}
        bao.write(f"{table}/{path}", body)
    if tuned:
        bao.write(f"{table}/{path}/tune", tuned)
    if "cas_required" in wanted:
        bao.write(f"{path}/config", {"cas_required": wanted["cas_required"]})
