"""Which instances log in to OpenBao: each has an AppRole, a policy and a PKI role of its own.

Rules:

1. Instances of a service or foreign client are numbered from 0, below ``replicas`` of the ACL. The
   number is the instance's name: on Kubernetes the ordinal of its pod, on platform ``local``
   ``agent_processes[].instance``.
2. Instance *n* of the keeper belongs to the *n*-th server of the deployment, and states and signs
   for that one alone.
3. ``metadata`` and ``watcher`` may have :data:`PLATFORM_REPLICAS` instances; the ACL does not say
   how many run. The people's command is the one instance ``admin/cli``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from securetransport.core.acl.model import Acl
from securetransport.core.base import names
from securetransport.core.base.names import InstanceId, ServiceId, instance_id, replica_of

PLATFORM_REPLICAS: Final = 3
"""Instances of the authority and of the watcher that may exist. A role without a secret-id is
nobody's, so the number costs nothing."""

DEFAULT_SERVERS: Final = ("nats-1", "nats-2", "nats-3")
"""Names of the servers where nobody says others."""

ADMIN_INSTANCE: Final = instance_id(names.ADMIN, "cli")

AGENTS: Final = (names.METADATA, names.KEEPER, names.WATCHER, names.ADMIN)
"""Identities of the platform that log in to OpenBao."""


def login_instances(acl: Acl, servers: Sequence[str] = DEFAULT_SERVERS) -> tuple[InstanceId, ...]:
    """Return every instance that logs in, grouped by service, each group by rising number.

    Args:
        acl: The ACL.
        servers: Names of the message servers in the order of their keepers.
    """
    counts = {
        names.METADATA: PLATFORM_REPLICAS,
        names.KEEPER: len(servers),
        names.WATCHER: PLATFORM_REPLICAS,
        **{service: spec.replicas for service, spec in acl.services.items()},
        **{client: spec.replicas for client, spec in acl.foreign.items()},
    }
    numbered = (
        instance_id(service, str(number))
        for service, count in sorted(counts.items())
        for number in range(count)
    )
    return (ADMIN_INSTANCE, *numbered)


def server_of(keeper: InstanceId, servers: Sequence[str]) -> str:
    """Return the name of the server that a keeper belongs to (rule 2)."""
    return servers[int(replica_of(keeper))]


def server_role(keeper: InstanceId) -> str:
    """Return the PKI role of the server beside a keeper."""
    return f"{names.NATS_SERVER}--{replica_of(keeper)}"


def may_enrol(service: ServiceId) -> bool:
    """Tell whether a service's instances sign what others verify by the directory."""
    return service not in {names.KEEPER, names.ADMIN}
