# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ACL: from its file, signed, into OpenBao; and compiled into what roles create."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.core_library import (
    core_errors,
)
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.files import read_optional
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    logged_in,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome
from ansible_collections.securetransport.platform.plugins.module_utils.values import seconds

# Where it is missing, core_errors, which is entered first, says so.
with suppress(ImportError):
    from securetransport.core import acl as acl_library
    from securetransport.core.base import names
    from securetransport.core.base.errors import RejectedDocumentError, SecureTransportError
    from securetransport.core.base.names import ServiceId
    from securetransport.core.base.profile import PROFILES
    from securetransport.core.crypto import signing
    from securetransport.core.formats import documents
    from securetransport.core.formats.body import DocumentKind, Version
    from securetransport.core.formats.deny_list import DenyList

# An ACL is signed again when less than a quarter of its life is left, so that a run of the
# playbook in time keeps it valid and a run every day does not change it every day.
_RENEWED_AT: Final = 4


@dataclass(frozen=True, slots=True)
class _InForce:
    """The signed ACL that OpenBao holds.

    Attributes:
        body: Its canonical form; ``None`` when there is none or nobody could accept it.
        version: Version of the document, ``None`` when it cannot be read.
        kv_version: What a write must name.
        is_fresh: It has a good part of its life before it.
    """

    body: bytes | None
    version: Any
    kv_version: int
    is_fresh: bool


def ensure_acl(module: AnsibleModule) -> Outcome:
    """Make the signed ACL in OpenBao say what the file says.

    1. The file is read and checked first; a wrong file changes nothing.
    2. What counts is the canonical form: comments and order change nothing.
    3. A document that this administrator's key did not sign, or that ends soon, is signed anew.
    4. The write names the version it replaces.

    Raises:
        PlatformError: The file is wrong, the key is missing, or somebody else wrote first.
    """
    params = module.params
    with core_errors("key_file"):
        pem = read_optional(params["key_file"], option="key_file")
        if pem is None and not module.check_mode:
            raise PlatformError(
                f"key_file: {params['key_file']} does not exist; make it with administrator_key"
            )
        key = None if pem is None else signing.signing_key_from_pem(pem)
    acl = load_file(params["acl_file"])
    body = acl.canonical()
    life = timedelta(seconds=seconds(params["validity"], option="validity"))
    now = datetime.now(tz=UTC)
    with logged_in(module) as bao:
        in_force = _read(bao, key, now, life)
        digest = {"digest": acl.digest()}
        if in_force.body == body and in_force.is_fresh:
            return Outcome(changed=False, facts={**digest, "version": str(in_force.version)})
        version = _next_version(in_force)
        lines = _consequences(in_force.body, acl)
        if key is not None and not module.check_mode:
            with core_errors("acl"):
                document = documents.sign_with_key(
                    kind=DocumentKind.ACL,
                    audience=documents.AUTHORITY,
                    version=version,
                    created_at=now,
                    not_after=now + life,
                    body=body,
                    signer=documents.ADMINISTRATOR,
                    key=key,
                )
                data = base64.b64encode(documents.encode(document)).decode("ascii")
            bao.write_kv(names.KV_MOUNT, names.KV_ACL, {"document": data}, in_force.kv_version)
    return Outcome(
        changed=True,
        before=f"version {in_force.version or 'none'}\n",
        after=f"version {version}\n" + "".join(f"{line}\n" for line in lines),
        facts={**digest, "version": str(version), "consequences": lines},
    )


def load_file(path: str) -> Any:
    """Return the ACL of a file.

    Raises:
        PlatformError: It is missing or wrong; its field ``problems`` has one line per problem.
    """
    text = read_optional(path, option="acl_file")
    if text is None:
        raise PlatformError(f"acl_file: {path} does not exist")
    with core_errors("acl_file"):
        return acl_library.load_acl(text, source=path)


def _read(bao: OpenBao, key: Any, now: datetime, life: timedelta) -> _InForce:
    data, kv_version = bao.read_kv(names.KV_MOUNT, names.KV_ACL)
    if data is None:
        return _InForce(None, None, kv_version, is_fresh=False)
    try:
        document = documents.decode(base64.b64decode(data["document"], validate=True))
    except (KeyError, TypeError, ValueError, RejectedDocumentError):
        return _InForce(None, None, kv_version, is_fresh=False)
    body: bytes | None = None
    if key is not None:
        try:
            body = documents.verify_document(
                document,
                {key.key_id: (key.algorithm, key.public_key)}.__getitem__,
                kind=DocumentKind.ACL,
                audience=documents.AUTHORITY,
                at=now,
            )
        except RejectedDocumentError:
            body = None
    is_fresh = document.not_after - now > life / _RENEWED_AT
    return _InForce(body, document.version, kv_version, is_fresh)


def _next_version(in_force: _InForce) -> Any:
    # Where no document can be read, OpenBao's own count is above any that was there before.
    if in_force.version is None:
        return Version(counter=in_force.kv_version + 1)
    return in_force.version.next()


def _consequences(body: bytes | None, acl: Any) -> list[str]:
    """Return what the change means, one line each; nothing but that is shown of an ACL."""
    old = None
    if body is not None:
        try:
            old = acl_library.Acl.from_canonical(body)
        except (ValueError, SecureTransportError):
            old = None
    if old is None:
        return [f"first ACL that this key signs, digest {acl.digest()}"]
    difference = acl_library.diff(old, acl)
    return list(difference.lines) or ["signed anew, nothing else changes"]


def plan(module: AnsibleModule) -> Outcome:
    """Return what roles make from an ACL file, as lists to loop over.

    Raises:
        PlatformError: The file is wrong.
    """
    params: Mapping[str, Any] = module.params
    acl = load_file(params["acl_file"])
    with core_errors("acl_file"):
        profile = _profile(params)
        now = datetime.now(tz=UTC)
        denied = {ServiceId(name): now for name in params["denied"] or ()}
        openbao = acl_library.compile_openbao(
            acl,
            profile,
            deny=DenyList(services=denied),
            server_names=params["server_names"],
        ).to_dict()
        policies = openbao.pop("policies")
        replicas = params["replicas"]
        facts = {
            "trust_domain": acl.trust_domain,
            "digest": acl.digest(),
            "services": sorted(acl.services),
            **openbao,
            "policies": [{"name": name, "policy": text} for name, text in sorted(policies.items())],
            "streams": acl_library.compile_streams(acl, profile, replicas=replicas),
            "consumers": acl_library.compile_consumers(acl, replicas=replicas),
        }
    return Outcome(changed=False, facts=facts)


def denied(module: AnsibleModule) -> Outcome:
    """Return the services that the authority's deny list names.

    No list means that nobody is denied; a list that cannot be verified is an error, because taking
    it for empty would let a revoked service in again.

    Raises:
        PlatformError: The list or the file of pinned keys is not acceptable.
    """
    with core_errors("deny list"):
        path = module.params["keys_file"]
        text = read_optional(path, option="keys_file")
        if text is None:
            raise PlatformError(f"keys_file: {path} does not exist")
        keys = documents.AuthorityKeys.from_json(text)
        with logged_in(module) as bao:
            data, _version = bao.read_kv(names.KV_MOUNT, names.KV_DENY_LIST)
        if data is None:
            return Outcome(changed=False, facts={"denied": [], "version": None})
        try:
            document = documents.decode(base64.b64decode(data["document"], validate=True))
            body = documents.verify_document(
                document,
                keys.lookup,
                kind=DocumentKind.DENY_LIST,
                audience=documents.EVERYBODY,
                # A list past its end still says who is revoked, and the platform must be
                # repairable when the authority was away for long.
                at=document.created_at,
            )
            services = sorted(DenyList.from_bytes(body).services)
        except (KeyError, TypeError, ValueError) as err:
            raise PlatformError("deny list: OpenBao holds something else in its place") from err
    return Outcome(changed=False, facts={"denied": services, "version": str(document.version)})


def _profile(params: Mapping[str, Any]) -> Any:
    name = params["profile"]
    if name not in PROFILES:
        raise PlatformError(f"profile: {name!r} is unknown; known: {', '.join(sorted(PROFILES))}")
    changes = {
        field: timedelta(seconds=seconds(value, option=f"profile_overrides.{field}"))
        for field, value in (params["profile_overrides"] or {}).items()
    }
    return PROFILES[name].override(**changes)
