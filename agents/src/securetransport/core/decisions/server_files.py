"""Which files a NATS server must have in force, and the single next step towards that.

The keeper observes (documents, files, its server as seen from outside), asks :func:`next_step`,
carries out that one step and observes again; so a crash at any point is resumed by looking.

Rules, in the order applied:

1. Nothing is written before a verified trust bundle and broker policy are in hand, and nothing
   before the bundle names an active epoch.
2. A leaf is issued when there is none, when it ended, when its issuer left the trust set, when the
   active epoch is another one, when the broker policy changed, or at its time of renewal.
3. *One server at a time*: a leaf for a newly active epoch waits for the servers earlier in the
   order, but never longer than its place in the order times a limit. Nothing else waits for others.
4. Files that differ from the wanted ones are replaced, even while a leaf cannot be issued: an
   issuer that left the trust set must not stay because OpenBao's PKI is slow. A document that was
   only signed anew asks for the same files: then just the versions are noted.
5. A running server that shows other material than the files is reloaded, with a backoff.
6. What is in force, and whether the server serves it, is attested when it changed and from time to
   time.

The policy change of rule 2 is what makes a policy provable: users cannot be seen from outside, but
a reload takes effect as a whole, so a leaf first written together with the policy proves it once
the server presents that leaf.

Pure: no clock, no file, no socket.

Source: docs/decisions/0006-server-files.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import Version
from securetransport.core.formats.trust_bundle import TRUSTED_STATES, TrustBundle


class LeafNeed(StrEnum):
    """Why a new server leaf is needed; the words are metric labels."""

    MISSING = "missing"
    EXPIRED = "expired"
    UNTRUSTED = "untrusted"
    NOT_ACTIVE = "not_active"
    POLICY = "policy"
    AGE = "age"


@dataclass(frozen=True, slots=True)
class LeafFacts:
    """A server leaf that the keeper holds.

    Attributes:
        fingerprint: SHA-256 of its DER, hex.
        epoch: CA epoch of its issuer.
        issuer: Common name of its issuer.
        not_after: When it ends.
        renew_at: From when on it is renewed by age, by the wall clock.
        proves_broker: Digest of the ``broker.conf`` it was first written with.
    """

    fingerprint: Fingerprint
    epoch: EpochNumber
    issuer: str
    not_after: datetime
    renew_at: datetime
    proves_broker: str


@dataclass(frozen=True, slots=True)
class Wanted:
    """The verified documents that the files must follow.

    Attributes:
        bundle: The trust set.
        bundle_version: Its version.
        policy_version: Version of the broker policy.
        broker: SHA-256 of the ``broker.conf`` that the policy asks for, hex.
    """

    bundle: TrustBundle
    bundle_version: Version
    policy_version: Version
    broker: str

    @property
    def names(self) -> frozenset[str]:
        """Common names that both ports must list, no more and no less."""
        return frozenset(e.common_name for e in self.bundle.issuers if e.state in TRUSTED_STATES)


@dataclass(frozen=True, slots=True)
class FilesInForce:
    """One complete, consistent set of files that the server may read.

    Attributes:
        content: Digest over their names and bytes, hex.
        digest: Trust digest of ``ca.crt``.
        names: Common names of the certificates of ``ca.crt``.
        broker: SHA-256 of ``broker.conf``, hex.
        bundle_version: Newest version of the bundle that asks for these files.
        policy_version: Newest version of the policy that asks for these files.
        leaf: The leaf among them.
    """

    content: str
    digest: str
    names: frozenset[str]
    broker: str
    bundle_version: Version
    policy_version: Version
    leaf: LeafFacts


@dataclass(frozen=True, slots=True)
class PortView:
    """What one port of the server showed to a client without a certificate.

    Attributes:
        leaf: SHA-256 of the served leaf, hex.
        names: CA common names it lists.
    """

    leaf: Fingerprint
    names: frozenset[str]


@dataclass(frozen=True, slots=True)
class ServerView:
    """The server beside the keeper, seen from outside.

    Attributes:
        is_running: Its process is alive.
        client: The client port; ``None`` when it did not answer.
        route: The route port; ``None`` when it did not answer or is not to be probed.
        has_route: Whether the route port is to be judged.
    """

    is_running: bool
    client: PortView | None = None
    route: PortView | None = None
    has_route: bool = True

    def ports(self) -> tuple[PortView | None, ...]:
        """Return the views that must agree with the files."""
        return (self.client, self.route) if self.has_route else (self.client,)

    def shows(self, files: FilesInForce) -> bool:
        """Tell whether every port shows leaf and names of ``files``; unknown counts as no."""
        shown = PortView(files.leaf.fingerprint, files.names)
        return self.is_running and all(port == shown for port in self.ports())

    def serves(self, files: FilesInForce) -> bool:
        """Tell whether ``files`` are shown to be in force, the broker policy among them."""
        return self.shows(files) and files.leaf.proves_broker == files.broker

    def shows_other_than(self, files: FilesInForce) -> bool:
        """Tell whether a port answered and showed something else; unknown counts as no."""
        shown = PortView(files.leaf.fingerprint, files.names)
        return self.is_running and any(port not in (None, shown) for port in self.ports())

    def difference(self, files: FilesInForce) -> str:
        """Return in words what the ports show instead of ``files``."""
        if not self.is_running:
            return "the server does not run"
        labels = ("client", "route")
        return "; ".join(
            f"{label} port {text}"
            for label, port in zip(labels, self.ports(), strict=False)
            if (text := _difference(port, files))
        )


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything :func:`next_step` judges.

    Attributes:
        at: Now.
        wanted: Verified documents, ``None`` before there are any.
        leaf: The newest leaf in hand: just issued, or the one in the files.
        in_force: The files the server may read; ``None`` when there are none or they are damaged.
        wanted_content: Digest of what the files should be with ``leaf``; ``None`` without one.
        server: The server as seen from outside.
        attested: The keeper's last statement, ``None`` when there is none or it is unknown.
        is_renewal_due: The leaf's time came by the monotonic clock, whatever the wall clock says.
        may_move: Rule 3 lets this server move to the active epoch.
        may_issue: No backoff holds a new leaf.
        may_write: The wanted files were not refused by the server's own check a moment ago.
        may_reload: No backoff holds a reload.
        is_reload_owed: Files were replaced and the server was not told since.
        attest_every: How old a statement may grow before it is repeated.
    """

    at: datetime
    wanted: Wanted | None
    leaf: LeafFacts | None
    in_force: FilesInForce | None
    wanted_content: str | None
    server: ServerView
    attested: KeeperAttestation | None
    is_renewal_due: bool = False
    may_move: bool = True
    may_issue: bool = True
    may_write: bool = True
    may_reload: bool = True
    is_reload_owed: bool = False
    attest_every: timedelta = timedelta(seconds=10)


@dataclass(frozen=True, slots=True)
class Rest:
    """Nothing to do now; ``waits_for`` says what is missing, if anything."""

    waits_for: str | None = None


@dataclass(frozen=True, slots=True)
class IssueLeaf:
    """Get a new server leaf from the active issuer."""

    need: LeafNeed


@dataclass(frozen=True, slots=True)
class WriteFiles:
    """Write a new generation of the files and switch to it."""


@dataclass(frozen=True, slots=True)
class NoteVersions:
    """Remember that newer documents ask for the very files in force."""


@dataclass(frozen=True, slots=True)
class ReloadServer:
    """Tell the server to read its files, and look whether it did."""


@dataclass(frozen=True, slots=True)
class Attest:
    """State in OpenBao what is in force."""

    is_served: bool


Step = Rest | IssueLeaf | WriteFiles | NoteVersions | ReloadServer | Attest


def next_step(seen: Observation) -> Step:
    """Return the one step to take now, by the rules of this module."""
    wanted = seen.wanted
    if wanted is None:
        return Rest("a verified trust bundle and broker policy")
    if wanted.bundle.active is None:
        return Rest("an active epoch in the trust bundle")
    need = leaf_need(seen.leaf, wanted, seen.at, is_due=seen.is_renewal_due)
    if need and seen.may_issue and (need is not LeafNeed.NOT_ACTIVE or seen.may_move):
        return IssueLeaf(need)
    return _step_of_files(seen, wanted, need)


def _step_of_files(seen: Observation, wanted: Wanted, need: LeafNeed | None) -> Step:
    """Apply rule 4: the leaf is what can be had, are the files?"""
    if seen.leaf is None:
        return Rest("a server leaf")
    files = seen.in_force
    is_right = files is not None and files.content == seen.wanted_content
    if not is_right and seen.may_write:
        return WriteFiles()
    if files is None:
        return Rest("files that the server's own check accepts")
    if is_right and (files.bundle_version, files.policy_version) != (
        wanted.bundle_version,
        wanted.policy_version,
    ):
        return NoteVersions()
    return _step_of_server(seen, files, need)


def _step_of_server(seen: Observation, files: FilesInForce, need: LeafNeed | None) -> Step:
    """Apply rules 5 and 6: the files are right, is the server?"""
    is_wrong = seen.is_reload_owed or seen.server.shows_other_than(files)
    if is_wrong and seen.server.is_running and seen.may_reload:
        return ReloadServer()
    served = seen.server.serves(files)
    if _is_attestation_due(seen, files, served=served):
        return Attest(served)
    return Rest(_missing(seen, need, served=served))


def leaf_need(
    leaf: LeafFacts | None, wanted: Wanted, at: datetime, *, is_due: bool = False
) -> LeafNeed | None:
    """Return why a new leaf is needed, ``None`` when the one in hand is right.

    Args:
        leaf: The leaf in hand.
        wanted: The documents to follow.
        at: Now.
        is_due: It is time to renew whatever ``at`` says.
    """
    if leaf is None:
        return LeafNeed.MISSING
    if at >= leaf.not_after:
        return LeafNeed.EXPIRED
    if leaf.issuer not in wanted.names:
        return LeafNeed.UNTRUSTED
    if leaf.epoch != wanted.bundle.active:
        return LeafNeed.NOT_ACTIVE
    if leaf.proves_broker != wanted.broker:
        return LeafNeed.POLICY
    return LeafNeed.AGE if is_due or at >= leaf.renew_at else None


def is_leaf_acceptable(epoch: EpochNumber, issuer: str, wanted: Wanted, *, is_urgent: bool) -> bool:
    """Tell whether a leaf that OpenBao just signed may be used.

    The authority switches the issuer a moment before its bundle says so. A leaf of such a *coming*
    epoch is trusted by everybody (``confirmed``), yet only a server without a usable leaf takes it:
    all others wait for the bundle, so that the order of rule 3 stays the authority's.
    """
    if issuer not in wanted.names or wanted.bundle.active is None:
        return False
    return epoch == wanted.bundle.active or (is_urgent and epoch > wanted.bundle.active)


def may_move(  # noqa: PLR0913  # one fact of rule 3 each
    server: str,
    order: Sequence[str],
    active: EpochNumber,
    attested: Mapping[str, KeeperAttestation],
    *,
    waited: timedelta,
    limit: timedelta,
) -> bool:
    """Apply rule 3.

    Args:
        server: The asking server.
        order: All servers of the cluster; a server that is not listed waits for nobody.
        active: The epoch to move to.
        attested: Last statement per server; a server without one is not waited for.
        waited: How long this keeper has known that ``active`` is active.
        limit: Longest wait per earlier server.
    """
    earlier = list(order[: order.index(server)]) if server in order else []
    if waited >= limit * len(earlier):
        return True
    return all(
        entry is None or (entry.leaf_epoch == active and entry.is_served)
        for entry in map(attested.get, earlier)
    )


def attestation(
    server: str, files: FilesInForce, at: datetime, *, is_served: bool
) -> KeeperAttestation:
    """Return the statement for ``files``."""
    return KeeperAttestation(
        server=server,
        digest=files.digest,
        bundle_version=files.bundle_version,
        policy_version=files.policy_version,
        leaf=files.leaf.fingerprint,
        leaf_epoch=files.leaf.epoch,
        leaf_not_after=files.leaf.not_after,
        is_served=is_served,
        attested_at=at,
    )


def _difference(port: PortView | None, files: FilesInForce) -> str:
    if port is None:
        return "does not answer"
    if port.leaf != files.leaf.fingerprint:
        return f"serves leaf {port.leaf[:16]}, not {files.leaf.fingerprint[:16]}"
    if port.names != files.names:
        return f"lists {sorted(port.names)}, not {sorted(files.names)}"
    return ""


def _is_attestation_due(seen: Observation, files: FilesInForce, *, served: bool) -> bool:
    last = seen.attested
    if last is None or not timedelta(0) <= seen.at - last.attested_at < seen.attest_every:
        return True
    return attestation(last.server, files, last.attested_at, is_served=served) != last


def _missing(seen: Observation, need: LeafNeed | None, *, served: bool) -> str | None:
    if need is LeafNeed.NOT_ACTIVE and not seen.may_move:
        return "the servers before this one to serve the active epoch"
    if need:
        return f"a new server leaf ({need})"
    if not seen.server.is_running:
        return "the server to start"
    return None if served else "the server to serve the files"
