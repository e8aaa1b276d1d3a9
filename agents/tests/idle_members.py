"""What members that have nothing to do ask of OpenBao, in simulated time.

``python tests/idle_members.py 2 20 200`` prints requests per member and minute, in profile
``production``.
"""

from __future__ import annotations

import asyncio
import base64
import logging
import sys
from collections import Counter
from pathlib import Path

import structlog
from prometheus_client import CollectorRegistry

from member_scene import MemberScene
from securetransport.core.acl import compile_broker, compile_streams, load_acl
from securetransport.core.base import names
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.messages.client import MessageClient
from securetransport.messages.settings import LedgerSection, MessagesSection
from securetransport.runtime.sections import IdentitySection, NatsSection, PathsSection
from securetransport.testing import FakeFiles
from securetransport.testing.ledger import FakeLedger
from service_scene import ACL_TEXT

PROFILE = PROFILES["production"]
_MINUTES = 15


class Settings:
    """What a client reads of a service's settings."""

    def __init__(self, scene: MemberScene, instance: str) -> None:
        self.identity = IdentitySection(service=scene.service, instance=instance)
        self.messages = MessagesSection()
        self.ledger = LedgerSection()
        self.nats = NatsSection(servers=scene.urls)
        self.paths = PathsSection(state_dir=Path("/state"))

    def profile_value(self) -> Profile:
        return PROFILE


def client(scene: MemberScene, number: int) -> MessageClient:
    return MessageClient(
        Settings(scene, str(number)),  # type: ignore[arg-type]  # has what is read of it
        scene.ports(FakeFiles()),
        FakeLedger(scene.clock),
        CollectorRegistry(),
    )


async def announce(scene: MemberScene) -> None:
    """Announce Directory and deny list, as the authority does."""
    assert scene.admin is not None
    for path, subject in (
        (names.KV_DIRECTORY, "metadata.client.directory"),
        (names.KV_DENY_LIST, "metadata.client.deny-list"),
    ):
        held = await scene.authority.store.kv_get(path)
        assert held is not None
        await scene.admin.publish_acked(
            names.Subject(subject), base64.b64decode(held.value["document"])
        )


async def requests_per_minute(members: int, minutes: int = _MINUTES) -> tuple[float, Counter[str]]:
    """Let ``members`` idle; returns requests per member and minute, and what was asked for."""
    scene = MemberScene()
    acl = load_acl(ACL_TEXT)
    scene.bus.streams.clear()
    scene.bus.set_policy(compile_broker(acl))
    for config in compile_streams(acl, PROFILE, replicas=1):
        scene.bus.add_stream(config)
    scene.authority.profile = PROFILE
    scene.admin = await scene.bus.join("admin")
    await scene.authority.prepare()
    await scene.publish_trust()
    clients = [client(scene, number + 1) for number in range(members)]
    loops = [each.tasks() for each in clients]
    tasks = [asyncio.ensure_future(loop()) for found in loops for loop in found.values()]
    await scene.wait(lambda: all(each.session.is_admitted for each in clients), seconds=60)
    await scene.authority.publish()
    await announce(scene)
    await scene.wait(
        lambda: not any(each.not_ready_reasons() for each in clients),
        seconds=PROFILE.ca_lead.seconds,
    )
    await asyncio.sleep(60)
    calls = scene.authority.store.calls
    calls.clear()
    await asyncio.sleep(60 * minutes)
    asked = Counter(f"{operation} {path}" for operation, path in calls)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    for each in clients:
        await each.close()
    await scene.admin.close()
    return len(calls) / members / minutes, asked


def main(arguments: list[str]) -> None:
    from securetransport.testing.virtual_time import VirtualTimeLoop  # noqa: PLC0415

    quiet = structlog.make_filtering_bound_logger(logging.CRITICAL)
    structlog.configure(wrapper_class=quiet)
    for members in map(int, arguments):
        loop = VirtualTimeLoop()
        rate, asked = loop.run_until_complete(requests_per_minute(members))
        line = f"{members:>4} members: {rate:6.2f} requests per member and minute"
        sys.stdout.write(f"{line} {dict(asked)}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1:] or ["2", "20", "200"])
