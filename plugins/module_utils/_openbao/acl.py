# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signed documents in OpenBao: the ACL that an administrator signs, the authority's deny list."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .. import _core
from .._errors import PlatformError
from .._local.acl_file import load_acl
from .._local.files import read_optional, read_required
from .._outcome import Outcome
from .._values import seconds
from .client import OpenBao

# An ACL is signed again when less than a quarter of its life is left, so that a run of the
# playbook in time keeps it valid and a run every day does not change it every day.
_RENEWED_AT: Final = 4


@dataclass(frozen=True, slots=True)
class AclSpec:
    """The ACL that is to be in force.

    Attributes:
        acl_file: The file.
        key_file: The administrator's private key.
        validity: How long a signature is good, a duration.
    """

    acl_file: str
    key_file: str
    validity: str


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
    version: _core.body.Version | None
    kv_version: int
    is_fresh: bool


def ensure_acl(bao: OpenBao, spec: AclSpec, check_mode: bool) -> Outcome:
    """Make the signed ACL in OpenBao say what the file says.

    1. The file is read and checked first; a wrong file changes nothing.
    2. What counts is the canonical form: comments and order change nothing.
    3. A document that this administrator's key did not sign, or that ends soon, is signed anew.
    4. The write names the version it replaces.

    Raises:
        PlatformError: The file is wrong, the key is missing, or somebody else wrote first.
    """
    life = timedelta(seconds=seconds(spec.validity, option="validity"))
    if not life:
        raise PlatformError("validity: an ACL that is never valid cannot be in force")
    with _core.translated("key_file"):
        pem = read_optional(spec.key_file, option="key_file")
        if pem is None and not check_mode:
            raise PlatformError(
                f"key_file: {spec.key_file} does not exist; make it with administrator_key"
            )
        key = None if pem is None else _core.signing.signing_key_from_pem(pem)
    acl = load_acl(spec.acl_file)
    body, digest = acl.canonical(), acl.digest()
    now = datetime.now(tz=UTC)
    in_force = _read(bao, key, now, life)
    if in_force.body == body and in_force.is_fresh:
        facts = {"digest": digest, "version": str(in_force.version)}
        return Outcome(changed=False, facts=facts)
    version = _next_version(in_force)
    lines = _consequences(in_force.body, acl)
    if key is not None and not check_mode:
        with _core.translated("acl"):
            document = _core.documents.sign_with_key(
                kind=_core.body.DocumentKind.ACL,
                audience=_core.documents.AUTHORITY,
                version=version,
                created_at=now,
                not_after=now + life,
                body=body,
                signer=_core.documents.ADMINISTRATOR,
                key=key,
            )
            data = base64.b64encode(_core.documents.encode(document)).decode("ascii")
        names = _core.names
        bao.write_kv(names.KV_MOUNT, names.KV_ACL, {"document": data}, in_force.kv_version)
    return Outcome(
        changed=True,
        before=f"version {in_force.version or 'none'}\n",
        after=f"version {version}\n" + "".join(f"{line}\n" for line in lines),
        facts={"digest": digest, "version": str(version), "consequences": lines},
    )


def _read(
    bao: OpenBao, key: _core.signing.SigningKey | None, now: datetime, life: timedelta
) -> _InForce:
    data, kv_version = bao.read_kv(_core.names.KV_MOUNT, _core.names.KV_ACL)
    nothing = _InForce(None, None, kv_version, is_fresh=False)
    if data is None:
        return nothing
    try:
        document = _decoded(data)
    except (PlatformError, _core.errors.RejectedDocumentError):
        return nothing
    body: bytes | None = None
    if key is not None:
        own = _core.documents.AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
        try:
            body = _core.documents.verify_document(
                document,
                own.lookup,
                kind=_core.body.DocumentKind.ACL,
                audience=_core.documents.AUTHORITY,
                at=now,
            )
        except _core.errors.RejectedDocumentError:
            body = None
    is_fresh = document.not_after - now > life / _RENEWED_AT
    return _InForce(body, document.version, kv_version, is_fresh)


def _next_version(in_force: _InForce) -> _core.body.Version:
    # Where no document can be read, OpenBao's own count is above any that was there before.
    if in_force.version is None:
        return _core.body.Version(counter=in_force.kv_version + 1)
    return in_force.version.next()


def _consequences(body: bytes | None, acl: _core.acl.Acl) -> list[str]:
    """Return what the change means, one line each; nothing but that is shown of an ACL."""
    old = None
    if body is not None:
        try:
            old = _core.acl.Acl.from_canonical(body)
        except (ValueError, _core.errors.SecureTransportError):
            old = None
    if old is None:
        return [f"first ACL that this key signs, digest {acl.digest()}"]
    difference = _core.acl.diff(old, acl)
    return list(difference.lines) or ["signed anew, nothing else changes"]


def read_denied(
    bao: OpenBao,
    keys_file: str,
    check_mode: bool,  # noqa: ARG001  # changes nothing
) -> Outcome:
    """Return the services that the authority's deny list names.

    No list means that nobody is denied; a list that cannot be verified is an error, because taking
    it for empty would let a revoked service in again.

    Raises:
        PlatformError: The list or the file of pinned keys is not acceptable.
    """
    with _core.translated("deny list"):
        text = read_required(keys_file, option="keys_file")
        keys = _core.documents.AuthorityKeys.from_json(text)
        data, _version = bao.read_kv(_core.names.KV_MOUNT, _core.names.KV_DENY_LIST)
        if data is None:
            return Outcome(changed=False, facts={"denied": [], "version": None})
        document = _decoded(data)
        body = _core.documents.verify_document(
            document,
            keys.lookup,
            kind=_core.body.DocumentKind.DENY_LIST,
            audience=_core.documents.EVERYBODY,
            # A list past its end still says who is revoked, and the platform must be
            # repairable when the authority was away for long.
            at=document.created_at,
        )
        try:
            services = sorted(_core.deny_list.DenyList.from_bytes(body).services)
        except (TypeError, ValueError) as err:
            raise PlatformError("deny list: OpenBao holds something else in its place") from err
    return Outcome(changed=False, facts={"denied": services, "version": str(document.version)})


def _decoded(data: Mapping[str, Any]) -> _core.documents.SignedDocument:
    """Return the document in a KV entry.

    Raises:
        PlatformError: The entry holds something else.
        RejectedDocumentError: Its bytes are no document.
    """
    try:
        content = base64.b64decode(data["document"], validate=True)
    except (KeyError, TypeError, ValueError) as err:
        raise PlatformError("OpenBao holds something else than a document") from err
    return _core.documents.decode(content)
