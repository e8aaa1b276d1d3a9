"""Authority and member of one secret-id over fakes, either of which may end at any port call.

A :class:`Mortal` stands between a loop and a port: it counts the calls, and ends the process before
or after the one it was told.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry

from securetransport.core.acl import load_acl
from securetransport.core.base.errors import SecureTransportError
from securetransport.core.base.names import InstanceId, instance_role
from securetransport.core.base.profile import PROFILES
from securetransport.core.formats.deny_list import DenyList
from securetransport.credentials.disk import Disk, Place
from securetransport.credentials.renewal import Renewal
from securetransport.credentials.telemetry import CredentialsMetrics
from securetransport.metadata.secret_ids import SecretIds
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.testing.approles import FakeAppRoles
from securetransport.testing.clock import FakeClock
from securetransport.testing.files import FakeFiles, ProcessDied
from securetransport.testing.randomness import FakeRandomness
from securetransport.testing.store import FakeSecretStore

ACL = load_acl("""
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 1048576}
topics:
  auth.requests: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests]}
""")
INSTANCE = InstanceId("gatekeeper/0")
ROLE = instance_role(INSTANCE)
PROFILE = PROFILES["compressed"]
INTERVAL = PROFILE.secret_id_services
HOME = Path("/srv/gatekeeper")
PLACE = Place(HOME / "role-id", HOME / "secret-id", HOME / "secret-id.state")


@dataclass
class Fate:
    """When a process ends.

    Attributes:
        at: The call, from 1; ``None`` for never.
        is_after: Whether the call takes effect and its answer is lost.
        calls: Names of the calls so far.
    """

    at: int | None = None
    is_after: bool = False
    calls: list[str] = field(default_factory=list)


class Mortal:
    """A port whose process ends at a call."""

    def __init__(self, port: Any, fate: Fate) -> None:
        self._port = port
        self._fate = fate

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if not callable(found):
            return found
        return self._guarded_async(name, found) if _is_async(found) else self._guarded(name, found)

    def _enter(self, name: str) -> bool:
        """Count a call; returns whether it is the last one."""
        fate = self._fate
        fate.calls.append(name)
        is_last = fate.at == len(fate.calls)
        if is_last and not fate.is_after:
            raise ProcessDied(name)
        return is_last

    def _guarded(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        def guarded(*args: Any, **kwargs: Any) -> Any:
            is_last = self._enter(name)
            answer = call(*args, **kwargs)
            if is_last:
                raise ProcessDied(name)
            return answer

        return guarded

    def _guarded_async(self, name: str, call: Callable[..., Any]) -> Callable[..., Any]:
        async def guarded(*args: Any, **kwargs: Any) -> Any:
            is_last = self._enter(name)
            answer = await call(*args, **kwargs)
            if is_last:
                raise ProcessDied(name)
            return answer

        return guarded


def _is_async(call: Callable[..., Any]) -> bool:
    return asyncio.iscoroutinefunction(call)


class Scene:
    """One instance with a secret-id that Ansible delivered, and the authority.

    Attributes:
        clock: Simulated time.
        approles: OpenBao's AppRole method.
        files: The member's disk.
        authority_dies: Fate of the next authority process.
        member_dies: Fate of the next member process.
    """

    def __init__(self, life: timedelta | None = timedelta(days=30)) -> None:
        self.clock = FakeClock()
        self.approles = FakeAppRoles(self.clock, life)
        self.store = FakeSecretStore(self.clock)
        self.store.mount(FakeAppRoles.PREFIX, self.approles.answer)
        self.store.mount(FakeAppRoles.REWRAP, self.approles.answer)
        self.files = FakeFiles()
        self.files.make_dir(HOME)
        self.deliver()
        self.authority_dies = Fate()
        self.member_dies = Fate()
        self.start_authority()
        self.start_member()

    def deliver(self) -> None:
        """Put a fresh secret-id there, as Ansible does."""
        role_id, secret_id = self.approles.deliver(ROLE)
        self.files.write(PLACE.role_id, role_id)
        self.files.write(PLACE.secret_id, secret_id)

    def start_authority(self) -> None:
        """Start the authority anew: it remembers nothing."""
        self.authority = SecretIds(
            store=Mortal(self.store, self.authority_dies),
            clock=self.clock,
            profile=PROFILE,
            servers=["nats-1"],
            randomness=FakeRandomness(len(self.authority_dies.calls)),
            metrics=MetadataMetrics(CollectorRegistry()),
        )

    def start_member(self) -> None:
        """Start what stands beside the bao agent anew: it remembers what is on the disk."""
        files = Mortal(self.files, self.member_dies)
        self.member = Renewal(
            instance=INSTANCE,
            disk=Disk(files, PLACE),
            store=Mortal(self.store, self.member_dies),
            logins=Mortal(self.approles, self.member_dies),
            clock=self.clock,
            profile=PROFILE,
            metrics=CredentialsMetrics(CollectorRegistry()),
        )

    def secret_id(self) -> str:
        """The secret-id that a bao agent would log in with now."""
        data = self.files.read(PLACE.secret_id)
        assert data is not None
        return data.decode()

    def is_safe(self) -> bool:
        """Whether the bao agent could log in now."""
        return self.approles.is_valid(ROLE, self.secret_id())

    async def turn(self) -> None:
        """Let both do a round; one that ends is started anew in the next turn."""
        try:
            await self.authority.round(ACL, DenyList())
        except ProcessDied:
            self.authority_dies = Fate()
            self.start_authority()
        except SecureTransportError:
            pass
        assert self.is_safe()
        try:
            await self.member.round()
        except ProcessDied:
            assert self.is_safe()
            self.member_dies = Fate()
            self.start_member()
        except SecureTransportError:
            pass
        assert self.is_safe()

    async def run(self, life: timedelta, step: timedelta = timedelta(seconds=2)) -> None:
        """Let time pass, a turn every ``step``."""
        end = self.clock.now() + life
        while self.clock.now() < end:
            await self.turn()
            self.clock.advance(step)

    async def settles(self) -> bool:
        """Let an interval pass; tell whether there was an instant with one secret-id only."""
        for _ in range(30):
            if len(self.approles.accessors(ROLE)) == 1:
                return True
            await self.run(INTERVAL / 30, step=INTERVAL / 30)
        return False
