# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what in OpenBao: policies and AppRoles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    logged_in,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import (
    Outcome,
    reconcile,
)
from ansible_collections.securetransport.platform.plugins.module_utils.values import (
    canonical,
    clean_path,
    coerce,
    wanted_fields,
)

_FIXED_POLICIES: Final = frozenset({"root", "default"})

_APPROLE_DEFAULTS: Final[dict[str, Any]] = {
    "bind_secret_id": True,
    "secret_id_bound_cidrs": [],
    "secret_id_num_uses": 0,
    "secret_id_ttl": 0,
    "token_bound_cidrs": [],
    "token_explicit_max_ttl": 0,
    "token_max_ttl": 0,
    "token_no_default_policy": False,
    "token_num_uses": 0,
    "token_period": 0,
    "token_policies": [],
    "token_ttl": 0,
    "token_type": "default",
}


def ensure_policy(module: AnsibleModule) -> Outcome:
    """Make an ACL policy have exactly the text given, or not exist.

    Raises:
        PlatformError: OpenBao refuses the text, or the policy is one of its own.
    """
    params = module.params
    name = clean_path(params["name"], option="name")
    if name in _FIXED_POLICIES and params["state"] == "absent":
        raise PlatformError(f"name: the policy {name!r} belongs to OpenBao and cannot be deleted")
    path = f"sys/policies/acl/{name}"
    with logged_in(module) as bao:
        answer = bao.read(path)
        before = None if answer is None else _text(answer["policy"])
        after = None if params["state"] == "absent" else _text(params["policy"])
        if before == after:
            return Outcome(changed=False)
        if not module.check_mode:
            if after is None:
                bao.delete(path)
            else:
                bao.write(path, {"policy": after})
        return Outcome(changed=True, before=before or "", after=after or "")


def ensure_approle(module: AnsibleModule) -> Outcome:
    """Make an AppRole exist with exactly the options given, or not exist.

    Options that are not given are put back to OpenBao's defaults.

    Raises:
        PlatformError: OpenBao refuses.
    """
    params = module.params
    mount = clean_path(params["mount"], option="mount")
    name = clean_path(params["name"], option="name")
    path = f"auth/{mount}/role/{name}"
    with logged_in(module) as bao:
        answer = bao.read(path)
        if params["state"] == "absent":
            current = None if answer is None else _comparable(answer)
            return reconcile(
                current, None, apply=lambda: bao.delete(path), check_mode=module.check_mode
            )
        wanted = {
            option: coerce(value, _APPROLE_DEFAULTS[option], option=option)
            for option, value in {**_APPROLE_DEFAULTS, **wanted_fields(params)}.items()
            if option in _APPROLE_DEFAULTS
        }
        return reconcile(
            None if answer is None else _comparable(answer),
            wanted,
            apply=lambda: _write_role(bao, path, wanted),
            check_mode=module.check_mode,
        )


def _write_role(bao: OpenBao, path: str, wanted: Mapping[str, Any]) -> None:
    bao.write(path, wanted)


def _comparable(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        option: canonical(answer.get(option, default), like=default)
        for option, default in _APPROLE_DEFAULTS.items()
    }


def _text(policy: str) -> str:
    return policy.strip() + "\n"
