"""What answers: OpenBao, the servers, the members, the authority, the streams, the clocks."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final

from securetransport.core.base import names
from securetransport.core.decisions.check.finding import Finding, words
from securetransport.core.decisions.check.observation import Observation

_DOCUMENTS: Final = (
    names.KV_ACL,
    names.KV_TRUST_BUNDLE,
    names.KV_BROKER_POLICY,
    names.KV_DIRECTORY,
)
_PLATFORM_STREAMS: Final = (
    names.STREAM_CA_CLIENT,
    names.STREAM_ATTESTATIONS,
    names.STREAM_ROTATION_LOG,
    names.STREAM_DEAD_LETTERS,
)
_CLOCK: Final = timedelta(seconds=5)
_FULL: Final = 0.7


def openbao(seen: Observation) -> Iterator[Finding]:
    """Nodes, leader, login."""
    versions = sorted({node.version for node in seen.nodes.values() if node.version})
    for name, node in seen.nodes.items():
        subject = f"authority/{name}"
        needs = words(f"process {subject}", f"node {name}", "openbao")
        broken = words("openbao", f"node {name}")
        if node.problem:
            yield Finding("node-away", subject, f"does not answer: {node.problem}", broken, needs)
        elif not node.is_initialized:
            yield Finding("node-empty", subject, "has no data", broken, needs)
        elif node.is_sealed:
            yield Finding("node-sealed", subject, "is sealed", broken, needs)
        elif node.version and node.version != versions[-1]:
            what = f"is version {node.version}, another one is {versions[-1]}"
            yield Finding("node-version", subject, what)
    answering = [node for node in seen.nodes.values() if not node.problem]
    if answering and all(node.is_standby or node.is_sealed for node in answering):
        what = "no node acts; none is leader"
        yield Finding("no-leader", "OpenBao", what, words("openbao"), words("openbao"))
    store = seen.store
    if store is None:
        return
    if store.login_problem:
        what = f"the command cannot log in: {store.login_problem}"
        needs = words("openbao", "login")
        yield Finding("openbao-login", "authority/admin", what, words("login"), needs)


def trust(seen: Observation) -> Iterator[Finding]:
    """The authority's documents."""
    store = seen.store
    if store is None or store.login_problem:
        return
    needs = words("openbao", "login", "authority")
    for path in _DOCUMENTS:
        if path in store.documents and store.documents[path] is None:
            yield Finding("document-missing", f"secret/{path}", "is missing", words("trust"), needs)
    if store.is_signer_unknown:
        path = "authority/admin/authority-keys.json"
        what = "does not have the key that signed the authority's documents"
        yield Finding("authority-keys-others", path, what, words("trust", "members"), needs)
    elif store.trust_problem:
        what = f"is not believed: {store.trust_problem}"
        yield Finding(
            "trust-refused", f"secret/{names.KV_TRUST_BUNDLE}", what, words("trust"), needs
        )
    if store.leaf_problem:
        what = f"no certificate is issued: {store.leaf_problem}"
        yield Finding("leaf-refused", "nats_int", what, words("leaf"), needs | {"trust"})


def servers(seen: Observation) -> Iterator[Finding]:
    """Ports of the servers, from outside."""
    for name, server in seen.servers.items():
        subject = f"servers/{name}"
        needs = words(f"process {subject}", f"server {name}", "openbao", "authority")
        own = words(f"process {subject}", f"server {name}", f"file servers/{name}/nats.conf")
        broken = words(f"server {name}", "bus")
        if server.client.error is not None:
            what = f"does not answer on its client port: {server.client.error}"
            yield Finding("server-away", subject, what, broken, own)
            continue
        if server.route is not None and server.route.error is not None:
            what = f"does not answer its peers: {server.route.error}"
            yield Finding("server-route-away", subject, what, broken, own)
        ended = server.client.leaf_not_after
        if ended is not None and ended <= seen.now:
            what = f"serves a certificate that ended at {ended.isoformat()}"
            yield Finding("server-certificate-ended", subject, what, broken, needs)
        anchors = seen.store.anchors if seen.store else frozenset()
        if anchors and set(server.client.ca_names).isdisjoint(anchors):
            what = "accepts none of the trusted issuers"
            yield Finding("server-trust", subject, what, broken, needs)


def members(seen: Observation) -> Iterator[Finding]:
    """What the processes say of themselves; the authority first, the services last."""
    order = ("authority/", "servers/keeper-", "servers/watcher-", "servers/", "services/")
    for start in order:
        for name, process in seen.processes.items():
            if not name.startswith(start) or process.health is None:
                continue
            health = process.health
            needs = words(f"process {name}", f"member {name}")
            broken = words(f"member {name}", "members")
            depends = needs | words("openbao", "tokens", "authority", "bus", "trust", "streams")
            if health.problem:
                what = f"does not answer on its health port: {health.problem}"
                yield Finding("health-away", name, what, broken, needs)
            elif not health.is_live:
                yield Finding("not-live", name, "says that it does not work", broken, needs)
            elif health.reasons:
                what = f"is not ready: {'; '.join(health.reasons)[:300]}"
                yield Finding("not-ready", name, what, broken, depends)


def authority(seen: Observation) -> Iterator[Finding]:
    """What the authority says of the whole."""
    bus = seen.bus
    if bus is None:
        return
    if bus.problem:
        needs = words("bus", "openbao", "login", "trust", "leaf", "members")
        yield Finding(
            "bus-refused", "the bus", f"cannot be used: {bus.problem}", words("bus"), needs
        )
        return
    if bus.status is None:
        if bus.status_problem:
            what = f"does not answer on the bus: {bus.status_problem}"
            needs = words("bus", "authority", "members")
            yield Finding("authority-silent", "authority/metadata", what, words("authority"), needs)
        return
    yield from _rotation(seen, bus.status)


def _rotation(seen: Observation, status: Mapping[str, Any]) -> Iterator[Finding]:
    needs = words("bus", "authority", "openbao", "watcher", "servers", "members")
    ca = _map(status, "ca")
    for excuse in ca.get("excuses") or ():
        what = f"a step was taken without its evidence: {excuse}"
        yield Finding("rotation-excused", "the CA rotation", what[:300])
    following = _map(ca, "next")
    if following.get("waits_for") and _waits_long(seen, following):
        what = f"waits for {'; '.join(map(str, following['waits_for']))[:300]}"
        yield Finding("rotation-waits", "the CA rotation", what, frozenset(), needs)
    census = _map(status, "census")
    if census.get("complete") is False:
        what = "not every server tells its connections"
        yield Finding("census-incomplete", "the census", what, frozenset(), needs)


def _waits_long(seen: Observation, following: Mapping[str, Any]) -> bool:
    """Whether a wait is more than the usual moment between two steps."""
    since, until = following.get("since"), following.get("until")
    try:
        begun = datetime.fromisoformat(str(since))
        if until is None:
            return seen.now - begun > timedelta(minutes=1)
        return (seen.now - begun) * 2 > datetime.fromisoformat(str(until)) - begun
    except (TypeError, ValueError):
        return False


def streams(seen: Observation) -> Iterator[Finding]:
    """Streams and durables, as JetStream tells them, compared with the ACL in force."""
    bus = seen.bus
    if bus is None or bus.problem:
        return
    needs = words("bus", "servers")
    if bus.streams is None:
        if bus.streams_problem:
            what = f"does not answer: {bus.streams_problem}"
            yield Finding("streams-unknown", "JetStream", what, words("streams"), needs)
        return
    for name in (*_PLATFORM_STREAMS, *bus.expected):
        if name not in bus.streams:
            broken = words(f"stream {name}", "streams")
            yield Finding("stream-missing", f"stream {name}", "is missing", broken)
    for name, durables in bus.expected.items():
        for durable in durables:
            if name in bus.streams and durable not in bus.durables.get(name, ()):
                subject = f"durable {durable} of stream {name}"
                broken = words(f"stream {name}", "streams")
                yield Finding("durable-missing", subject, "is missing", broken)
    for name, info in bus.streams.items():
        yield from _stream(name, info, needs)


def _stream(name: str, info: Mapping[str, Any], needs: frozenset[str]) -> Iterator[Finding]:
    subject = f"stream {name}"
    cluster, config, state = _map(info, "cluster"), _map(info, "config"), _map(info, "state")
    if cluster and not cluster.get("leader"):
        yield Finding("stream-leader", subject, "has no leader", words(subject, "streams"), needs)
        return
    behind = [
        str(copy.get("name"))
        for copy in cluster.get("replicas") or ()
        if copy.get("offline") or copy.get("current") is False
    ]
    if behind:
        what = f"its copies on {', '.join(behind)} are not current"
        yield Finding("stream-replicas", subject, what, frozenset(), needs)
    most, used = config.get("max_bytes"), state.get("bytes")
    if isinstance(most, int) and isinstance(used, int) and most > 0 and used >= most * _FULL:
        what = f"is {100 * used // most} % full"
        yield Finding("stream-full", subject, what)


def clocks(seen: Observation) -> Iterator[Finding]:
    """This machine's clock and OpenBao's."""
    for name, node in seen.nodes.items():
        if node.clock is not None and abs(node.clock - seen.now) > _CLOCK:
            seconds = (node.clock - seen.now).total_seconds()
            what = f"its clock differs by {seconds:.0f} s from this machine's"
            yield Finding("clock", f"authority/{name}", what)


def _map(values: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = values.get(name)
    return found if isinstance(found, Mapping) else {}
