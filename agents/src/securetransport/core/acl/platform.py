"""Rights on the bus that follow from the protocol, not from the ACL file.

They are those of the platform's identities, and what every member needs to take part.

A grant says why it exists; ``acl explain`` prints it, so a right that nobody can explain does not
get in. Subjects as in docs/architecture.md, "Subjects".

Identities without a user on the bus: ``keeper`` talks to OpenBao only, ``nats`` is the servers'
own, ``probe`` must map to nobody.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

from securetransport.core.acl.subjects import contains
from securetransport.core.base import names
from securetransport.core.base.names import ServiceId

Action = Literal["publish", "subscribe"]

WITHOUT_BUS = frozenset({names.KEEPER, names.NATS_SERVER, names.PROBE})
METADATA_STREAMS = (
    names.STREAM_ATTESTATIONS,
    names.STREAM_CA_CLIENT,
    names.STREAM_ROTATION_LOG,
)
"""Streams whose messages the authority reads back by DIRECT.GET."""

DEAD_LETTER_STREAMS = (names.STREAM_DEAD_LETTERS, names.STREAM_LARGE_LETTERS)
ADMIN_STREAMS = (names.STREAM_CA_CLIENT, names.STREAM_ROTATION_LOG, *DEAD_LETTER_STREAMS)
"""Streams whose messages an administrator reads."""

_SYSTEM_REQUESTS = ("RELOAD", "CONNZ", "VARZ", "ROUTEZ", "LDM", "KICK")
_SYSTEM_PINGS = ("CONNZ", "VARZ", "ROUTEZ", "HEALTHZ", "STATSZ")


@dataclass(frozen=True, slots=True)
class Grant:
    """One allowed subject pattern with its reason."""

    subject: str
    why: str


@dataclass(frozen=True, slots=True)
class BusRights:
    """What one identity may do on the bus; everything else is denied.

    Attributes:
        service: Who.
        account: ``APP`` or ``SYS``.
        publish: Allowed subjects, in the order they are explained.
        subscribe: Allowed subjects.
        allow_responses: Whether it may answer on the reply subject of a request it received.
    """

    service: ServiceId
    account: Literal["APP", "SYS"]
    publish: tuple[Grant, ...]
    subscribe: tuple[Grant, ...]
    allow_responses: bool = False

    def grant(self, action: Action, subject: str) -> Grant | None:
        """Return the grant that allows ``action`` on ``subject``, ``None`` when nothing does."""
        grants = self.publish if action == "publish" else self.subscribe
        return next((grant for grant in grants if contains(grant.subject, subject)), None)


def inbox(service: ServiceId) -> Grant:
    """Return the right to hear answers: an own prefix that nobody else may subscribe to."""
    return Grant(f"{names.inbox_prefix(service)}.>", "answers come to its own inbox")


def attestation(service: ServiceId) -> Grant:
    """Return the right to state what its instances verify with."""
    return Grant(f"metadata.attest.{service}.>", "its instances attest their trust set")


ANNOUNCED = {
    names.SUBJECT_TRUST_NOTICE: "trust set",
    names.SUBJECT_DIRECTORY_NOTICE: "directory",
    names.SUBJECT_DENY_LIST_NOTICE: "deny list",
}
"""Documents that the authority announces to every member, by subject."""


def newest_trust() -> Grant:
    """Return the right to read the newest announcement of the trust set."""
    return _newest(names.SUBJECT_TRUST_NOTICE)


def _newest(subject: names.Subject) -> Grant:
    what = f"reads the newest announced {ANNOUNCED[subject]}"
    return Grant(direct_get(names.STREAM_CA_CLIENT, subject), what)


def direct_get(stream: str, subject: str = "") -> str:
    """Return the API subject that reads a stream's messages without a consumer."""
    return f"$JS.API.DIRECT.GET.{stream}" + (f".{subject}" if subject else "")


def member_rights(
    service: ServiceId, *, publish: Iterable[Grant] = (), subscribe: Iterable[Grant] = ()
) -> BusRights:
    """Return the rights of a service built on the SDK: the protocol's plus its topics'."""
    return BusRights(
        service=service,
        account="APP",
        publish=(
            *publish,
            attestation(service),
            Grant(names.subject_key_exchange(service), "asks for its bundle"),
            Grant(names.SUBJECT_DIRECTORY, "asks for verify keys"),
            *(_newest(subject) for subject in ANNOUNCED),
        ),
        subscribe=(
            *subscribe,
            inbox(service),
            *(Grant(subject, f"hears of a new {what}") for subject, what in ANNOUNCED.items()),
            Grant(names.subject_bundle_push(service), "hears that its bundle changed"),
        ),
    )


def platform_rights(topics: Iterable[str] = ()) -> dict[ServiceId, BusRights]:
    """Return the rights of the platform's identities that have a user on the bus.

    Args:
        topics: Those of the ACL.
    """
    return {rights.service: rights for rights in (_metadata(), _watcher(), _admin(topics))}


def _metadata() -> BusRights:
    reads = [
        grant
        for stream in METADATA_STREAMS
        for grant in (
            Grant(direct_get(stream), f"reads {stream}"),
            Grant(direct_get(stream, ">"), f"reads {stream} by subject"),
        )
    ]
    return BusRights(
        service=names.METADATA,
        account="APP",
        publish=(
            Grant("metadata.client.>", "announces trust set, directory and deny list"),
            Grant("metadata.bundle-push.>", "tells services that their bundle changed"),
            Grant("audit.rotation.>", "writes the rotation log"),
            Grant(names.SUBJECT_WATCHER_COMMAND, "asks the watcher to reload, probe, drain, kick"),
            attestation(names.METADATA),
            *reads,
        ),
        subscribe=(
            inbox(names.METADATA),
            Grant("metadata.attest.>", "collects attestations"),
            Grant(f"{names.SUBJECT_KEY_EXCHANGE}.*", "answers requests for bundles"),
            Grant(names.SUBJECT_DIRECTORY, "answers requests for verify keys"),
            Grant("metadata.admin.>", "answers people"),
            Grant(names.SUBJECT_SERVER_REPORT, "reads the watcher's reports"),
            Grant(names.SUBJECT_TRUST_NOTICE, "hears what another instance announced"),
        ),
        allow_responses=True,
    )


def _watcher() -> BusRights:
    asks = [
        Grant(f"$SYS.REQ.SERVER.*.{verb}", f"asks servers: {verb}") for verb in _SYSTEM_REQUESTS
    ]
    pings = [
        Grant(f"$SYS.REQ.SERVER.PING.{verb}", f"asks every server: {verb}")
        for verb in _SYSTEM_PINGS
    ]
    return BusRights(
        service=names.WATCHER,
        account="SYS",
        publish=(
            *asks,
            Grant("$SYS.REQ.SERVER.PING", "finds the servers"),
            *pings,
            Grant(names.SUBJECT_SERVER_REPORT, "publishes what it observes"),
            attestation(names.WATCHER),
            # A reload makes the server forget whom its clients may answer (tried), and the command
            # may be to reload the very server that the watcher is connected to.
            Grant("_R_.>", "answers commands of the authority, across a reload"),
        ),
        subscribe=(
            inbox(names.WATCHER),
            Grant(names.SUBJECT_WATCHER_COMMAND, "takes commands of the authority"),
            Grant(names.SUBJECT_REFUSED_PEERS, "hears whom a server refused"),
        ),
        allow_responses=True,
    )


def _admin(topics: Iterable[str]) -> BusRights:
    manage = "manages streams and consumers"
    api = (
        "INFO",
        "STREAM.NAMES",
        "STREAM.LIST",
        "STREAM.CREATE.*",
        "STREAM.UPDATE.*",
        "STREAM.INFO.*",
        "STREAM.DELETE.*",
        "CONSUMER.NAMES.*",
        "CONSUMER.LIST.*",
        "CONSUMER.CREATE.>",
        "CONSUMER.DURABLE.CREATE.*.*",
        "CONSUMER.INFO.*.*",
        "CONSUMER.DELETE.*.*",
    )
    reads = [
        grant
        for stream in ADMIN_STREAMS
        for grant in (
            Grant(direct_get(stream), f"reads {stream}"),
            Grant(direct_get(stream, ">"), f"reads {stream} by subject"),
        )
    ]
    return BusRights(
        service=names.ADMIN,
        account="APP",
        publish=(
            *(Grant(f"$JS.API.{verb}", manage) for verb in api),
            *reads,
            *(
                Grant(f"$JS.API.STREAM.MSG.DELETE.{stream}", "drops a dead letter")
                for stream in DEAD_LETTER_STREAMS
            ),
            *(Grant(topic, "gives a dead letter out again") for topic in topics),
            Grant("metadata.admin.>", "asks the authority"),
        ),
        subscribe=(inbox(names.ADMIN),),
    )
