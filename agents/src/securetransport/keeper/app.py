"""Chooses the keeper's adapters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NoReturn

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.servers import LocalServer
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.adapters.tls import HandshakeProbe
from securetransport.core.base.names import NATS_SERVER, instance_id, instance_role
from securetransport.keeper.exec_server import exec_server
from securetransport.keeper.service import Keeper, Ports
from securetransport.keeper.settings import KeeperSettings
from securetransport.keeper.telemetry import KeeperTelemetry
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.sections import read_keys
from securetransport.runtime.supervisor import every

_LOOP = "files"


def become_server(argv: Sequence[str]) -> NoReturn:
    """Wait for the keeper's files, then become the server; see ``keeper.exec_server``."""
    exec_server(argv, LocalFiles(), SystemClock())


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
    clock = SystemClock()
    leaf_source = OpenBaoLeafSource(
        store,
        settings.identity.trust_domain,
        NATS_SERVER,
        instance_id(NATS_SERVER, server.name),
        role=instance_role(instance_id(NATS_SERVER, settings.identity.instance)),
        dns=server.dns,
        ips=server.ips,
    )
    keys = read_keys(settings.authority.keys_file, "authority.keys_file")
    ports = Ports(
        store=store,
        leaf_source=leaf_source,
        server=LocalServer(server.pid_file, server.binary),
        tls=HandshakeProbe(),
        files=LocalFiles(),
        keys=keys.lookup,
        clock=clock,
        randomness=SystemRandomness(),
    )
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
