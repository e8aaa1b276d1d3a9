"""What the keeper sees at one moment: the documents, its files, its server from outside."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.body import Version
from securetransport.core.formats.trust_bundle import TRUSTED_STATES, TrustBundle


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
    """Everything :func:`decide` judges.

    Attributes:
        at: Now.
        wanted: Verified documents, ``None`` before there are any.
        leaf: The newest leaf held: just issued, or the one in the files.
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


def _difference(port: PortView | None, files: FilesInForce) -> str:
    if port is None:
        return "does not answer"
    if port.leaf != files.leaf.fingerprint:
        return f"serves leaf {port.leaf[:16]}, not {files.leaf.fingerprint[:16]}"
    if port.names != files.names:
        return f"lists {sorted(port.names)}, not {sorted(files.names)}"
    return ""
