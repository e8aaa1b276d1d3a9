"""The documents that processes exchange, as values: what each field means, not how it travels.

Bodies of the authority's signed documents are strict JSON (unknown fields are refused), so that a
person can read them with ``bao kv get``; :mod:`securetransport.core.formats.documents` wraps them
in a signed envelope. Business messages are Avro: :mod:`securetransport.core.formats.envelope`.

All bodies stand in one file, longer than others, because they are read side by side: most fields
appear in two of them.
"""

from __future__ import annotations

import base64
from enum import StrEnum
from functools import total_ordering
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, PlainSerializer, PlainValidator

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import Fingerprint, InstanceId, KeyId, ServiceId, Topic


def _to_bytes(value: object) -> bytes:
    if isinstance(value, bytes):
        return value
    if isinstance(value, str):
        return base64.b64decode(value, validate=True)
    raise ValueError("expected base64 text")


Base64Bytes = Annotated[
    bytes,
    PlainValidator(_to_bytes),
    PlainSerializer(lambda value: base64.b64encode(value).decode("ascii"), return_type=str),
]
"""Bytes in memory, standard base64 in JSON."""


class Document(BaseModel):
    """Base of every body: immutable, and an unknown field is an error.

    A field may have another name on the wire (its alias) than in code: bytes that are signed and
    stored keep the name they had when the format was fixed.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_by_name=True, serialize_by_alias=True
    )

    def to_bytes(self) -> bytes:
        """Return the body as UTF-8 JSON; these bytes are what gets signed."""
        return self.model_dump_json().encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """Parse a body.

        Raises:
            ValueError: Not JSON of this document (pydantic's ``ValidationError`` is one).
        """
        return cls.model_validate_json(data)


class DocumentKind(StrEnum):
    """Kinds of signed documents; the kind is part of what is signed, so none passes as another."""

    TRUST_BUNDLE = "trust-bundle"
    BROKER_POLICY = "broker-policy"
    SERVICE_BUNDLE = "service-bundle"
    DIRECTORY = "directory"
    DENY_LIST = "deny-list"
    ACL = "acl"
    ATTESTATION = "attestation"
    SERVER_REPORT = "server-report"
    KEY_REQUEST = "key-request"
    SEALED_BUNDLE = "sealed-bundle"
    ROTATION_EVENT = "rotation-event"


@total_ordering
class Version(Document):
    """Version of a document: compared by incarnation, then by counter.

    Attributes:
        incarnation: Rises only after a restore from a snapshot.
        counter: Rises with every new document of its kind.
    """

    incarnation: int = 0
    counter: int = 0

    def __lt__(self, other: Version) -> bool:
        """Order by incarnation, then counter."""
        return (self.incarnation, self.counter) < (other.incarnation, other.counter)

    def next(self) -> Version:
        """Return the following version of the same incarnation."""
        return Version(incarnation=self.incarnation, counter=self.counter + 1)

    def __str__(self) -> str:
        """Return ``incarnation.counter``."""
        return f"{self.incarnation}.{self.counter}"


class EpochState(StrEnum):
    """Life of a CA epoch (docs/architecture.md, "Rotation"); at most one epoch is ``active``."""

    PLANNED = "planned"
    PREPARED = "prepared"
    DISTRIBUTED = "distributed"
    CONFIRMED = "confirmed"
    ACTIVE = "active"
    LEGACY = "legacy"
    DRAINING = "draining"
    CLOSED = "closed"
    RETIRED = "retired"
    DESTROYED = "destroyed"
    ABANDONED = "abandoned"


TRUSTED_STATES = frozenset(
    {
        EpochState.DISTRIBUTED,
        EpochState.CONFIRMED,
        EpochState.ACTIVE,
        EpochState.LEGACY,
        EpochState.DRAINING,
    }
)
"""States in which servers and members accept an epoch's leaf certificates.

``closed`` (servers refuse, members still trust) needs a second list and arrives with draining.
"""


class TrustedIssuer(Document):
    """One intermediate that verifiers accept as an anchor.

    Attributes:
        epoch: Its CA epoch.
        state: Where the epoch stands.
        certificate: DER of the intermediate.
        fingerprint: SHA-256 of the DER, hex.
        common_name: Its subject common name, as a TLS handshake lists it.
        not_before: Start of validity of the certificate.
        not_after: End of validity of the certificate.
    """

    epoch: EpochNumber
    state: EpochState
    certificate: Base64Bytes
    fingerprint: Fingerprint
    common_name: str
    not_before: AwareDatetime
    not_after: AwareDatetime


class RenewalWindow(Document):
    """When members move to the newly active issuer; each picks its instant by a hash of its id.

    Attributes:
        epoch: The issuer to renew onto.
        opens_at: First instant.
        closes_at: Last instant.
    """

    epoch: EpochNumber
    opens_at: AwareDatetime
    closes_at: AwareDatetime


class TrustBundle(Document):
    """The trust set of one moment: live intermediates only, never a root.

    Attributes:
        issuers: What to trust, by rising epoch.
        active: The signing epoch, ``None`` before the first activation.
        digest: SHA-256 over the sorted DERs, hex (``core.trust.bundle.trust_digest``).
        renewal: The announced renewal window, if one is open or coming.
    """

    issuers: tuple[TrustedIssuer, ...]
    active: EpochNumber | None
    digest: str
    renewal: RenewalWindow | None = None


class UserPermissions(Document):
    """One NATS user of the compiled policy.

    Attributes:
        user: The URI SAN that maps to this user.
        service: The service it stands for.
        account: ``APP`` or ``SYS``.
        publish: Subjects it may publish to; nothing else.
        subscribe: Subjects it may subscribe to; nothing else.
        allow_responses: Whether it may answer requests on reply subjects it was sent.
    """

    user: str
    service: ServiceId
    account: Literal["APP", "SYS"]
    publish: tuple[str, ...]
    subscribe: tuple[str, ...]
    allow_responses: bool = False


class BrokerPolicy(Document):
    """Users and permissions of the servers, compiled from the ACL file.

    Attributes:
        acl_digest: SHA-256 of the ACL body it was compiled from, hex.
        users: By rising user name.
    """

    acl_digest: str
    users: tuple[UserPermissions, ...]


class VerifyKey(Document):
    """One instance's public signing key of one key epoch.

    Attributes:
        key_id: First 32 hex digits of the SHA-256 over algorithm and public key.
        service: Whose key it is.
        instance: Which replica's.
        epoch: Key epoch it was enrolled for; valid for that epoch's validity.
        algorithm: Signature algorithm, for example ``ML-DSA-65``.
        public_key: Raw public key.
        created_at: When the instance made it.
    """

    key_id: KeyId
    service: ServiceId
    instance: InstanceId
    epoch: EpochNumber
    algorithm: str
    public_key: Base64Bytes
    created_at: AwareDatetime


class DirectoryEntry(Document):
    """A verify key with the proof that the signed directory contains it.

    Attributes:
        key: The key; its epoch says which tree the proof belongs to.
        index: Its leaf index in that tree.
        proof: Sibling hashes from the leaf upwards (RFC 6962 inclusion proof).
    """

    key: VerifyKey
    index: int
    proof: tuple[Base64Bytes, ...]


class DirectoryTree(Document):
    """The verify keys of one key epoch.

    Attributes:
        size: Number of keys.
        root: Merkle tree hash over the keys' bodies, sorted by key id.
    """

    size: int
    root: Base64Bytes


class Directory(Document):
    """The verify keys that messages may be signed with, and the topic rules they may name.

    A late reader needs keys of epochs long past, so there is one small tree per epoch: a new key
    changes the proofs of its own epoch only.

    Attributes:
        trees: Per key epoch its tree; epochs as long past as a message may wait to be read.
        key_ids: Ids of the keys of valid epochs and the next one; members pull those they miss.
        topic_policies: Per topic the digests of its rules that are accepted now.
    """

    trees: dict[EpochNumber, DirectoryTree]
    key_ids: tuple[KeyId, ...]
    topic_policies: dict[Topic, tuple[str, ...]]


class DeniedLeaf(Document):
    """One denied instance leaf."""

    fingerprint: Fingerprint
    denied_at: AwareDatetime
    why: str


class DenyList(Document):
    """Services and instances that are refused, whatever else says yes.

    Attributes:
        services: Service id to the instant of its revocation.
        leaf_certificates: Denied leaf certificates.
        key_ids: Denied signing keys with the instant of denial.
    """

    services: dict[ServiceId, AwareDatetime] = {}
    leaf_certificates: tuple[DeniedLeaf, ...] = Field(
        default=(), validation_alias="leafs", serialization_alias="leafs"
    )
    key_ids: dict[KeyId, AwareDatetime] = {}


class TopicKey(Document):
    """Key bytes of one (topic, key epoch, generation).

    Attributes:
        topic: The topic.
        epoch: Key epoch.
        generation: Rises when a holder was revoked inside an epoch.
        secret: 32 random bytes. Never logged, never in an error.
    """

    topic: Topic
    epoch: EpochNumber
    generation: int
    secret: Base64Bytes

    def __repr__(self) -> str:
        """Return the key's name without its bytes."""
        return f"TopicKey({self.topic}, epoch={self.epoch}, generation={self.generation})"

    __str__ = __repr__


class TopicRule(Document):
    """Who may produce and consume one topic.

    Attributes:
        topic: The topic, which is also the NATS subject.
        stream: The stream that keeps it.
        producers: Services whose signature is accepted.
        consumers: Service to the durable it pulls from.
        digest: SHA-256 of this rule's canonical form, hex; messages carry it.
    """

    topic: Topic
    stream: str
    producers: tuple[ServiceId, ...]
    consumers: dict[ServiceId, str]
    digest: str


class ServiceBundle(Document):
    """What one service may do, and the secret keys it needs for it.

    Attributes:
        service: For whom.
        rules: The rules of every topic it produces or consumes.
        topic_keys: Key bytes for these topics: all valid epochs, and the next one in its lead.
        key_epoch: The key epoch when this was made.
        acl_digest: SHA-256 of the ACL body.
    """

    service: ServiceId
    rules: tuple[TopicRule, ...]
    topic_keys: tuple[TopicKey, ...]
    key_epoch: EpochNumber
    acl_digest: str


class KeyRequest(Document):
    """A member asks for its bundle; signed by its enrolled key.

    Attributes:
        instance: Who asks.
        kem: KEM algorithm, for example ``ML-KEM-768``.
        kem_public_key: Fresh public key; its private half is used once.
        nonce: 32 random bytes.
        requested_at: When; refused outside skew + 5 min, and a nonce is answered once.
        known_version: Version of the bundle it has, if any.
    """

    instance: InstanceId
    kem: str
    kem_public_key: Base64Bytes
    nonce: Base64Bytes
    requested_at: AwareDatetime
    known_version: Version | None = None


class SealedBundle(Document):
    """Answer to a :class:`KeyRequest`.

    Attributes:
        kem_ciphertext: Encapsulation to the request's public key.
        nonce: AES-GCM nonce, 12 bytes.
        ciphertext: The signed ServiceBundle document, encrypted; AAD is the request's SHA-256.
        request_digest: SHA-256 of the request as it was signed, hex.
    """

    kem_ciphertext: Base64Bytes
    nonce: Base64Bytes
    ciphertext: Base64Bytes
    request_digest: str


class Attestation(Document):
    """An instance's statement of what it verifies with.

    Attributes:
        instance: Who says it.
        boot_id: Random per process.
        digest: The trust digest D it verifies with.
        bundle_version: Version of the TrustBundle it loaded.
        leaf_fingerprints: SHA-256 of every leaf DER it is connected with, or about to be, hex.
        certificates: Their DERs, same order; the authority verifies the chain itself.
        attested_at: When.
    """

    instance: InstanceId
    boot_id: str
    digest: str
    bundle_version: Version
    leaf_fingerprints: tuple[Fingerprint, ...] = Field(
        validation_alias="leafs", serialization_alias="leafs"
    )
    certificates: tuple[Base64Bytes, ...]
    attested_at: AwareDatetime


class ServerConnection(Document):
    """One live client connection as a server reports it.

    Attributes:
        cid: The server's connection number.
        user: The mapped user (URI SAN).
        leaf: SHA-256 of the leaf the peer presented, hex; ``None`` if the server did not say.
        started_at: When it connected, by the server's clock.
    """

    cid: int
    user: str
    leaf: Fingerprint | None
    started_at: AwareDatetime


class ServerObservation(Document):
    """What the watcher saw of one server.

    Attributes:
        server: Its name.
        reachable: It answered the system account within the time-out.
        seen_by_peers: Some other server has a route to it; ``None`` when no peer answered.
        reload_error: The RELOAD answer's error, if the last reload failed.
        client_names: CA common names the client port lists; ``None`` when the probe failed.
        route_names: CA common names the route port lists; ``None`` when the probe failed.
        served_issuer: Issuer common name of the leaf the client port serves.
        route_served_issuer: Issuer common name of the leaf the route port serves.
        connections: Live client connections; ``None`` when unknown.
    """

    server: str
    reachable: bool
    seen_by_peers: bool | None = None
    reload_error: str | None = None
    client_names: tuple[str, ...] | None = None
    route_names: tuple[str, ...] | None = None
    served_issuer: str | None = None
    route_served_issuer: str | None = None
    connections: tuple[ServerConnection, ...] | None = None


class ServerReport(Document):
    """One round of the watcher over all servers.

    Attributes:
        reported_at: When the round ended.
        servers: By rising name.
    """

    reported_at: AwareDatetime
    servers: tuple[ServerObservation, ...]


class KeeperAttestation(Document):
    """What one keeper put in force beside its server; written to OpenBao, where only it may write.

    Attributes:
        server: Its server.
        digest: Trust digest of the files in force.
        bundle_version: Version of the TrustBundle in force.
        policy_version: Version of the BrokerPolicy in force.
        leaf: SHA-256 of the server leaf in force, hex.
        leaf_epoch: CA epoch that signed it.
        leaf_not_after: When it ends.
        is_served: The keeper's own probe saw the files in force on the running server.
        attested_at: When.
    """

    server: str
    digest: str
    bundle_version: Version
    policy_version: Version
    leaf: Fingerprint
    leaf_epoch: EpochNumber
    leaf_not_after: AwareDatetime
    is_served: bool
    attested_at: AwareDatetime
