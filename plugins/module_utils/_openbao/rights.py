# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everything of a compiled ACL in one go: engines and keys; policies, AppRoles and PKI roles.

Rules:

1. Policies come first, so that no identity ever has a role without its policy.
2. What the ACL does not name any more is taken away in the other direction: roles, then policies.
3. Keys are never taken away; what they protect would be lost.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from .. import _core
from .._outcome import Outcome, Step, ensure_each
from .._values import clean_path
from .access import FIXED_POLICIES, AppRoleSpec, PolicySpec, ensure_approle, ensure_policy
from .client import OpenBao
from .mounts import MountSpec, ensure_mount
from .pki import PkiRoleSpec, RootSpec, ensure_pki_role, ensure_root
from .transit import TransitKeySpec, ensure_transit_key


@dataclass(frozen=True, slots=True)
class EnginesSpec:
    """What must be there before rights can be given.

    Attributes:
        mounts: Secret engines, in this order.
        root: The root, made after its mount.
        signing_keys: Keys that sign for the authority.
    """

    mounts: Sequence[MountSpec]
    root: RootSpec
    signing_keys: Sequence[TransitKeySpec]


@dataclass(frozen=True, slots=True)
class RightsSpec:
    """The rights of a compiled ACL.

    Attributes:
        policies: All policies.
        transit_keys: The services' keys.
        pki_roles: All PKI roles.
        approles: All AppRoles.
        pki_mount: Where PKI roles that are not named any more are taken away.
        spared: Names that somebody else looks after.
    """

    policies: Sequence[PolicySpec]
    transit_keys: Sequence[TransitKeySpec]
    pki_roles: Sequence[PkiRoleSpec]
    approles: Sequence[AppRoleSpec]
    pki_mount: str = "nats_int"
    spared: Sequence[str] = ()


def ensure_engines(bao: OpenBao, spec: EnginesSpec, check_mode: bool) -> Outcome:
    """Mount the engines, make the root and the keys that sign for the authority.

    Raises:
        LibraryError: The Python package is not there; nothing was changed.
        PlatformError: OpenBao refuses one of them; the text says which.
    """
    _core.require()

    def steps() -> Iterator[Step]:
        for mount in spec.mounts:
            yield f"mount {mount.path}", partial(ensure_mount, bao, mount)
        yield f"root {spec.root.common_name}", partial(ensure_root, bao, spec.root)
        for key in spec.signing_keys:
            yield f"transit key {key.name}", partial(ensure_transit_key, bao, key)

    return ensure_each(steps, check_mode)


def ensure_rights(bao: OpenBao, spec: RightsSpec, check_mode: bool) -> Outcome:
    """Make OpenBao hold exactly the rights of a compiled ACL.

    Raises:
        PlatformError: OpenBao refuses one of them; the text says which.
    """

    def steps() -> Iterator[Step]:
        for policy in spec.policies:
            yield f"policy {policy.name}", partial(ensure_policy, bao, policy)
        for key in spec.transit_keys:
            yield f"transit key {key.name}", partial(ensure_transit_key, bao, key)
        for role in spec.pki_roles:
            yield f"PKI role {role.name}", partial(ensure_pki_role, bao, role)
        for approle in spec.approles:
            yield f"AppRole {approle.name}", partial(ensure_approle, bao, approle)
        yield from _taken_away(bao, spec)

    return ensure_each(steps, check_mode)


def _taken_away(bao: OpenBao, spec: RightsSpec) -> Iterator[Step]:
    mount = clean_path(spec.pki_mount, option="pki_mount")
    spared = {*spec.spared, *FIXED_POLICIES}
    wanted = {entry.name for entry in spec.approles}
    for name in sorted(set(bao.names("auth/approle/role")) - wanted - spared):
        approle = AppRoleSpec(name, {}, state="absent")
        yield f"AppRole {name}", partial(ensure_approle, bao, approle)
    wanted = {entry.name for entry in spec.pki_roles}
    for name in sorted(set(bao.names(f"{mount}/roles")) - wanted - spared):
        role = PkiRoleSpec(name, {}, mount, state="absent")
        yield f"PKI role {name}", partial(ensure_pki_role, bao, role)
    wanted = {entry.name for entry in spec.policies}
    for name in sorted(set(bao.names("sys/policies/acl")) - wanted - spared):
        yield f"policy {name}", partial(ensure_policy, bao, PolicySpec(name, state="absent"))
