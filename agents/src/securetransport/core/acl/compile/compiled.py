"""Everything that follows from one ACL: compiled once, used by roles, the authority and tests."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from securetransport.core.acl.compile.broker import compile_broker
from securetransport.core.acl.compile.instances import DEFAULT_SERVERS
from securetransport.core.acl.compile.openbao import (
    DEFAULT_LIMITS,
    LoginLimits,
    OpenBaoPlan,
    compile_openbao,
)
from securetransport.core.acl.compile.streams import (
    compile_consumers,
    compile_streams,
    longest_wait,
    storage_bytes,
)
from securetransport.core.acl.model import Acl, bundle_rules, topic_rules
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.base.profile import Profile
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.service_bundle import TopicRule


@dataclass(frozen=True, slots=True)
class CompiledAcl:
    """What the ACL means.

    Attributes:
        acl: What it was compiled from.
        digest: SHA-256 of the ACL's canonical form, hex.
        broker: Users and permissions of the servers, without denied services.
        openbao: Policies, roles and keys; denied services have an empty policy.
        streams: Stream configurations by name, the platform's among them.
        consumers: Durables by stream and name.
        rules: Per topic who may produce and consume it.
        longest_wait: How long a message may wait to be read, in its stream or as a dead letter;
            keys are kept for as long after their validity.
        storage_bytes: What one server must be able to store.
    """

    acl: Acl
    digest: str
    broker: BrokerPolicy
    openbao: OpenBaoPlan
    streams: tuple[dict[str, Any], ...]
    consumers: tuple[dict[str, Any], ...]
    rules: Mapping[Topic, TopicRule]
    longest_wait: timedelta
    storage_bytes: int

    @property
    def topics(self) -> frozenset[Topic]:
        """Return every topic."""
        return frozenset(self.rules)

    def bundle_rules(self, service: ServiceId) -> tuple[TopicRule, ...]:
        """Return the rules of every topic that a service produces or consumes, by topic.

        Raises:
            NotFoundError: The ACL has no such service.
        """
        return bundle_rules(self.acl, service)


def compile_acl(  # noqa: PLR0913  # one keyword per choice that the ACL file does not make
    acl: Acl,
    profile: Profile,
    *,
    deny: DenyList | None = None,
    servers: Sequence[str] = DEFAULT_SERVERS,
    server_names: Sequence[str] = ("localhost",),
    limits: LoginLimits = DEFAULT_LIMITS,
    replicas: int = 3,
) -> CompiledAcl:
    """Compile an ACL.

    Args:
        acl: The ACL.
        profile: For lives of certificates and the freshness limit of messages.
        deny: Services in it get no user and an empty policy.
        servers: Names of the message servers in the order of their keepers.
        server_names: DNS names, globs allowed, that the servers' leaf certificates may carry.
        limits: What every AppRole is held to.
        replicas: Servers that keep a copy of a stream: 1, 3 or 5.

    Raises:
        ConfigError: The ACL and the profile do not go together; one line per field.
    """
    return CompiledAcl(
        acl=acl,
        digest=acl.digest(),
        broker=compile_broker(acl, deny),
        openbao=compile_openbao(
            acl,
            profile,
            deny=deny,
            servers=servers,
            server_names=server_names,
            limits=limits,
        ),
        streams=tuple(compile_streams(acl, profile, replicas=replicas)),
        consumers=tuple(compile_consumers(acl, replicas=replicas)),
        rules=topic_rules(acl),
        longest_wait=longest_wait(acl),
        storage_bytes=storage_bytes(acl),
    )
