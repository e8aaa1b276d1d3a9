"""Wires what stands beside the bao agents: the only module here that chooses adapters."""

from __future__ import annotations

from datetime import timedelta

from prometheus_client import CollectorRegistry

from securetransport.adapters.files import LocalFiles
from securetransport.adapters.openbao import OpenBaoLogins, OpenBaoStore
from securetransport.adapters.system import SystemClock
from securetransport.credentials.disk import Disk, Place
from securetransport.credentials.renewal import Renewal
from securetransport.credentials.service import Credentials, Member
from securetransport.credentials.settings import CredentialsSettings, MemberSection
from securetransport.credentials.sink import Sink
from securetransport.credentials.telemetry import CredentialsMetrics
from securetransport.runtime.main import App
from securetransport.runtime.metrics import LoopMetrics, StoreMetrics
from securetransport.runtime.supervisor import every

_LOOP = "credentials"


async def build(settings: CredentialsSettings, registry: CollectorRegistry) -> App:
    """Make the process; it needs neither OpenBao nor credentials to be there yet."""
    files, clock = LocalFiles(), SystemClock()
    metrics, calls = CredentialsMetrics(registry), StoreMetrics(registry)
    bao = settings.openbao
    logins = OpenBaoLogins(bao.addresses, bao.ca_file, bao.timeout_seconds, on_call=calls.observe)
    stores: list[OpenBaoStore] = []

    def member(entry: MemberSection) -> Member:
        store = OpenBaoStore(
            bao.addresses, bao.ca_file, entry.token_file, bao.timeout_seconds, calls.observe
        )
        stores.append(store)
        disk = Disk(files, Place(entry.role_id_file, entry.secret_id_file, entry.state_file))
        return Member(
            renewal=Renewal(
                instance=entry.instance_id,
                disk=disk,
                store=store,
                logins=logins,
                clock=clock,
                profile=settings.profile_value(),
                metrics=metrics,
            ),
            sink=Sink(entry.token_file, disk, files, logins, clock, metrics),
            status_file=entry.status_file,
            files=files,
            clock=clock,
        )

    service = Credentials([member(entry) for entry in settings.members], metrics)
    loops = LoopMetrics(registry)

    async def close() -> None:
        logins.close()
        for store in stores:
            store.close()

    return App(
        tasks={
            _LOOP: lambda: every(
                _LOOP,
                timedelta(seconds=settings.round_seconds),
                service.round,
                on_error=lambda error: loops.failed(_LOOP, error),
                on_done=lambda: loops.done(_LOOP),
            )
        },
        ready=service.not_ready_reasons,
        close=close,
    )
