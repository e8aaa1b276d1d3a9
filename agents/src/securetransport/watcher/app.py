"""Chooses the watcher's adapters."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.nats import NatsBus
from securetransport.adapters.openbao import OpenBaoLeafSource, OpenBaoStore
from securetransport.adapters.system import SystemClock, SystemRandomness
from securetransport.adapters.tls import HandshakeProbe
from securetransport.member.account import system_account
from securetransport.member.session import MemberPorts, Session
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.sections import read_keys
from securetransport.runtime.supervisor import every
from securetransport.watcher.service import Watcher
from securetransport.watcher.settings import WatcherSettings
from securetransport.watcher.telemetry import WatcherTelemetry

_LOOP = "servers"


async def build(settings: WatcherSettings, registry: CollectorRegistry) -> App:
    """Make the watcher; it needs neither OpenBao nor a server to be there yet."""
    store = OpenBaoStore(
        settings.openbao.addresses,
        settings.openbao.ca_file,
        settings.openbao.token_file,
        settings.openbao.timeout_seconds,
        on_call=StoreMetrics(registry).observe,
    )
    identity, clock = settings.identity, SystemClock()
    leaf_source = OpenBaoLeafSource(
        store,
        identity.trust_domain,
        identity.service_id,
        identity.instance_id,
    )
    keys = read_keys(settings.authority.keys_file, "authority.keys_file")
    loops = LoopMetrics(registry)
    session = Session(
        settings,
        system_account(settings.profile_value()),
        MemberPorts(
            store=store,
            bus=NatsBus(),
            leaf_source=leaf_source,
            files=LocalFiles(),
            keys=keys.lookup,
            clock=clock,
            randomness=SystemRandomness(),
        ),
        registry,
        loops=loops,
    )
    watcher = Watcher(
        settings,
        session=session,
        tls=HandshakeProbe(),
        clock=clock,
        telemetry=WatcherTelemetry(registry),
    )
    session.on_connection(watcher.follow)

    async def close() -> None:
        await session.close()
        store.close()

    return App(
        tasks={
            **session.tasks(),
            _LOOP: lambda: every(
                _LOOP,
                timedelta(seconds=settings.round.interval_seconds),
                watcher.round,
                on_error=lambda error: loops.failed(_LOOP, error),
                on_done=lambda: loops.done(_LOOP),
                jitter=0.0,
            ),
        },
        ready=lambda: [*session.not_ready_reasons(), *watcher.not_ready_reasons()],
        close=close,
    )
