"""A small world that the decision can act on: OpenBao's mount, keepers, servers and members.

It carries out steps as the authority does (record first), moves time in ticks, and lets tests break
parts of it. Its ``problems`` collect every moment at which an invariant was broken.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint, InstanceId, issuer_common_name
from securetransport.core.base.profile import MAX_LIVE_ISSUERS, PROFILES, Profile
from securetransport.core.decisions.ca import steps
from securetransport.core.decisions.ca.bundle import lifetime, renewal_window, wanted_bundle
from securetransport.core.decisions.ca.decide import decide
from securetransport.core.decisions.ca.observation import (
    MemberAttestation,
    MountIssuer,
    Observation,
    PublishedBundle,
)
from securetransport.core.decisions.ca.record import CaEpoch, Excuse, Issuer, RotationRecord
from securetransport.core.decisions.ca.steps import Step
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.attestation import Attestation, KeeperAttestation
from securetransport.core.formats.body import Version
from securetransport.core.formats.server_report import (
    ServerConnection,
    ServerObservation,
    ServerReport,
)
from securetransport.core.formats.trust_bundle import EpochState, TrustBundle
from securetransport.core.trust import bundle as trust

START = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ADMIN_USER = "spiffe://example.test/admin"
SERVERS = ("nats-1", "nats-2", "nats-3")


@dataclass
class Server:
    """A server with its keeper."""

    bundle: TrustBundle | None = None
    leaf_epoch: EpochNumber | None = None
    is_up: bool = True
    keeper_works: bool = True


@dataclass
class Member:
    """A connected member; ``since`` is when it connected."""

    name: InstanceId
    since: datetime
    bundle: TrustBundle | None = None
    leaf_epoch: EpochNumber | None = None
    attested: datetime | None = None
    follows: bool = True
    attests: bool = True

    @property
    def leaf(self) -> Fingerprint:
        return Fingerprint(hashlib.sha256(f"{self.name} {self.leaf_epoch}".encode()).hexdigest())


@dataclass
class World:
    """Everything there is; ``run`` lets the authority act on it."""

    profile: Profile = field(default_factory=lambda: PROFILES["compressed"])
    now: datetime = START
    record: RotationRecord = field(default_factory=RotationRecord)
    mount: dict[str, MountIssuer] = field(default_factory=dict)
    published: PublishedBundle | None = None
    servers: dict[str, Server] = field(default_factory=lambda: {name: Server() for name in SERVERS})
    members: list[Member] = field(default_factory=list)
    watcher_works: bool = True
    reported: tuple[str, ...] = SERVERS
    steps: list[tuple[datetime, Step | Wait]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    # --- what tests call ---------------------------------------------------------------------

    def add_member(self, name: str, **facts: bool) -> Member:
        member = Member(InstanceId(name), since=self.now, **facts)
        self.members.append(member)
        return member

    def run(self, duration: timedelta, tick: timedelta = timedelta(seconds=1)) -> None:
        end = self.now + duration
        while self.now < end:
            self.authority()
            self.everybody_else()
            self.now += tick

    def authority(self) -> Step | Wait:
        """Act until a step waits, as the authority's round does."""
        for _ in range(32):
            step = self.decide()
            self.steps.append((self.now, step))
            if isinstance(step, Wait):
                return step
            self.act(step)
            self.check()
        raise AssertionError(f"32 steps without rest: {self.steps[-4:]}")

    def decide(self) -> Step | Wait:
        return decide(self.observe(), self.record, self.profile)

    def everybody_else(self) -> None:
        """Keepers and members follow the published bundle."""
        if self.published is None:
            return
        for server in self.servers.values():
            if server.is_up and server.keeper_works:
                server.bundle = self.published.bundle
                server.leaf_epoch = self.published.bundle.active or server.leaf_epoch
        for member in self.members:
            if member.follows:
                member.bundle = self.published.bundle
                renewal = member.bundle.renewal
                if member.leaf_epoch is None:
                    member.leaf_epoch = member.bundle.active
                elif renewal is not None and self.now >= renewal.opens_at:
                    member.leaf_epoch = renewal.epoch
            if member.attests and member.bundle:
                member.attested = self.now

    def active(self) -> EpochNumber:
        assert self.record.active is not None
        return self.record.active.epoch

    def state_of(self, epoch: int) -> EpochState:
        entry = self.record.find(EpochNumber(epoch))
        assert entry is not None
        return entry.state

    # --- the authority's side ----------------------------------------------------------------

    def observe(self) -> Observation:
        return Observation(
            now=self.now,
            issuers=tuple(self.mount.values()),
            published=self.published,
            keepers={name: self._keeper(name, server) for name, server in self.servers.items()},
            report=self._report(),
            report_received_at=self.now,
            members={
                member.name: self._attestation(member) for member in self.members if member.attested
            },
            admin_user=ADMIN_USER,
        )

    def act(self, step: Step) -> None:  # noqa: C901  # one case per step
        match step:
            case steps.Plan(epoch):
                self.record = self.record.planned(epoch, self.now)
            case steps.Prepare(entry):
                issuer = self.make_issuer(entry)
                self._replace(entry.moved(EpochState.PREPARED, self.now, issuer))
            case steps.NameIssuer(left, name):
                self.mount[left.issuer_id] = replace(left, name=name, may_issue=False)
            case steps.Adopt(entry, left):
                issuer = self._facts(entry, left.issuer_id)
                self._replace(entry.moved(EpochState.PREPARED, self.now, issuer))
            case steps.RemoveIssuer(left):
                del self.mount[left.issuer_id]
            case steps.SetUsage(left, may_issue, make_default):
                self._set_usage(left, may_issue=may_issue, make_default=make_default)
            case steps.Publish():
                self._publish()
            case steps.Move(entry, state, missing):
                self._replace(entry.moved(state, self.now))
                self._excuse(entry, state, missing)
            case steps.Activate(entry, previous, missing):
                if not missing:
                    self._check_trust_before_use(entry.epoch)
                self._replace(entry.moved(EpochState.ACTIVE, self.now))
                if previous is not None:
                    self._replace(previous.moved(EpochState.LEGACY, self.now))
                self._excuse(entry, "activate", missing)
            case steps.Demote(entry, _missing):
                window = renewal_window(entry, self.now, self.profile, len(self.members))
                self.record = self.record.model_copy(update={"renewal": window})

    def make_issuer(self, entry: CaEpoch, effects: int = 3) -> Issuer:
        """Make an issuer as OpenBao does; a crash leaves the first ``effects`` of its three.

        They are a key under the recorded name, an issuer that is imported without a name and with
        every usage, and its name and usage.
        """
        facts = self._facts(entry, f"id-{entry.issuer_name}")
        if effects >= 2:
            self.mount[facts.issuer_id] = MountIssuer(
                issuer_id=facts.issuer_id,
                name=entry.issuer_name if effects == 3 else "",
                key_id=f"key-{entry.issuer_name}",
                key_name=entry.issuer_name,
                certificate=facts.certificate,
                may_issue=effects == 2,
                is_default=not self.mount,
            )
        return facts

    def check(self) -> None:
        active = self.record.in_states({EpochState.ACTIVE})
        if len(active) > 1:
            self.problems.append(f"{self.now}: several active epochs")
        if len(self.mount) > MAX_LIVE_ISSUERS:
            self.problems.append(f"{self.now}: {len(self.mount)} issuers")

    # --- inside ------------------------------------------------------------------------------

    def _facts(self, entry: CaEpoch, issuer_id: str) -> Issuer:
        certificate = f"certificate of {entry.issuer_name}".encode()
        digest = hashlib.sha256(certificate).hexdigest()
        schedule = self.profile.ca_schedule
        return Issuer(
            issuer_id=issuer_id,
            certificate=certificate,
            fingerprint=Fingerprint(digest),
            common_name=issuer_common_name(entry.epoch, digest),
            not_before=self.now,
            not_after=schedule.expiry_of(entry.epoch),
        )

    def _replace(self, entry: CaEpoch) -> None:
        self.record = self.record.replaced(entry)

    def _excuse(self, entry: CaEpoch, step: str, missing: tuple[str, ...]) -> None:
        if missing:
            excuse = Excuse(epoch=entry.epoch, step=step, missing=missing, at=self.now)
            self.record = self.record.excused(excuse)

    def _set_usage(self, left: MountIssuer, *, may_issue: bool, make_default: bool) -> None:
        for issuer_id, issuer in list(self.mount.items()):
            is_this = issuer_id == left.issuer_id
            self.mount[issuer_id] = replace(
                issuer,
                may_issue=may_issue if is_this else issuer.may_issue,
                is_default=is_this if make_default else issuer.is_default,
            )

    def _publish(self) -> None:
        version = self.published.version.next() if self.published else Version(counter=1)
        self.published = PublishedBundle(
            bundle=wanted_bundle(self.record),
            version=version,
            created_at=self.now,
            not_after=self.now + lifetime(self.profile),
        )

    def _check_trust_before_use(self, epoch: EpochNumber) -> None:
        if self.record.is_cold(self.now):
            return
        for name, server in self.servers.items():
            if server.is_up and not _trusts(server.bundle, epoch):
                self.problems.append(f"{self.now}: {name} does not trust {epoch} at activation")
        for member in self.members:
            if not _trusts(member.bundle, epoch):
                self.problems.append(f"{self.now}: {member.name} does not trust {epoch}")

    def _keeper(self, name: str, server: Server) -> KeeperAttestation | None:
        if server.bundle is None or server.leaf_epoch is None:
            return None
        return KeeperAttestation(
            server=name,
            digest=server.bundle.digest,
            bundle_version=Version(counter=1),
            policy_version=Version(counter=1),
            leaf=Fingerprint("00"),
            leaf_epoch=server.leaf_epoch,
            leaf_not_after=self.now + self.profile.leaf_validity,
            is_served=server.is_up,
            attested_at=self.now,
        )

    def _report(self) -> ServerReport | None:
        if not self.watcher_works:
            return None
        return ServerReport(
            reported_at=self.now,
            servers=tuple(
                self._server(name, server)
                for name, server in sorted(self.servers.items())
                if name in self.reported
            ),
        )

    def _server(self, name: str, server: Server) -> ServerObservation:
        if not server.is_up:
            return ServerObservation(server=name, reachable=False, seen_by_peers=False)
        names = tuple(sorted(trust.names(server.bundle))) if server.bundle else None
        issuer = self._issuer_name(server.leaf_epoch)
        connections = tuple(
            ServerConnection(
                cid=index,
                user=f"spiffe://example.test/{member.name.split('/')[0]}",
                leaf=member.leaf,
                started_at=member.since,
            )
            for index, member in enumerate(self.members)
        )
        return ServerObservation(
            server=name,
            reachable=True,
            client_names=names,
            route_names=names,
            served_issuer=issuer,
            route_served_issuer=issuer,
            connections=connections if name == SERVERS[0] else (),
        )

    def _issuer_name(self, epoch: EpochNumber | None) -> str | None:
        entry = self.record.find(epoch) if epoch is not None else None
        return entry.issuer.common_name if entry and entry.issuer else None

    def _attestation(self, member: Member) -> MemberAttestation:
        assert member.bundle is not None
        assert member.attested is not None
        statement = Attestation(
            instance=member.name,
            boot_id="boot",
            digest=member.bundle.digest,
            bundle_version=Version(counter=1),
            leaf_fingerprints=(member.leaf,),
            certificates=(b"leaf",),
            attested_at=member.attested,
        )
        epochs = {member.leaf: member.leaf_epoch} if member.leaf_epoch is not None else {}
        return MemberAttestation(statement, member.attested, epochs)


def _trusts(bundle: TrustBundle | None, epoch: EpochNumber) -> bool:
    return bundle is not None and any(entry.epoch == epoch for entry in bundle.issuers)
