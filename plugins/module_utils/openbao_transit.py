# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transit keys of OpenBao, and the file with the authority's public keys."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    ImmutableFieldError,
    PlatformError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.keys_file import (
    PublicKey,
    publish_keys,
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

_ALGORITHMS: Final = {
    "mldsa-44": "ML-DSA-44",
    "mldsa-65": "ML-DSA-65",
    "mldsa-87": "ML-DSA-87",
}


def ensure_transit_key(module: AnsibleModule) -> Outcome:
    """Make a transit key exist, or not exist, and its public part be in the keys file.

    No option makes a key exportable: keys stay home.

    Raises:
        PlatformError: The key is of another type or exportable, or may not be deleted.
    """
    params = module.params
    name = clean_path(params["name"], option="name")
    path = f"{clean_path(params['mount'], option='mount')}/keys/{name}"
    with logged_in(module) as bao:
        current = bao.read(path)
        if params["state"] == "absent":
            return _delete(module, bao, path, current)
        wanted = {
            "type": params["type"],
            "exportable": False,
            "deletion_allowed": params["deletion_allowed"],
            "auto_rotate_period": seconds(
                params["auto_rotate_period"], option="auto_rotate_period"
            ),
        }
        for field in ("type", "exportable"):
            if current is not None and current[field] != wanted[field]:
                raise ImmutableFieldError(
                    f"transit key {name}", field, current[field], wanted[field]
                )
        outcome = reconcile(
            None if current is None else {field: current[field] for field in wanted},
            wanted,
            apply=lambda: _apply(bao, path, current, wanted),
            check_mode=module.check_mode,
        )
        keys = public_keys(name, bao.read(path) or {})
        is_file_changed = bool(params["keys_file"]) and publish_keys(
            params["keys_file"],
            keys,
            option="keys_file",
            is_replaced=lambda key_id: key_id.rpartition(":v")[0] == name,
            check_mode=module.check_mode,
        )
        after: dict[str, Any] = {**wanted} if outcome.changed else {}
        if is_file_changed:
            after["keys_file"] = [entry["key_id"] for entry in keys]
        return Outcome(
            changed=outcome.changed or is_file_changed,
            before=outcome.before,
            after=after,
            facts={"keys": keys},
        )


def public_keys(name: str, answer: Mapping[str, Any]) -> list[PublicKey]:
    """Return the public keys of a transit key, oldest version first; none for a symmetric one."""
    versions = answer.get("keys") or {}
    algorithm = _ALGORITHMS.get(answer.get("type", ""), answer.get("type", ""))
    return [
        {
            "key_id": f"{name}:v{version}",
            "algorithm": algorithm,
            "public_key": versions[version]["public_key"],
        }
        for version in sorted(versions, key=int)
        if isinstance(versions[version], dict) and versions[version].get("public_key")
    ]


def _apply(
    bao: OpenBao, path: str, current: Mapping[str, Any] | None, wanted: Mapping[str, Any]
) -> None:
    if current is None:
        bao.write(path, {"type": wanted["type"], "exportable": False})
    tuned = ("deletion_allowed", "auto_rotate_period")
    bao.write(f"{path}/config", {field: wanted[field] for field in tuned})


def _delete(
    module: AnsibleModule, bao: OpenBao, path: str, current: Mapping[str, Any] | None
) -> Outcome:
    params = module.params
    if current is None:
        return Outcome(changed=False)
    if not params["deletion_allowed"] and not current["deletion_allowed"]:
        raise PlatformError(
            f"transit key {params['name']} may not be deleted; what it protects would be lost: "
            "say deletion_allowed to do it all the same"
        )
    if not module.check_mode:
        bao.write(f"{path}/config", {"deletion_allowed": True})
        bao.delete(path)
    return Outcome(changed=True, before={"type": current["type"]})
