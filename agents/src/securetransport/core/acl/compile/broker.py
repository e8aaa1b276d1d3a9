"""Compiles the ACL to the servers' users and permissions, and renders them for nats-server.

Rules:

1. Deny by default: permissions are allow lists. An empty list would allow *everything* in
   nats-server 2.15 (tried), so an empty one is written as ``deny: ">"``.
2. A user is the URI SAN of a service; ``verify_and_map`` tries the URIs of the leaf in their order
   and takes the first that is a user, so the PKI roles allow exactly one URI.
3. The watcher is the only user of the system account. It reaches the other account by three
   exports: its reports, its attestation and its commands.
4. Only ``admin`` may create a consumer: the right to create one lets a service make a push consumer
   into another's inbox.
5. A denied service has no user.
"""

from __future__ import annotations

import json
from typing import Final

from securetransport.core.acl.model import Acl, ForeignSpec, ServiceSpec
from securetransport.core.acl.platform import (
    BusRights,
    Grant,
    inbox,
    member_rights,
    platform_rights,
)
from securetransport.core.base import names
from securetransport.core.base.names import ServiceId
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.formats.deny_list import DenyList

EXPORTED_STREAMS: Final = (str(names.SUBJECT_SERVER_REPORT), f"metadata.attest.{names.WATCHER}.>")
EXPORTED_SERVICES: Final = (str(names.SUBJECT_WATCHER_COMMAND),)


def bus_rights(acl: Acl) -> dict[ServiceId, BusRights]:
    """Return what every identity with a user may do on the bus, by name; denials left aside."""
    rights = platform_rights(acl.topics)
    for service, spec in acl.services.items():
        rights[service] = _service_rights(acl, service, spec)
    for client, foreign in acl.foreign.items():
        rights[client] = _foreign_rights(client, foreign)
    return dict(sorted(rights.items()))


def _service_rights(acl: Acl, service: ServiceId, spec: ServiceSpec) -> BusRights:
    publish = [Grant(topic, f"services.{service}.produces") for topic in spec.produces]
    pulls = {(acl.topics[item.topic], item.durable): item.topic for item in spec.consumes}
    for (stream, durable), topic in sorted(pulls.items()):
        why = f"services.{service}.consumes: {topic} by durable {durable}"
        publish += [
            Grant(f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{durable}", why),
            Grant(f"$JS.ACK.{stream}.{durable}.>", why),
            Grant(f"dlq.{stream}.{durable}.*", f"parks what it cannot accept; {why}"),
            Grant(
                f"dlq.{stream}.{durable}.*.{names.LARGE_LETTER}",
                f"parks what it cannot accept; {why}",
            ),
        ]
    return member_rights(service, publish=publish)


def _foreign_rights(client: ServiceId, spec: ForeignSpec) -> BusRights:
    return BusRights(
        service=client,
        account="APP",
        publish=tuple(Grant(subject, f"foreign.{client}.publish") for subject in spec.publish),
        subscribe=(
            *(Grant(subject, f"foreign.{client}.subscribe") for subject in spec.subscribe),
            inbox(client),
        ),
    )


def compile_broker(acl: Acl, deny: DenyList | None = None) -> BrokerPolicy:
    """Return the users and permissions of the servers.

    Args:
        acl: The ACL.
        deny: Services in it get no user (rule 5).
    """
    denied = set(deny.services) if deny else set()
    users = [
        UserPermissions(
            user=names.spiffe_id(acl.trust_domain, service),
            service=service,
            account=rights.account,
            publish=_subjects(rights.publish),
            subscribe=_subjects(rights.subscribe),
            allow_responses=rights.allow_responses,
        )
        for service, rights in bus_rights(acl).items()
        if service not in denied
    ]
    users.sort(key=lambda user: user.user)
    return BrokerPolicy(acl_digest=acl.digest(), users=tuple(users))


def _subjects(grants: tuple[Grant, ...]) -> tuple[str, ...]:
    return tuple(sorted({grant.subject for grant in grants}))


def render_broker_conf(policy: BrokerPolicy) -> str:
    """Return the text of ``managed/broker.conf``, which ``nats.conf`` includes at its top level.

    It holds ``accounts`` and ``system_account`` and nothing else; ``verify_and_map`` belongs to the
    ``tls`` block of ``nats.conf``. Equal policies give equal bytes.
    """
    streams = ", ".join(f"{{stream: {_quoted(s)}}}" for s in EXPORTED_STREAMS)
    services = ", ".join(f"{{service: {_quoted(s)}}}" for s in EXPORTED_SERVICES)
    system = _quoted(names.ACCOUNT_SYSTEM)
    imports = [
        f"{{stream: {{account: {system}, subject: {_quoted(s)}}}}}" for s in EXPORTED_STREAMS
    ] + [f"{{service: {{account: {system}, subject: {_quoted(s)}}}}}" for s in EXPORTED_SERVICES]
    lines = [
        f"# Written by the keeper from the broker policy of ACL {policy.acl_digest[:16]}.",
        "accounts {",
        f"  {names.ACCOUNT_SYSTEM} {{",
        f"    exports: [{streams}, {services}]",
        *_users(policy, names.ACCOUNT_SYSTEM),
        "  }",
        f"  {names.ACCOUNT_APP} {{",
        "    jetstream: enabled",
        "    imports: [",
        *(f"      {entry}" for entry in imports),
        "    ]",
        *_users(policy, names.ACCOUNT_APP),
        "  }",
        "}",
        f"system_account: {names.ACCOUNT_SYSTEM}",
    ]
    return "\n".join(lines) + "\n"


def _users(policy: BrokerPolicy, account: str) -> list[str]:
    lines = ["    users: ["]
    for user in policy.users:
        if user.account != account:
            continue
        lines += [
            "      {",
            f"        user: {_quoted(user.user)}",
            "        permissions: {",
            *_allow("publish", user.publish),
            *_allow("subscribe", user.subscribe),
        ]
        if user.allow_responses:
            # One answer for each request, within the time-out of a slow request.
            lines.append('          allow_responses: {max: 1, expires: "1m"}')
        lines += ["        }", "      }"]
    return [*lines, "    ]"]


def _allow(action: str, subjects: tuple[str, ...]) -> list[str]:
    if not subjects:
        return [f'          {action}: {{deny: ">"}}']  # rule 1
    return [
        f"          {action}: {{",
        "            allow: [",
        *(f"              {_quoted(subject)}" for subject in subjects),
        "            ]",
        "          }",
    ]


def _quoted(text: str) -> str:
    """Return a string of nats-server's configuration; inside quotes ``$`` is no variable."""
    return json.dumps(text)
