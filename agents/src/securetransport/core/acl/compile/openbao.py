"""Compiles the ACL to what Ansible builds in OpenBao: policies, AppRoles, PKI roles, transit keys.

Every parameter is written as OpenBao gives it back (durations in seconds), so that a second run can
compare and change nothing. PKI roles, tried on OpenBao 2.7:

1. The common name is checked as a bare domain, ``<service>/<instance>`` exactly; ``cn_validations:
   disabled`` would switch that check off, so the default validations stay.
2. Exactly one URI SAN is allowed; DNS and IP names belong to the servers' role only.
3. Common name and SANs come from the CSR, and parameters of the request cannot add any.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import Any, Final

from securetransport.core.acl.compile.instances import (
    DEFAULT_SERVERS,
    login_instances,
    server_of,
    server_role,
)
from securetransport.core.acl.compile.policies import REVOKED_POLICY, policies, policies_of
from securetransport.core.acl.model import Acl
from securetransport.core.base import names
from securetransport.core.base.errors import ConfigError
from securetransport.core.base.names import InstanceId, ServiceId, instance_role, service_of
from securetransport.core.base.profile import Profile
from securetransport.core.formats.deny_list import DenyList

SECRET_ID_TTL: Final = timedelta(days=30)
_LEAST_RENEWALS: Final = 4
"""How many renewals fit into the life of a secret-id; a few may fail."""
_TOO_SHORT: Final = (
    "secret_id_ttl: {} s is less than four renewals of {} s (secret_id_agents, secret_id_services"
    " of the profile)"
)

SIGNING_KEY_TYPE: Final = "mldsa-65"
BUNDLE_KEY_TYPE: Final = "aes256-gcm96"


@dataclass(frozen=True, slots=True)
class LoginLimits:
    """What every AppRole is held to.

    Attributes:
        secret_id_ttl: Life of a secret-id that nobody renews: so long a platform may be switched
            off and start by itself.
        secret_id_uses: How many logins one secret-id is good for; 0 for any number. A bao agent
            logs in at each start and each ``token_max_ttl``, and each renewal needs one login.
        token_ttl: Life of a token that nobody renews.
        token_max_ttl: Longest life of a token; its bao agent logs in anew.
        networks: From where logins and tokens are good, CIDR; empty for anywhere.
    """

    secret_id_ttl: timedelta = SECRET_ID_TTL
    secret_id_uses: int = 0
    token_ttl: timedelta = timedelta(hours=1)
    token_max_ttl: timedelta = timedelta(hours=24)
    networks: tuple[str, ...] = ()

    def check(self, profile: Profile) -> None:
        """Check them against the profile.

        Raises:
            ConfigError: A secret-id ends before it can be renewed.
        """
        longest = max(profile.secret_id_agents, profile.secret_id_services)
        if self.secret_id_ttl < _LEAST_RENEWALS * longest:
            raise ConfigError([_TOO_SHORT.format(_whole(self.secret_id_ttl), _whole(longest))])


DEFAULT_LIMITS: Final = LoginLimits()


@dataclass(frozen=True, slots=True)
class AppRoleSpec:
    """One login role.

    Attributes:
        name: ``<service>--<instance>``.
        service: Whose instance it is.
        instance: Which of them.
        policies: What its tokens may do.
        parameters: Body for ``auth/approle/role/<name>``.
        is_denied: Revoked: no secret-id may be made for it.
    """

    name: str
    service: str
    instance: str
    policies: tuple[str, ...]
    parameters: dict[str, Any]
    is_denied: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for Ansible."""
        return asdict(self) | {"policies": list(self.policies)}


@dataclass(frozen=True, slots=True)
class PkiRoleSpec:
    """One sign role of the intermediates' mount.

    Attributes:
        name: ``<service>--<instance>`` of the leaf certificates that it signs.
        mount: The mount.
        parameters: Body for ``<mount>/roles/<name>``.
    """

    name: str
    mount: str
    parameters: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for Ansible."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TransitKeySpec:
    """One transit key; never exportable.

    Attributes:
        name: The key.
        type: OpenBao's key type.
    """

    name: str
    type: str

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for Ansible."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class OpenBaoPlan:
    """Everything that follows from the ACL in OpenBao.

    Attributes:
        policies: Policy text by name.
        approles: Login roles by rising name.
        pki_roles: Sign roles by rising name.
        transit_keys: Keys by rising name.
        denied: Revoked services; their policies are emptied.
    """

    policies: dict[str, str]
    approles: list[AppRoleSpec]
    pki_roles: list[PkiRoleSpec]
    transit_keys: list[TransitKeySpec]
    denied: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for Ansible."""
        return {
            "policies": dict(self.policies),
            "approles": [role.to_dict() for role in self.approles],
            "pki_roles": [role.to_dict() for role in self.pki_roles],
            "transit_keys": [key.to_dict() for key in self.transit_keys],
            "denied": list(self.denied),
        }


def compile_openbao(  # noqa: PLR0913  # one keyword per choice that the ACL file does not make
    acl: Acl,
    profile: Profile,
    *,
    deny: DenyList | None = None,
    servers: Sequence[str] = DEFAULT_SERVERS,
    server_names: Sequence[str] = ("localhost",),
    limits: LoginLimits = DEFAULT_LIMITS,
) -> OpenBaoPlan:
    """Return the plan.

    Args:
        acl: The ACL.
        profile: For the life of leaf certificates and how far they are back-dated.
        deny: Services in it keep their role and get an empty policy.
        servers: Names of the message servers in the order of their keepers.
        server_names: DNS names, globs allowed, that the servers' leaf certificates may carry.
        limits: What every AppRole is held to.

    Raises:
        ConfigError: The limits and the profile do not go together.
    """
    limits.check(profile)
    instances = login_instances(acl, servers)
    known = {*acl.services, *acl.foreign}
    denied = (
        tuple(sorted(service for service in deny.services if service in known)) if (deny) else ()
    )
    emptied = {name for one in instances if service_of(one) in denied for name in policies_of(one)}
    texts = {
        name: REVOKED_POLICY if name in emptied else policy.to_hcl()
        for name, policy in policies(acl, servers).items()
    }
    return OpenBaoPlan(
        policies=texts,
        approles=[
            _approle(one, limits, is_denied=service_of(one) in denied) for one in sorted(instances)
        ],
        pki_roles=_pki_roles(acl, profile, instances, servers, server_names),
        transit_keys=_transit_keys(acl),
        denied=denied,
    )


def _approle(instance: InstanceId, limits: LoginLimits, *, is_denied: bool) -> AppRoleSpec:
    return AppRoleSpec(
        name=instance_role(instance),
        service=service_of(instance),
        instance=names.replica_of(instance),
        policies=policies_of(instance),
        parameters={
            "token_policies": list(policies_of(instance)),
            # The default policy is not ours and grants more than nothing.
            "token_no_default_policy": True,
            # Tokens need an accessor that a successor can revoke, so they are not batch tokens.
            "token_type": "service",
            "token_ttl": _whole(limits.token_ttl),
            "token_max_ttl": _whole(limits.token_max_ttl),
            "token_num_uses": 0,
            "token_bound_cidrs": list(limits.networks),
            "bind_secret_id": True,
            "secret_id_ttl": _whole(limits.secret_id_ttl),
            "secret_id_num_uses": limits.secret_id_uses,
            "secret_id_bound_cidrs": list(limits.networks),
        },
        is_denied=is_denied,
    )


def _pki_roles(
    acl: Acl,
    profile: Profile,
    instances: Sequence[InstanceId],
    servers: Sequence[str],
    server_names: Sequence[str],
) -> list[PkiRoleSpec]:
    def role(name: str, service: ServiceId, *domains: str) -> PkiRoleSpec:
        return _pki_role(acl, profile, name, service, domains)

    # A probe's leaf maps to nobody, whatever its common name.
    found = [role(names.PROBE, names.PROBE, f"{names.PROBE}/*")]
    for one in instances:
        if service_of(one) == names.KEEPER:
            leaf = f"{names.NATS_SERVER}/{server_of(one, servers)}"
            found.append(role(server_role(one), names.NATS_SERVER, leaf, *server_names))
        else:
            found.append(role(instance_role(one), service_of(one), one))
    return sorted(found, key=lambda spec: spec.name)


def _pki_role(
    acl: Acl, profile: Profile, name: str, service: ServiceId, domains: Sequence[str]
) -> PkiRoleSpec:
    is_server = service == names.NATS_SERVER
    is_probe = service == names.PROBE
    # A probe leaf lives as long as its issuer; OpenBao refuses one that would outlive it.
    longest = profile.ca_validity + profile.ca_lead if is_probe else profile.leaf_validity
    return PkiRoleSpec(
        name=name,
        mount=names.PKI_MOUNT,
        parameters={
            "allowed_uri_sans": [names.spiffe_id(acl.trust_domain, service)],
            "allowed_domains": list(domains),
            "allow_glob_domains": is_server or is_probe,
            "allow_bare_domains": not is_probe,
            "allow_subdomains": False,
            "allow_localhost": False,
            "allow_any_name": False,
            "allow_ip_sans": is_server,
            "allow_wildcard_certificates": False,
            "allowed_other_sans": [],
            "allowed_user_ids": [],
            # A common name with a slash is no host name; the domains above still bind it.
            "enforce_hostnames": False,
            "require_cn": True,
            "use_csr_common_name": True,
            "use_csr_sans": True,
            "key_type": "ec",
            "key_bits": 256,
            "key_usage": ["DigitalSignature"],
            "server_flag": is_server,
            # Servers are clients of each other's routes.
            "client_flag": True,
            "code_signing_flag": False,
            "email_protection_flag": False,
            "basic_constraints_valid_for_non_ca": True,
            "not_before_duration": _whole(profile.not_before_backdate),
            "ttl": _whole(profile.leaf_validity),
            "max_ttl": _whole(longest),
            # Thousands of short leaf certificates need no store and no revocation list: trust ends
            # by epoch.
            "no_store": True,
            "generate_lease": False,
        },
    )


def _transit_keys(acl: Acl) -> list[TransitKeySpec]:
    keys = [
        TransitKeySpec(names.AUTHORITY_ROOT_KEY, SIGNING_KEY_TYPE),
        TransitKeySpec(names.AUTHORITY_SIGNING_KEY, SIGNING_KEY_TYPE),
    ]
    keys += [
        TransitKeySpec(names.service_transit_key(service), BUNDLE_KEY_TYPE)
        for service in acl.services
    ]
    return sorted(keys, key=lambda key: key.name)


def _whole(span: timedelta) -> int:
    return int(span.total_seconds())
