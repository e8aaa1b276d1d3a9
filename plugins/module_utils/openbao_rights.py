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

import copy
from collections.abc import Callable, Mapping
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import logged_in
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_access import (
    ensure_approle,
    ensure_policy,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_pki import (
    ensure_role,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_transit import (
    ensure_transit_key,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome

# OpenBao's own; they are no concern of an ACL.
_FIXED_POLICIES: Final = frozenset({"root", "default"})


def ensure_rights(module: AnsibleModule) -> Outcome:
    """Make OpenBao hold exactly the rights of a compiled ACL.

    Raises:
        PlatformError: OpenBao refuses one of them; the text says which.
    """
    rights = _Rights(module)
    params = module.params
    for entry in params["policies"]:
        rights.ensure("policy", ensure_policy, name=entry["name"], policy=entry["policy"])
    for entry in params["transit_keys"]:
        rights.ensure(
            "transit key",
            ensure_transit_key,
            name=entry["name"],
            mount=entry.get("mount", "transit"),
            type=entry.get("type", "aes256-gcm96"),
            auto_rotate_period="0",
            deletion_allowed=False,
            keys_file=None,
        )
    for entry in params["pki_roles"]:
        rights.ensure(
            "PKI role",
            ensure_role,
            name=entry["name"],
            mount=entry["mount"],
            options=entry["parameters"],
        )
    for entry in params["approles"]:
        rights.ensure(
            "AppRole", ensure_approle, name=entry["name"], mount="approle", **entry["parameters"]
        )
    _take_away(module, rights)
    return rights.outcome()


def _take_away(module: AnsibleModule, rights: _Rights) -> None:
    params = module.params
    spared = {*params["spared"], *_FIXED_POLICIES}
    with logged_in(module) as bao:
        approles = set(bao.names("auth/approle/role"))
        pki_roles = set(bao.names(f"{params['pki_mount']}/roles"))
        policies = set(bao.names("sys/policies/acl"))
    for name in sorted(approles - _names(params["approles"]) - spared):
        rights.ensure("AppRole", ensure_approle, name=name, mount="approle", state="absent")
    for name in sorted(pki_roles - _names(params["pki_roles"]) - spared):
        rights.ensure(
            "PKI role",
            ensure_role,
            name=name,
            mount=params["pki_mount"],
            options=None,
            state="absent",
        )
    for name in sorted(policies - _names(params["policies"]) - spared):
        rights.ensure("policy", ensure_policy, name=name, policy=None, state="absent")


def _names(entries: list[dict[str, Any]]) -> set[str]:
    return {entry["name"] for entry in entries}


class _Rights:
    """Carries out one object after the other and remembers what changed."""

    def __init__(self, module: AnsibleModule) -> None:
        self._module = module
        self._before: dict[str, Any] = {}
        self._after: dict[str, Any] = {}

    def ensure(self, kind: str, work: Callable[[AnsibleModule], Outcome], **options: Any) -> None:
        """Do what the module for one such object would do with these options."""
        part = copy.copy(self._module)
        part.params = {**self._module.params, "state": "present", **options}
        outcome = work(part)
        if outcome.changed:
            what = f"{kind} {options['name']}"
            self._before[what] = _plain(outcome.before)
            self._after[what] = _plain(outcome.after)

    def outcome(self) -> Outcome:
        """Return everything that changed."""
        return Outcome(
            changed=bool(self._after),
            before=self._before,
            after=self._after,
            facts={"changed_objects": sorted(self._after)},
        )


def _plain(value: Mapping[str, Any] | str) -> Any:
    return value if isinstance(value, str) else dict(value)
