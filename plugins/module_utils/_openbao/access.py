# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may do what in OpenBao: policies and AppRoles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .._errors import PlatformError
from .._outcome import Outcome, reconcile
from .._values import clean_path, comparable, wanted_fields
from .client import OpenBao

FIXED_POLICIES: Final = frozenset({"root", "default"})
"""OpenBao's own; nobody makes them and nobody takes them away."""

APPROLE_DEFAULTS: Final[dict[str, Any]] = {
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


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """An ACL policy.

    Attributes:
        name: Its name.
        policy: Its text, HCL or JSON; needed unless it is to be absent.
        state: ``present`` or ``absent``.
    """

    name: str
    policy: str | None = None
    state: str = "present"


@dataclass(frozen=True, slots=True)
class AppRoleSpec:
    """A login role.

    Attributes:
        name: Its name.
        parameters: Fields as OpenBao names them; those that are not given have its defaults.
        mount: Where the method is mounted.
        state: ``present`` or ``absent``.
    """

    name: str
    parameters: Mapping[str, Any]
    mount: str = "approle"
    state: str = "present"


def ensure_policy(bao: OpenBao, spec: PolicySpec, check_mode: bool) -> Outcome:
    """Make an ACL policy have exactly the text given, or not exist.

    Raises:
        PlatformError: OpenBao refuses the text, or the policy is one of its own.
    """
    name = clean_path(spec.name, option="name")
    if name in FIXED_POLICIES and spec.state == "absent":
        raise PlatformError(f"name: the policy {name!r} belongs to OpenBao and cannot be deleted")
    path = f"sys/policies/acl/{name}"
    answer = bao.read(path)
    before = None if answer is None else _text(answer["policy"])
    after = None if spec.state == "absent" else _text(spec.policy or "")
    if before == after:
        return Outcome(changed=False)
    if not check_mode:
        if after is None:
            bao.delete(path)
        else:
            bao.write(path, {"policy": after})
    return Outcome(changed=True, before=before or "", after=after or "")


def ensure_approle(bao: OpenBao, spec: AppRoleSpec, check_mode: bool) -> Outcome:
    """Make an AppRole exist with exactly the fields given, or not exist.

    Fields that are not given are put back to OpenBao's defaults.

    Raises:
        PlatformError: A field is unknown or its value is wrong, or OpenBao refuses.
    """
    mount = clean_path(spec.mount, option="mount")
    path = f"auth/{mount}/role/{clean_path(spec.name, option='name')}"
    wanted = wanted_fields(spec.parameters, APPROLE_DEFAULTS, what="an AppRole")
    current = comparable(bao.read(path), APPROLE_DEFAULTS)
    if spec.state == "absent":
        return reconcile(current, None, apply=lambda: bao.delete(path), check_mode=check_mode)
    return reconcile(current, wanted, apply=lambda: bao.write(path, wanted), check_mode=check_mode)


def _text(policy: str) -> str:
    return policy.strip() + "\n"
