# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PKI of OpenBao: the root that signs intermediates, and the roles that bound leaf certificates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import _core
from .._errors import PlatformError
from .._outcome import Outcome, reconcile
from .._values import clean_path, comparable, seconds, wanted_fields
from .client import OpenBao

_KEPT_ISSUER_FIELDS: Final = (
    "leaf_not_after_behavior",
    "usage",
    "revocation_signature_algorithm",
    "issuing_certificates",
    "crl_distribution_points",
    "ocsp_servers",
)

# What a role has when its description does not say otherwise. Where OpenBao's own default allows
# more than nothing (localhost, IP addresses, wildcards, a chosen end beyond max_ttl), the strict
# value stands here: a right must be written down to exist.
_ROLE_DEFAULTS: Final[dict[str, Any]] = {
    "allow_any_name": False,
    "allow_bare_domains": False,
    "allow_glob_domains": False,
    "allow_globs_in_identity_templates": False,
    "allow_ip_sans": False,
    "allow_localhost": False,
    "allow_subdomains": False,
    "allow_token_displayname": False,
    "allow_wildcard_certificates": False,
    "allowed_domains": [],
    "allowed_domains_template": False,
    "allowed_ip_sans_cidr": [],
    "allowed_other_sans": [],
    "allowed_serial_numbers": [],
    "allowed_uri_sans": [],
    "allowed_uri_sans_template": False,
    "allowed_user_ids": [],
    "basic_constraints_valid_for_non_ca": False,
    "client_flag": True,
    "cn_validations": ["email", "hostname"],
    "code_signing_flag": False,
    "country": [],
    "email_protection_flag": False,
    "enforce_hostnames": True,
    "ext_key_usage": [],
    "ext_key_usage_oids": [],
    "generate_lease": False,
    "issuer_ref": "default",
    "key_bits": 256,
    "key_type": "ec",
    "key_usage": ["DigitalSignature"],
    "locality": [],
    "max_ttl": 0,
    "no_store": True,
    "not_after": "",
    "not_after_bound": "forbid",
    "not_before": "",
    "not_before_bound": "forbid",
    "not_before_duration": 30,
    "organization": [],
    "ou": [],
    "policy_identifiers": [],
    "postal_code": [],
    "province": [],
    "require_cn": True,
    "server_flag": False,
    "signature_bits": 0,
    "street_address": [],
    "ttl": 0,
    "use_csr_common_name": True,
    "use_csr_sans": True,
    "use_pss": False,
}


@dataclass(frozen=True, slots=True)
class RootSpec:
    """The root of a PKI mount.

    Attributes:
        common_name: By which it is recognised.
        mount: Where it lies.
        issuer_name: Name of the issuer inside OpenBao.
        ttl: Life of a new root, a duration.
        key_type: Kind of key of a new root.
        max_path_length: How many intermediates may follow below a new root.
    """

    common_name: str
    mount: str = "pki"
    issuer_name: str = "root"
    ttl: str = "87600h"
    key_type: str = "ec"
    max_path_length: int = 1


@dataclass(frozen=True, slots=True)
class PkiRoleSpec:
    """What leaf certificates a name may have signed.

    Attributes:
        name: Its name.
        parameters: Fields as OpenBao names them; those that are not given have the strictest value.
        mount: Where it lies.
        state: ``present`` or ``absent``.
    """

    name: str
    parameters: Mapping[str, Any]
    mount: str = "nats_int"
    state: str = "present"


def ensure_root(bao: OpenBao, spec: RootSpec, check_mode: bool) -> Outcome:
    """Make a mount have the root that is described; never a second one.

    1. A root with this common name is adopted, whatever its key and age.
    2. A mount with another root is refused: two roots would both sign.
    3. Only an empty mount gets a new root, and only when the mount allows its full life.

    Raises:
        LibraryError: The Python package that reads certificates is not there.
        PlatformError: Rule 2 or 3, or OpenBao refuses.
    """
    _core.require()
    mount = clean_path(spec.mount, option="mount")
    ttl_seconds = seconds(spec.ttl, option="ttl")
    issuer_id, issuer = _find_root(bao, mount, spec.common_name)
    if not issuer_id:
        return _make_root(bao, mount, spec, ttl_seconds, check_mode=check_mode)
    return reconcile(
        {
            "issuer_name": issuer.get("issuer_name", ""),
            "is_default": _default_issuer(bao, mount) == issuer_id,
        },
        {"issuer_name": spec.issuer_name, "is_default": True},
        apply=lambda: _correct_root(bao, mount, issuer_id, issuer, spec.issuer_name),
        check_mode=check_mode,
    )


def ensure_pki_role(bao: OpenBao, spec: PkiRoleSpec, check_mode: bool) -> Outcome:
    """Make a PKI role exist with exactly the fields given, or not exist.

    Raises:
        PlatformError: A field is unknown or its value is wrong, or OpenBao refuses.
    """
    mount = clean_path(spec.mount, option="mount")
    path = f"{mount}/roles/{clean_path(spec.name, option='name')}"
    wanted = wanted_fields(spec.parameters, _ROLE_DEFAULTS, what="a PKI role")
    current = comparable(bao.read(path), _ROLE_DEFAULTS)
    if spec.state == "absent":
        return reconcile(current, None, apply=lambda: bao.delete(path), check_mode=check_mode)
    return reconcile(
        current, wanted, apply=lambda: _write_role(bao, path, wanted), check_mode=check_mode
    )


def _find_root(bao: OpenBao, mount: str, common_name: str) -> tuple[str, dict[str, Any]]:
    """Return id and fields of the root of this name, the default issuer first; empty for none.

    Raises:
        PlatformError: The mount holds issuers, and none of them is it.
    """
    roots, others = [], []
    for issuer_id in bao.names(f"{mount}/issuers"):
        fields = bao.read(f"{mount}/issuer/{issuer_id}") or {}
        with _core.translated(f"issuer {issuer_id} of {mount}"):
            facts = _core.x509.describe(_core.x509.pem_to_der(fields.get("certificate", "")))
        if facts.common_name == common_name == facts.issuer_common_name:
            roots.append((issuer_id, fields))
        else:
            others.append(facts.common_name)
    if len(roots) > 1:
        default = _default_issuer(bao, mount)
        roots.sort(key=lambda root: root[0] != default)
    if others and not roots:
        raise PlatformError(
            f"mount {mount} already holds {', '.join(map(repr, others))}; a second root is not "
            "made: use that common_name, or another mount"
        )
    return roots[0] if roots else ("", {})


def _default_issuer(bao: OpenBao, mount: str) -> str:
    return str((bao.read(f"{mount}/config/issuers") or {}).get("default", ""))


def _make_root(
    bao: OpenBao, mount: str, spec: RootSpec, ttl_seconds: int, *, check_mode: bool
) -> Outcome:
    after = {
        "common_name": spec.common_name,
        "issuer_name": spec.issuer_name,
        "ttl": ttl_seconds,
        "key_type": spec.key_type,
    }
    if not check_mode:
        longest = (bao.read(f"sys/mounts/{mount}/tune") or {}).get("max_lease_ttl", 0)
        if longest < ttl_seconds:
            raise PlatformError(
                f"ttl: mount {mount} allows {longest} s, the root shall live {ttl_seconds} s; "
                "tune max_lease_ttl of the mount first"
            )
        # The name of a CA is not a host name.
        more = {"max_path_length": spec.max_path_length, "exclude_cn_from_sans": True}
        bao.write(f"{mount}/root/generate/internal", {**after, **more})
    return Outcome(changed=True, after=after)


def _correct_root(
    bao: OpenBao, mount: str, issuer_id: str, issuer: Mapping[str, Any], issuer_name: str
) -> None:
    # A write replaces every field of the issuer, so what is to stay is sent along.
    kept = {name: issuer[name] for name in _KEPT_ISSUER_FIELDS if issuer.get(name)}
    bao.write(f"{mount}/issuer/{issuer_id}", {**kept, "issuer_name": issuer_name})
    bao.write(f"{mount}/config/issuers", {"default": issuer_id})


def _write_role(bao: OpenBao, path: str, wanted: Mapping[str, Any]) -> None:
    """Write a role and check that OpenBao kept every value.

    Raises:
        PlatformError: OpenBao accepted the call and kept something else.
    """
    # Empty bounds are the server's "not set"; it does not take them as values.
    body = {
        name: value
        for name, value in wanted.items()
        if not (name in {"not_after", "not_before"} and value == "")
    }
    bao.write(path, body)
    kept = comparable(bao.read(path) or {}, _ROLE_DEFAULTS)
    lost = sorted(name for name, value in wanted.items() if kept[name] != value)
    if lost:
        said = ", ".join(f"{name}: {wanted[name]!r} became {kept[name]!r}" for name in lost)
        raise PlatformError(f"{path}: OpenBao did not keep {said}")
