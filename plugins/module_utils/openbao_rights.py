# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All rights of a compiled ACL in one go: policies, AppRoles, PKI roles and the services' keys.

Rules:

1. Policies come first, so that no identity ever has a role without its policy.
2. What the ACL does not name any more is taken away in the other direction: roles, then policies.
3. Keys are never taken away; what they protect would be lost.
"""

from __future__ import annotations

from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.batch import Batch
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import logged_in
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_access import (
    ensure_approle,
    ensure_policy,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_mounts import (
    ensure_mount,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_pki import (
    ensure_role,
    ensure_root,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_transit import (
    ensure_transit_key,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome

# OpenBao's own; they are no concern of an ACL.
_FIXED_POLICIES: Final = frozenset({"root", "default"})


def ensure_engines(module: AnsibleModule) -> Outcome:
    """Mount the engines, make the root and the keys that sign for the authority.

    Raises:
        PlatformError: OpenBao refuses one of them; the text says which.
    """
    batch = Batch(module)
    params = module.params
    for mount in params["mounts"]:
        batch.ensure(
            f"mount {mount['path']}",
            ensure_mount,
            kind="secret",
            default_lease_ttl=None,
            kv_version=2,
            **mount,
        )
    root = params["root"]
    batch.ensure(f"root {root['common_name']}", ensure_root, key_bits=None, **root)
    for name in params["signing_keys"]:
        _ensure_key(batch, name, params["signing_key_type"], params["keys_file"])
    return batch.outcome()


def ensure_rights(module: AnsibleModule) -> Outcome:
    """Make OpenBao hold exactly the rights of a compiled ACL.

    Raises:
        PlatformError: OpenBao refuses one of them; the text says which.
    """
    batch = Batch(module)
    params = module.params
    for entry in params["policies"]:
        name = entry["name"]
        batch.ensure(f"policy {name}", ensure_policy, name=name, policy=entry["policy"])
    for entry in params["transit_keys"]:
        _ensure_key(batch, entry["name"], entry["type"], None)
    for entry in params["pki_roles"]:
        name, fields = entry["name"], entry["parameters"]
        batch.ensure(
            f"PKI role {name}", ensure_role, name=name, mount=entry["mount"], options=fields
        )
    for entry in params["approles"]:
        name, fields = entry["name"], entry["parameters"]
        batch.ensure(f"AppRole {name}", ensure_approle, name=name, mount="approle", **fields)
    _take_away(module, batch)
    return batch.outcome()


def _ensure_key(batch: Batch, name: str, kind: str, keys_file: str | None) -> None:
    batch.ensure(
        f"transit key {name}",
        ensure_transit_key,
        name=name,
        mount="transit",
        type=kind,
        auto_rotate_period="0",
        deletion_allowed=False,
        keys_file=keys_file,
    )


def _take_away(module: AnsibleModule, batch: Batch) -> None:
    params = module.params
    mount = params["pki_mount"]
    spared = {*params["spared"], *_FIXED_POLICIES}
    with logged_in(module) as bao:
        approles = set(bao.names("auth/approle/role"))
        pki_roles = set(bao.names(f"{mount}/roles"))
        policies = set(bao.names("sys/policies/acl"))
    gone: dict[str, Any] = {"state": "absent"}
    for name in sorted(approles - _names(params["approles"]) - spared):
        batch.ensure(f"AppRole {name}", ensure_approle, name=name, mount="approle", **gone)
    for name in sorted(pki_roles - _names(params["pki_roles"]) - spared):
        batch.ensure(f"PKI role {name}", ensure_role, name=name, mount=mount, options=None, **gone)
    for name in sorted(policies - _names(params["policies"]) - spared):
        batch.ensure(f"policy {name}", ensure_policy, name=name, policy=None, **gone)


def _names(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}
