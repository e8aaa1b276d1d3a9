"""``python -m demo.denied``: what a stolen identity of the gatekeeper may *not* do.

Logs in with the gatekeeper's own credentials, gets a leaf as it does, and tries what it has no
right to; the servers answer. Exit code 1 if anything of it is allowed. As a check that the identity
works at all, it first does something it may do.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Awaitable, Callable

from rich.console import Console

from evaluation.platform import CLI_CONFIG, SERVICES
from securetransport.adapters.openbao import OpenBaoStore
from securetransport.cli.session import connection, visit
from securetransport.cli.settings import CliSettings, load_settings
from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import PermissionDeniedError, SecureTransportError
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.ports.bus import Connection

_ME = ServiceId("gatekeeper")

Attempt = Callable[[], Awaitable[object]]


async def attempts(settings: CliSettings, console: Console) -> int:
    """Try everything; returns how many attempts were allowed."""
    stolen = settings.model_copy(
        update={
            "role_id_file": SERVICES / "gatekeeper-1" / "role-id",
            "secret_id_file": SERVICES / "gatekeeper-1" / "secret-id",
        }
    )
    async with visit(stolen, _ME, "0") as held, connection(stolen, held) as bus:
        return await _try_all(held.store, bus, console)


async def _try_all(store: OpenBaoStore, bus: Connection, console: Console) -> int:
    consumer = {"stream_name": "AUTH_STREAM", "config": {"durable_name": "mine"}}
    tries: dict[str, Attempt] = {
        "publish on auth-controller's subject": lambda: bus.request("gatekeeper.responses", b"x"),
        "create a consumer": lambda: bus.request(
            "$JS.API.CONSUMER.DURABLE.CREATE.AUTH_STREAM.mine", json.dumps(consumer).encode()
        ),
        "pull from auth-controller's durable": lambda: bus.request(
            "$JS.API.CONSUMER.MSG.NEXT.AUTH_STREAM.auth-controller", b"1"
        ),
        "listen to auth-controller's inbox": lambda: _listen(bus, "_INBOX.auth-controller.>"),
        "ask a server to reload": lambda: bus.request("$SYS.REQ.SERVER.PING", b""),
        "read the authority's topic keys": lambda: store.kv_get(
            names.kv_topic_key(Topic("auth.requests"), EpochNumber(0))
        ),
        "read the rotation record": lambda: store.kv_get(names.KV_CA_RECORD),
        "decrypt auth-controller's bundle": lambda: store.transit_decrypt(
            names.service_transit_key(ServiceId("auth-controller")), "vault:v1:AAAA"
        ),
        "sign as the authority": lambda: store.transit_sign(names.AUTHORITY_SIGNING_KEY, b"x"),
        "get a leaf of auth-controller": lambda: store.write(
            f"{names.PKI_MOUNT}/sign/auth-controller--0", {"csr": ""}
        ),
    }
    console.print("connected as gatekeeper; reading its own bundle works", style="green")
    await store.kv_get(names.kv_service_bundle(_ME))
    allowed = 0
    for what, attempt in tries.items():
        allowed += await _try(what, attempt, console)
    return allowed


async def _listen(bus: Connection, subject: str) -> None:
    async def ignore(_message: object) -> None:
        return

    await bus.subscribe(subject, ignore)


async def _try(what: str, attempt: Attempt, console: Console) -> int:
    try:
        await attempt()
    except PermissionDeniedError as err:
        console.print(f"denied   {what}: {err}", markup=False, soft_wrap=True)
        return 0
    except SecureTransportError as err:
        console.print(f"UNCLEAR  {what}: {err}", markup=False, soft_wrap=True)
        return 1
    console.print(f"ALLOWED  {what}", style="bold red")
    return 1


def main() -> int:
    """Run all attempts."""
    console = Console()
    try:
        allowed = asyncio.run(attempts(load_settings(CLI_CONFIG), console))
    except SecureTransportError as err:
        console.print(f"demo.denied: {err}", markup=False)
        return 2
    return 1 if allowed else 0


if __name__ == "__main__":
    sys.exit(main())
