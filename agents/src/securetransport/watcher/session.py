"""The watcher's session in the system account.

The SDK's session belongs to account APP: it hears of trust sets on the bus and its attestations are
confirmed by a stream. Account SYS has neither; it only exports what the watcher says. So here:

1. Trust comes from OpenBao alone, looked at every second.
2. A statement is published without a receipt, and again every few seconds, so that an authority
   that restarted or missed one hears it.

Everything else (leaf, enrolled signing key, make-before-break) is the SDK's own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import timedelta
from typing import Final

from prometheus_client import CollectorRegistry

from securetransport.core.base import names
from securetransport.core.base.errors import (
    BusUnavailableError,
    RejectedDocumentError,
    UnknownKeyError,
)
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.ports import LeafSource, SecretStore, TlsIdentity
from securetransport.core.ports.bus import Connection
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.bundle import AcceptedTrust
from securetransport.member.attestation import Attested, Attestor
from securetransport.member.connection import ConnectionSwitch, Follower
from securetransport.member.documents import DocumentGate
from securetransport.member.enrolment import SigningKeys
from securetransport.member.leaf import LeafHolder
from securetransport.member.telemetry import SessionTelemetry
from securetransport.member.trust import TrustClient
from securetransport.member.versions import VersionStore
from securetransport.runtime.supervisor import EternalTask, Wakeup, every
from securetransport.watcher.settings import WatcherSettings

_TRUST_ROUND: Final = timedelta(seconds=1)
_LEAF_ROUND: Final = timedelta(seconds=0.5)
_KEYS_ROUND: Final = timedelta(seconds=1)
_CONNECTION_ROUND: Final = timedelta(seconds=0.5)
_BOOT_ID_BYTES: Final = 16
_REPEAT_SECONDS: Final = 5.0


class StoreTrust(TrustClient):
    """Trust that is heard of from OpenBao only (rule 1)."""

    async def refresh_from_bus(self, connection: Connection) -> None:
        """Do nothing: the announcements' stream is in another account."""

    async def listen(self, connection: Connection) -> None:
        """Do nothing: announcements do not reach this account."""


class ExportedAttestor(Attestor):
    """States into an export of the account, which gives no receipt (rule 2)."""

    async def attest(
        self,
        connection: Connection,
        key: SigningKey,
        trust: AcceptedTrust,
        identities: Iterable[TlsIdentity],
    ) -> Attested:
        """Publish a statement that counts as old soon, so that it is repeated.

        Raises:
            BusUnavailableError: The server did not answer.
        """
        done = await super().attest(connection, key, trust, identities)
        usual = self._lifetime.total_seconds() / 4
        return replace(done, monotonic=done.monotonic - max(usual - _REPEAT_SECONDS, 0.0))

    async def deliver(self, connection: Connection, data: bytes, message_id: str) -> None:
        """Publish, and return when the server has it.

        Raises:
            BusUnavailableError: The server did not answer.
        """
        del message_id  # nobody deduplicates here; the authority keeps the newest
        await connection.publish(names.subject_attestation(self._instance), data)
        await connection.flush()


class SystemSession:
    """An admitted connection in account SYS.

    Attributes:
        signing_keys: The watcher's own keys.
        telemetry: The SDK's session metrics.
    """

    def __init__(
        self,
        settings: WatcherSettings,
        store: SecretStore,
        clock: Clock,
        registry: CollectorRegistry,
        leaf_source: LeafSource,
    ) -> None:
        identity, profile = settings.identity, settings.profile_value()
        self._wakeups = {name: Wakeup() for name in ("trust", "leaf", "signing_keys")}
        self.telemetry = SessionTelemetry(registry)
        gate = DocumentGate(
            keys=AuthorityKeys.from_json(settings.authority.keys_file.read_text(encoding="utf-8")),
            clock=clock,
            versions=VersionStore(settings.paths.state_dir),
            skew=profile.clock_skew,
            telemetry=self.telemetry,
        )
        self._trust = StoreTrust(store, gate, self._trust_changed)
        self._leaf = LeafHolder(leaf_source, identity.instance_id, clock, self.telemetry)
        self.signing_keys = SigningKeys(store, identity.instance_id, profile, clock, self.telemetry)
        attestor = ExportedAttestor(
            identity.instance_id,
            secrets.token_hex(_BOOT_ID_BYTES),
            clock,
            profile.ca_period,
            self.telemetry,
        )
        self._switch = ConnectionSwitch(
            settings,
            trust=self._trust,
            leaf=self._leaf,
            keys=self.signing_keys,
            attestor=attestor,
            clock=clock,
            telemetry=self.telemetry,
        )
        self._wakeups["connection"] = self._switch.wakeup

    @property
    def trust(self) -> AcceptedTrust | None:
        """The verified TrustBundle in force."""
        return self._trust.accepted

    @property
    def connection(self) -> Connection:
        """The connection to use now; ask again for every use, it moves.

        Raises:
            BusUnavailableError: There is none yet, or it is down.
        """
        current = self._switch.current
        if current is None or not current.is_connected:
            raise BusUnavailableError("not connected to the system account")
        return current

    def signing_key(self) -> SigningKey:
        """Return an enrolled key; the authority needs no more to know it.

        Raises:
            UnknownKeyError: None is enrolled yet.
        """
        return self.signing_keys.for_signing(must_be_listed=False)

    def on_connection(self, follower: Follower) -> None:
        """Call ``follower`` with each new connection."""
        self._switch.follow(follower)

    def not_ready_reasons(self) -> list[str]:
        """Return what is missing, in words."""
        reasons = []
        if self._trust.accepted is None:
            reasons.append("no trust bundle")
        if self._leaf.held is None:
            reasons.append("no leaf certificate")
        if not self.signing_keys.enrolled:
            reasons.append("no enrolled signing key")
        if not self._switch.is_admitted:
            reasons.append("not connected to the system account and attested")
        return reasons

    def tasks(self) -> Mapping[str, EternalTask]:
        """Return the loops of this session, to be supervised by the process."""
        return {
            "trust": self._loop("trust", _TRUST_ROUND, self._trust.refresh_from_store),
            "leaf": self._loop("leaf", _LEAF_ROUND, self._reconcile_leaf),
            "signing_keys": self._loop("signing_keys", _KEYS_ROUND, self._reconcile_keys),
            "connection": self._loop("connection", _CONNECTION_ROUND, self._reconcile_connection),
        }

    async def close(self) -> None:
        """Drain and close the connection."""
        await self._switch.close()

    def _loop(self, name: str, interval: timedelta, action: EternalTask) -> EternalTask:
        return lambda: every(
            name,
            interval,
            action,
            wakeup=self._wakeups[name],
            on_error=lambda error: self.telemetry.round_failed(name, error),
            on_done=lambda: self.telemetry.round_done(name),
        )

    async def _reconcile_leaf(self) -> None:
        trust = self._trust.accepted
        if trust is None:
            return
        try:
            is_new = await self._leaf.reconcile(trust.bundle)
        except RejectedDocumentError:
            # The issuer became active a moment ago and our trust set is older: read it first.
            self._wakeups["trust"].wake()
            raise
        if is_new:
            self._switch.wakeup.wake()

    async def _reconcile_keys(self) -> None:
        before = len(self.signing_keys.enrolled)
        await self.signing_keys.reconcile()
        if len(self.signing_keys.enrolled) > before:
            self._switch.wakeup.wake()

    async def _reconcile_connection(self) -> None:
        try:
            await self._switch.reconcile()
        except UnknownKeyError:
            self._wakeups["signing_keys"].wake()  # nothing to attest with before the enrolment

    def _trust_changed(self) -> None:
        self._wakeups["leaf"].wake()
        self._switch.wakeup.wake()
