"""Chooses the keeper's adapters."""

from __future__ import annotations

from prometheus_client import CollectorRegistry

from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.system import SystemClock
from securetransport.adapters.tls import ProbeResult, probe
from securetransport.core.base.names import NATS_SERVER, instance_id
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.trust.bundle import fitting_ttl
from securetransport.keeper.server import LocalServer, PortKind
from securetransport.keeper.service import Keeper, Ports
from securetransport.keeper.settings import KeeperSettings
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.supervisor import every

_LOOP = "files"


async def _probe(host: str, port: int, kind: PortKind, timeout_seconds: float) -> ProbeResult:
    return await probe(host, port, kind=kind, timeout_seconds=timeout_seconds)


async def build(settings: KeeperSettings, registry: CollectorRegistry) -> App:
    """Make the keeper; it needs neither OpenBao nor the server to be there yet."""
    store = OpenBaoStore(
        settings.openbao.addresses,
        settings.openbao.ca_file,
        settings.openbao.token_file,
        settings.openbao.timeout_seconds,
        on_call=StoreMetrics(registry).observe,
    )
    server = settings.server
    longest, clock = settings.profile_value().leaf_validity, SystemClock()
    leaf_source = OpenBaoLeafSource(
        store,
        settings.identity.trust_domain,
        NATS_SERVER,
        instance_id(NATS_SERVER, server.name),
        ttl=lambda: fitting_ttl(longest, keeper.trust_bundle, clock.now()),
        dns=server.dns,
        ips=server.ips,
    )
    keys = AuthorityKeys.from_json(settings.authority.keys_file.read_text(encoding="utf-8"))
    ports = Ports(store, leaf_source, LocalServer(server, _probe), keys.lookup, clock)
    keeper = Keeper(settings, ports, KeeperTelemetry(registry))
    keeper.restore()
    loops = LoopMetrics(registry)

    async def close() -> None:
        store.close()

    return App(
        tasks={
            _LOOP: lambda: every(
                _LOOP,
                keeper.interval,
                keeper.round,
                on_error=lambda error: loops.failed(_LOOP, error),
                on_done=lambda: loops.done(_LOOP),
            )
        },
        ready=keeper.not_ready_reasons,
        close=close,
    )
