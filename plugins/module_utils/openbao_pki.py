# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""PKI of OpenBao: the root that signs intermediates, and the roles that say what a leaf may be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.core_library import (
    Certificate,
    certificate_of,
)
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
    seconds,
)

_KEPT_ISSUER_FIELDS: Final = (
    "leaf_not_after_behavior",
    "usage",
    "revocation_signature_algorithm",
    "issuing_certificates",
    "crl_distribution_points",
    "ocsp_servers",
)

# What a role has when its spec does not say otherwise. Where OpenBao's own default allows more
# than nothing (localhost, IP addresses, wildcards, a chosen end beyond max_ttl), the strict value
# stands here: a right must be written down to exist.
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
class _Root:
    issuer_id: str
    fields: Mapping[str, Any]
    pem: str
    facts: Certificate


def ensure_root(module: AnsibleModule) -> Outcome:
    """Make a mount have the root that the options name; never a second one.

    1. A root with this common name is adopted, whatever its key and age.
    2. A mount with another root is refused: two roots would both sign.
    3. Only an empty mount gets a new root, and only when the mount allows its full life.

    Raises:
        PlatformError: Rule 2 or 3, or OpenBao refuses.
    """
    params = module.params
    mount = clean_path(params["mount"], option="mount")
    with logged_in(module) as bao:
        root = _find_root(bao, mount, params["common_name"])
        if root is None:
            return _make_root(module, bao, mount)
        default = _default_issuer(bao, mount)
        outcome = reconcile(
            {
                "issuer_name": root.fields.get("issuer_name", ""),
                "is_default": default == root.issuer_id,
            },
            {"issuer_name": params["issuer_name"], "is_default": True},
            apply=lambda: _correct_root(bao, mount, root, params["issuer_name"]),
            check_mode=module.check_mode,
        )
        return Outcome(outcome.changed, outcome.before, outcome.after, _root_facts(root.pem))


def ensure_role(module: AnsibleModule) -> Outcome:
    """Make a PKI role exist with exactly the options given, or not exist.

    Raises:
        PlatformError: An option is unknown or its value is wrong, or OpenBao refuses.
    """
    params = module.params
    mount = clean_path(params["mount"], option="mount")
    path = f"{mount}/roles/{clean_path(params['name'], option='name')}"
    options: Mapping[str, Any] = params["options"] or {}
    unknown = sorted(set(options) - set(_ROLE_DEFAULTS))
    if unknown:
        raise PlatformError(f"options: a PKI role has no {', '.join(unknown)}")
    wanted = {
        name: coerce(options.get(name, default), default, option=f"options.{name}")
        for name, default in _ROLE_DEFAULTS.items()
    }
    with logged_in(module) as bao:
        answer = bao.read(path)
        current = None if answer is None else _comparable_role(answer)
        if params["state"] == "absent":
            return reconcile(
                current, None, apply=lambda: bao.delete(path), check_mode=module.check_mode
            )
        return reconcile(
            current,
            wanted,
            apply=lambda: _write_role(bao, path, wanted),
            check_mode=module.check_mode,
        )


def _find_root(bao: OpenBao, mount: str, common_name: str) -> _Root | None:
    """Return the root of this name, the default issuer first; ``None`` for an empty mount.

    Raises:
        PlatformError: The mount holds issuers, and none of them is it.
    """
    roots, others = [], []
    for issuer_id in bao.names(f"{mount}/issuers"):
        fields = bao.read(f"{mount}/issuer/{issuer_id}") or {}
        facts = certificate_of(fields["certificate"])
        if facts.common_name == common_name and facts.is_self_issued:
            roots.append(_Root(issuer_id, fields, fields["certificate"], facts))
        else:
            others.append(facts.common_name)
    if len(roots) > 1:
        default = _default_issuer(bao, mount)
        roots.sort(key=lambda root: root.issuer_id != default)
    if roots:
        return roots[0]
    if others:
        raise PlatformError(
            f"mount {mount} already holds {', '.join(map(repr, others))}; a second root is not "
            "made: use that common_name, or another mount"
        )
    return None


def _default_issuer(bao: OpenBao, mount: str) -> str:
    return str((bao.read(f"{mount}/config/issuers") or {}).get("default", ""))


def _make_root(module: AnsibleModule, bao: OpenBao, mount: str) -> Outcome:
    params = module.params
    body: dict[str, Any] = {
        "common_name": params["common_name"],
        "issuer_name": params["issuer_name"],
        "ttl": seconds(params["ttl"], option="ttl"),
        "key_type": params["key_type"],
        "max_path_length": params["max_path_length"],
        # The name of a CA is not a host name.
        "exclude_cn_from_sans": True,
    }
    if params["key_bits"] is not None:
        body["key_bits"] = params["key_bits"]
    after = {name: body[name] for name in ("common_name", "issuer_name", "ttl", "key_type")}
    if module.check_mode:
        return Outcome(changed=True, after=after)
    longest = (bao.read(f"sys/mounts/{mount}/tune") or {}).get("max_lease_ttl", 0)
    if longest < body["ttl"]:
        raise PlatformError(
            f"ttl: mount {mount} allows {longest} s, the root shall live {body['ttl']} s; "
            "tune max_lease_ttl of the mount first"
        )
    made = bao.write(f"{mount}/root/generate/internal", body)
    return Outcome(changed=True, after=after, facts=_root_facts(made["certificate"]))


def _correct_root(bao: OpenBao, mount: str, root: _Root, issuer_name: str) -> None:
    # A write replaces every field of the issuer, so what is to stay is sent along.
    kept = {name: root.fields[name] for name in _KEPT_ISSUER_FIELDS if root.fields.get(name)}
    bao.write(f"{mount}/issuer/{root.issuer_id}", {**kept, "issuer_name": issuer_name})
    bao.write(f"{mount}/config/issuers", {"default": root.issuer_id})


def _root_facts(pem: str) -> dict[str, Any]:
    facts = certificate_of(pem)
    return {
        "certificate": pem.strip() + "\n",
        "fingerprint": facts.fingerprint,
        "not_after": facts.not_after.isoformat(),
    }


def _comparable_role(answer: Mapping[str, Any]) -> dict[str, Any]:
    return {
        name: canonical(answer.get(name, default), like=default)
        for name, default in _ROLE_DEFAULTS.items()
    }


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
    kept = _comparable_role(bao.read(path) or {})
    lost = sorted(name for name, value in wanted.items() if kept[name] != value)
    if lost:
        said = ", ".join(f"{name}: {wanted[name]!r} became {kept[name]!r}" for name in lost)
        raise PlatformError(f"options: OpenBao did not keep {said}")
