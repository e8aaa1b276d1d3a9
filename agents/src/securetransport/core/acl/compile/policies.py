"""What each identity may do in OpenBao: rules by path, from the table of docs/architecture.md.

A login has two policies. That of its service, named as the service, holds what all instances share;
that of the instance, named as its AppRole, what is this instance's alone. Rules:

1. Nothing is granted to a path that another identity owns: a service sees its own bundle; an
   instance its own enrolment (create only), its own sign role, its own secret-ids.
2. Every identity reads the public documents: trust bundle, deny list, directory.
3. The authority may *empty* the policy of a service, not write one: the only text it may store is
   :data:`REVOKED_POLICY`. Its secret-ids come out wrapped only.
4. ``nats_int/issuer/+`` names one issuer and, unlike a glob, not ``…/sign-verbatim`` or
   ``…/sign/<role>`` below it; leaf certificates are signed through roles.
5. Transit keys are used, never made here: ``encrypt`` with ``update`` alone cannot create one.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from securetransport.core.acl.compile.instances import (
    DEFAULT_SERVERS,
    login_instances,
    may_enrol,
    server_of,
    server_role,
)
from securetransport.core.acl.model import Acl
from securetransport.core.base import names
from securetransport.core.base.names import InstanceId, ServiceId, instance_role, service_of

REVOKED_POLICY: Final = "# revoked"
"""Text of an emptied policy. OpenBao refuses empty text; a comment grants nothing (tried)."""

_KV = names.KV_MOUNT
_INT = names.PKI_MOUNT
_ROOT = names.PKI_ROOT_MOUNT
_APPROLE = f"auth/{names.APPROLE_MOUNT}"

READ: Final = ("read",)
WRITE: Final = ("create", "read", "update")
UPDATE: Final = ("update",)


@dataclass(frozen=True, slots=True)
class PathRule:
    """One ``path`` block of a policy.

    Attributes:
        path: API path; ``+`` is one segment, ``*`` at the end anything.
        capabilities: Sorted words of OpenBao.
        only: Parameters of the request that must have one of the listed values.
        is_wrapped: The answer must be response-wrapped, for at most ten minutes.
    """

    path: str
    capabilities: tuple[str, ...]
    only: dict[str, tuple[str, ...]] = field(default_factory=dict)
    is_wrapped: bool = False

    def to_hcl(self) -> str:
        """Return the block as OpenBao reads it."""
        lines = [f"path {json.dumps(self.path)} {{"]
        lines.append(f"  capabilities = {json.dumps(sorted(self.capabilities))}")
        if self.only:
            lines.append("  allowed_parameters = {")
            lines += [f"    {json.dumps(k)} = {json.dumps(list(v))}" for k, v in self.only.items()]
            lines.append("  }")
        if self.is_wrapped:
            lines += ['  min_wrapping_ttl = "1s"', '  max_wrapping_ttl = "600s"']
        return "\n".join([*lines, "}"])


@dataclass(frozen=True, slots=True)
class Policy:
    """What one policy allows; a path that no rule of a login's policies names is denied."""

    name: str
    rules: tuple[PathRule, ...]

    def to_hcl(self) -> str:
        """Return the policy text; equal rules give equal text."""
        return "\n".join(rule.to_hcl() for rule in self.rules) + "\n"

    def capabilities(self, path: str) -> frozenset[str]:
        """Return what the policy allows on ``path``.

        OpenBao takes the most specific rule; where two of ours match, that one says it all.
        """
        words = [rule.capabilities for rule in self.rules if path_matches(rule.path, path)]
        return frozenset(word for each in words for word in each)


def path_matches(pattern: str, path: str) -> bool:
    """Tell whether a policy path covers ``path``: ``+`` is a segment, a last ``*`` any rest."""
    is_prefix = pattern.endswith("*")
    wanted, given = pattern.removesuffix("*").split("/"), path.split("/")
    if len(given) < len(wanted) or (not is_prefix and len(given) != len(wanted)):
        return False
    *head, tail = zip(wanted, given, strict=False)
    if not all(a in {"+", b} for a, b in head):
        return False
    return tail[1].startswith(tail[0]) if is_prefix else tail[0] in {"+", tail[1]}


def policies(acl: Acl, servers: Sequence[str] = DEFAULT_SERVERS) -> dict[str, Policy]:
    """Return every policy by name: those of services and those of single instances.

    Args:
        acl: The ACL.
        servers: Names of the message servers in the order of their keepers.
    """
    instances = login_instances(acl, servers)
    found = [_metadata(acl, instances), _keeper(), _watcher(), _admin()]
    found += [_service(service) for service in acl.services]
    found += [_policy(client, ()) for client in acl.foreign]
    found += [_instance(instance, servers) for instance in instances]
    return {policy.name: policy for policy in sorted(found, key=lambda policy: policy.name)}


def policies_of(instance: InstanceId) -> tuple[str, str]:
    """Return the names of the policies of an instance's tokens."""
    return service_of(instance), instance_role(instance)


def _instance(instance: InstanceId, servers: Sequence[str]) -> Policy:
    """Return what no sibling may do."""
    service = service_of(instance)
    is_authority, is_keeper = service == names.METADATA, service == names.KEEPER
    rules = [
        _sign(server_role(instance) if is_keeper else instance_role(instance)),
        # The authority lays its own there, too, and needs to see what lies there.
        _data(names.kv_offered_secret_id(instance), WRITE if is_authority else READ),
        _data(names.kv_proven_secret_id(instance), WRITE),
        # Whoever has a secret-id may ask how long it is good; nobody but the authority makes one.
        PathRule(f"{_APPROLE}/role/{instance_role(instance)}/secret-id/lookup", UPDATE),
    ]
    if may_enrol(service):
        # Create only, so no enrolled key is ever replaced.
        words = ("create", "read") if is_authority else ("create",)
        rules.append(_data(f"enroll/{instance}/*", words))
    if is_keeper:
        # Reading its own last statement gives the number that the compare-and-swap needs.
        rules.append(_data(names.kv_keeper_attestation(server_of(instance, servers)), WRITE))
    rules.sort(key=lambda rule: rule.path)
    return Policy(instance_role(instance), tuple(rules))


def _policy(name: str, rules: Iterable[PathRule]) -> Policy:
    common = (
        PathRule("auth/token/lookup-self", READ),
        PathRule("auth/token/renew-self", UPDATE),
        PathRule("auth/token/revoke-self", UPDATE),
        _data(names.KV_TRUST_BUNDLE, READ),
        _data(names.KV_DENY_LIST, READ),
        _data(names.KV_DIRECTORY, READ),
    )
    every = [*common, *rules]
    # The directory's entries are common too, but whoever writes them has a rule of its own.
    entries = _data("directory/keys/*", READ)
    if all(rule.path != entries.path for rule in every):
        every.append(entries)
    merged = {rule.path: rule for rule in every}  # a later rule replaces the common one
    return Policy(name, tuple(merged[path] for path in sorted(merged)))


def _data(path: str, capabilities: tuple[str, ...]) -> PathRule:
    return PathRule(f"{_KV}/data/{path}", capabilities)


def _listing(path: str) -> tuple[PathRule, ...]:
    """Return the right to list ``path`` and everything below it."""
    return (
        PathRule(f"{_KV}/metadata/{path}", ("list",)),
        PathRule(f"{_KV}/metadata/{path}/*", ("list",)),
    )


def _sign(role: str) -> PathRule:
    return PathRule(f"{_INT}/sign/{role}", UPDATE)


def _service(service: ServiceId) -> Policy:
    return _policy(
        service,
        (
            _data(names.kv_service_bundle(service), READ),
            PathRule(f"{names.TRANSIT_MOUNT}/decrypt/{names.service_transit_key(service)}", UPDATE),
        ),
    )


def _keeper() -> Policy:
    return _policy(
        names.KEEPER,
        (
            _data(names.KV_BROKER_POLICY, READ),
            # Servers move one after the other, so a keeper reads what those before it state.
            _data(names.kv_keeper_attestation("*"), READ),
        ),
    )


def _watcher() -> Policy:
    return _policy(names.WATCHER, (_sign(names.PROBE),))


def _admin() -> Policy:
    return _policy(
        names.ADMIN,
        (
            _data(names.KV_ACL, WRITE),
            _data(names.KV_BROKER_POLICY, READ),
            _data("rotation/*", READ),
            _data(names.kv_keeper_attestation("*"), READ),
            *_listing("attest/keeper"),
        ),
    )


def _metadata(acl: Acl, instances: Sequence[InstanceId]) -> Policy:
    return _policy(
        names.METADATA,
        (
            *_metadata_documents(),
            *_metadata_pki(),
            *_metadata_transit(acl),
            *_metadata_identities(acl, instances),
        ),
    )


def _metadata_documents() -> Iterable[PathRule]:
    yield _data(names.KV_ACL, READ)
    for path in (
        names.KV_TRUST_BUNDLE,
        names.KV_BROKER_POLICY,
        names.KV_DENY_LIST,
        names.KV_DIRECTORY,
        names.KV_CA_RECORD,
        "directory/keys/*",
        "topic-keys/*",
        "bundles/*",
        "secret-ids/offered/*",
    ):
        yield _data(path, WRITE)
    yield _data("secret-ids/proven/*", READ)
    yield _data("enroll/*", READ)
    yield _data(names.kv_keeper_attestation("*"), READ)
    yield from _listing("attest/keeper")
    for folder in ("directory/keys", "topic-keys", "bundles", "enroll"):
        yield PathRule(f"{_KV}/metadata/{folder}", ("list",))
        # Old keys and enrolments are destroyed with every version, which is a deletion here.
        yield PathRule(f"{_KV}/metadata/{folder}/*", ("delete", "list", "read"))


def _metadata_pki() -> Iterable[PathRule]:
    yield _sign(names.PROBE)
    yield PathRule(f"{_INT}/issuer/+/sign/{names.PROBE}", UPDATE)
    for path in (
        f"{_INT}/issuers/generate/intermediate/internal",
        f"{_INT}/intermediate/set-signed",
        f"{_ROOT}/root/sign-intermediate",
    ):
        yield PathRule(path, UPDATE)
    yield PathRule(f"{_INT}/issuers", ("list",))
    yield PathRule(f"{_INT}/keys", ("list",))
    yield PathRule(f"{_INT}/issuer/+", ("delete", "patch", "read", "update"))
    yield PathRule(f"{_INT}/key/+", ("delete", "read", "update"))
    yield PathRule(f"{_INT}/config/issuers", ("read", "update"))
    yield PathRule(f"{_ROOT}/cert/ca", READ)


def _metadata_transit(acl: Acl) -> Iterable[PathRule]:
    mount = names.TRANSIT_MOUNT
    yield PathRule(f"{mount}/sign/{names.AUTHORITY_SIGNING_KEY}", UPDATE)
    yield PathRule(f"{mount}/keys/{names.AUTHORITY_SIGNING_KEY}", READ)
    for service in acl.services:
        yield PathRule(f"{mount}/encrypt/{names.service_transit_key(service)}", UPDATE)


def _metadata_identities(acl: Acl, instances: Sequence[InstanceId]) -> Iterable[PathRule]:
    """Fencing of a predecessor, renewal of secret-ids, revocation of a service."""
    yield PathRule("auth/token/lookup-accessor", UPDATE)
    yield PathRule("auth/token/revoke-accessor", UPDATE)
    # Takes back an offered secret-id, if nobody has opened it.
    yield PathRule("sys/wrapping/rewrap", UPDATE)
    for instance in instances:
        role = f"{_APPROLE}/role/{instance_role(instance)}"
        yield PathRule(f"{role}/role-id", READ)
        yield PathRule(f"{role}/secret-id", UPDATE, is_wrapped=True)
        yield PathRule(f"{role}/secret-id/", ("list",))
        yield PathRule(f"{role}/secret-id-accessor/lookup", UPDATE)
        yield PathRule(f"{role}/secret-id-accessor/destroy", UPDATE)
    revocable = {*acl.services, *acl.foreign}
    revocable_too = {instance_role(one) for one in instances if service_of(one) in revocable}
    for name in sorted({*revocable, *revocable_too}):
        yield PathRule(f"sys/policies/acl/{name}", UPDATE, only={"policy": (REVOKED_POLICY,)})
