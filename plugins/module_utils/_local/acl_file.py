# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The ACL file: read, checked, and compiled into what roles create."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .. import _core
from .._errors import PlatformError
from .._outcome import Outcome
from .._values import seconds, within
from .files import read_required

_MOST_REPLICAS: Final = 5  # of JetStream


@dataclass(frozen=True, slots=True)
class PlanSpec:
    """What to compile.

    Attributes:
        acl_file: The file.
        replicas: How many servers keep each stream.
        servers: Names of the message servers in the order of their keepers.
        server_names: DNS names, globs allowed, that the servers' certificates may carry.
        secret_id_ttl: Life of a secret-id that nobody renews, a duration.
        secret_id_uses: Logins that one is good for; 0 for any number.
        client_networks: From where logins and tokens are good; ``None`` for anywhere.
        denied: Revoked services; ``None`` for none.
        profile: Name of the profile of durations.
        profile_overrides: Fields of the profile that differ; ``None`` for none.
    """

    acl_file: str
    replicas: int
    servers: Sequence[str]
    server_names: Sequence[str]
    secret_id_ttl: str
    secret_id_uses: int
    client_networks: Sequence[str] | None
    denied: Sequence[str] | None
    profile: str
    profile_overrides: Mapping[str, Any] | None


def load_acl(path: str) -> _core.acl.Acl:
    """Return the ACL of a file.

    Raises:
        PlatformError: It is missing or wrong; its field ``problems`` has one line per problem.
    """
    with _core.translated("acl_file"):
        return _core.acl.load_acl(read_required(path, option="acl_file"), source=path)


def compile_acl(spec: PlanSpec, check_mode: bool) -> Outcome:  # noqa: ARG001  # changes nothing
    """Return what roles make from an ACL file, as lists to loop over.

    Raises:
        PlatformError: The file or the profile is wrong.
    """
    within(spec.replicas, 1, _MOST_REPLICAS, option="replicas")
    acl = load_acl(spec.acl_file)
    with _core.translated("acl_file"):
        profile = _profile(spec)
        now = datetime.now(tz=UTC)
        denied = {_core.names.ServiceId(name): now for name in spec.denied or ()}
        openbao = _core.acl.compile_openbao(
            acl,
            profile,
            deny=_core.deny_list.DenyList(services=denied),
            servers=spec.servers,
            server_names=spec.server_names,
            limits=_core.acl.LoginLimits(
                secret_id_ttl=timedelta(
                    seconds=seconds(spec.secret_id_ttl, option="secret_id_ttl")
                ),
                secret_id_uses=spec.secret_id_uses,
                networks=tuple(spec.client_networks or ()),
            ),
        ).to_dict()
        policies = openbao.pop("policies")
        facts = {
            "trust_domain": acl.trust_domain,
            "digest": acl.digest(),
            "services": sorted(acl.services),
            **openbao,
            "policies": [{"name": name, "policy": text} for name, text in sorted(policies.items())],
            "streams": _core.acl.compile_streams(acl, profile, replicas=spec.replicas),
            "consumers": _core.acl.compile_consumers(acl, replicas=spec.replicas),
        }
    return Outcome(changed=False, facts=facts)


def _duration(value: object, *, option: str) -> timedelta:
    """Return a duration as agents read it, so that none is refused after this one was accepted."""
    try:
        return _core.values.parse_duration(value)
    except ValueError as err:
        raise PlatformError(f"{option}: {err}") from err


def _profile(spec: PlanSpec) -> _core.profile.Profile:
    known = _core.profile.PROFILES
    if spec.profile not in known:
        raise PlatformError(
            f"profile: {spec.profile!r} is unknown; known: {', '.join(sorted(known))}"
        )
    changes = {
        field: _duration(value, option=f"profile_overrides.{field}")
        for field, value in (spec.profile_overrides or {}).items()
    }
    return known[spec.profile].override(**changes)
