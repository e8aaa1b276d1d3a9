"""Names that must be the same everywhere: identities, subjects, OpenBao's paths, the issuer's name.

The one place that says what a name may look like: the ACL, the settings, documents and headers ask
the ``parse_…`` functions here, so what one of them accepts, all accept. They judge the whole text:
a line feed at its end is a part of it.

One service has one name: the URI SAN ``spiffe://<trust domain>/<service>``, the NATS user, the
AppRole, the policy, the service account and the message signer are all derived from its
:data:`ServiceId`. Nothing is authorised by a common name.
"""

from __future__ import annotations

import re
from typing import NewType

from securetransport.core.base.epochs import EpochNumber

ServiceId = NewType("ServiceId", str)
InstanceId = NewType("InstanceId", str)
Subject = NewType("Subject", str)
Topic = NewType("Topic", str)
KeyId = NewType("KeyId", str)
Fingerprint = NewType("Fingerprint", str)

_LABEL = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_INSTANCE_LABEL = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_TOKEN = re.compile(r"[a-z0-9]+([_-][a-z0-9]+)*")
_DURABLE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
_STREAM = re.compile(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)*")
_DOMAIN = re.compile(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*")
_MAX_LABEL = 40
_MAX_DURABLE = 63
_MAX_DOMAIN = 255
MAX_COMMON_NAME = 64
"""Of a certificate; X.509's own limit."""

METADATA = ServiceId("metadata")
KEEPER = ServiceId("keeper")
WATCHER = ServiceId("watcher")
NATS_SERVER = ServiceId("nats")
PROBE = ServiceId("probe")
ADMIN = ServiceId("admin")
PLATFORM_SERVICES = frozenset({METADATA, KEEPER, WATCHER, NATS_SERVER, PROBE, ADMIN})

RESERVED_NAMES = PLATFORM_SERVICES | {
    "ansible-admin",  # Ansible's own policy and login in OpenBao
    "default",  # policies that OpenBao brings along
    "response-wrapping",
    "root",
    "administrator",  # signers and audiences of documents, which service ids stand beside
    "all",
    "authority",
    "system",  # NATS: the system account's own word
}
"""Names that no service and no client of an ACL may have: one identity has one meaning."""


def parse_service(text: str) -> ServiceId:
    """Return ``text`` as a service id.

    Raises:
        ValueError: Not lower-case letters, digits and single hyphens, or longer than 40.
    """
    if len(text) > _MAX_LABEL or not _LABEL.fullmatch(text):
        raise ValueError(f"service {text!r} is not lower-case letters, digits and single hyphens")
    return ServiceId(text)


def parse_free_service(text: str) -> ServiceId:
    """Return ``text`` as the id of a service or client that an ACL may define.

    Raises:
        ValueError: As :func:`parse_service`, or the name belongs to the platform.
    """
    service = parse_service(text)
    if service in RESERVED_NAMES:
        raise ValueError(f"{text!r} is a name of the platform; choose another")
    return service


def parse_trust_domain(text: str) -> str:
    """Return ``text`` as a trust domain, the authority part of every SPIFFE id.

    Raises:
        ValueError: Not a lower-case domain name, or longer than 255.
    """
    if len(text) > _MAX_DOMAIN or not _DOMAIN.fullmatch(text):
        raise ValueError(f"{text!r} is not a lower-case domain name")
    return text


def parse_stream(text: str) -> str:
    """Return ``text`` as the name of an ACL's stream.

    Raises:
        ValueError: Not upper-case letters, digits and single underscores.
    """
    if not _STREAM.fullmatch(text):
        raise ValueError("a stream is upper-case letters, digits and underscores")
    return text


def parse_durable(text: str) -> str:
    """Return ``text`` as the name of a durable.

    Raises:
        ValueError: Not letters, digits, hyphens and underscores, or longer than 63.
    """
    if len(text) > _MAX_DURABLE or not _DURABLE.fullmatch(text):
        raise ValueError(
            f"durable {text!r} is not 1 to {_MAX_DURABLE} letters, digits, hyphens and underscores"
        )
    return text


def parse_topic(text: str) -> Topic:
    """Return ``text`` as a topic: two or more lower-case subject tokens, no wildcard.

    Raises:
        ValueError: A token is empty, a wildcard, or holds other characters.
    """
    tokens = text.split(".")
    if len(tokens) < 2 or not all(_TOKEN.fullmatch(token) for token in tokens):
        raise ValueError(f"topic {text!r} is not two or more lower-case tokens joined by dots")
    return Topic(text)


def parse_replica(text: str) -> str:
    """Return ``text`` as the name of one instance within its service, for example ``1``.

    Raises:
        ValueError: Not lower-case letters, digits and single hyphens, or longer than 40.
    """
    if len(text) > _MAX_LABEL or not _INSTANCE_LABEL.fullmatch(text):
        raise ValueError(f"instance {text!r} is not lower-case letters, digits and hyphens")
    return text


def instance_id(service: ServiceId, instance: str) -> InstanceId:
    """Return ``<service>/<instance>``.

    Raises:
        ValueError: ``instance`` is not the name of one, see :func:`parse_replica`, or both together
            are longer than the common name of a certificate may be.
    """
    text = f"{service}/{parse_replica(instance)}"
    if len(text) > MAX_COMMON_NAME:
        raise ValueError(f"instance {text!r} is longer than {MAX_COMMON_NAME} characters")
    return InstanceId(text)


def service_of(instance: InstanceId) -> ServiceId:
    """Return the service part of an instance id."""
    return ServiceId(instance.split("/", 1)[0])


def replica_of(instance: InstanceId) -> str:
    """Return the part of an instance id after the service."""
    return instance.split("/", 1)[1]


def instance_role(instance: InstanceId) -> str:
    """Return the name of an instance's AppRole, PKI role and policy, ``<service>--<instance>``.

    No service can be called like it: two hyphens in a row are in no service's name.
    """
    return f"{service_of(instance)}--{replica_of(instance)}"


def spiffe_id(trust_domain: str, service: ServiceId) -> str:
    """Return the URI SAN of a service, which is also its NATS user."""
    return f"spiffe://{trust_domain}/{service}"


def issuer_common_name(epoch: EpochNumber, key_digest: str) -> str:
    """Return the common name of an intermediate CA.

    It carries the epoch and the first 16 hex digits of the SHA-256 of the public key, so that the
    trust set in force can be read from any TLS handshake (docs/architecture.md, "Trust").
    """
    return f"nats-int e{epoch} {key_digest[:16]}"


# --- OpenBao ---------------------------------------------------------------------------------

PKI_ROOT_MOUNT = "pki"
PKI_MOUNT = "nats_int"
KV_MOUNT = "secret"
TRANSIT_MOUNT = "transit"
APPROLE_MOUNT = "approle"
AUTHORITY_SIGNING_KEY = "authority-signing"
AUTHORITY_ROOT_KEY = "authority-root"

KV_ACL = "acl/current"
KV_TRUST_BUNDLE = "trust/bundle"
KV_BROKER_POLICY = "broker/policy"
KV_CA_RECORD = "rotation/ca"
KV_DENY_LIST = "deny/list"
KV_DIRECTORY = "directory/current"


def service_transit_key(service: ServiceId) -> str:
    """Return the transit key that encrypts a service's bundle copy."""
    return f"svc-{service}"


def kv_keeper_attestation(server: str) -> str:
    """Return where the keeper of ``server`` states what it verifies with."""
    return f"attest/keeper/{server}"


def kv_enrolled_key(instance: InstanceId, key_id: KeyId) -> str:
    """Return where an instance enrols one verify key; it alone may write there, and only create."""
    return f"enroll/{instance}/{key_id}"


def kv_offered_secret_id(instance: InstanceId) -> str:
    """Return where the authority lays a wrapped secret-id; only this instance may read it."""
    return f"secret-ids/offered/{instance}"


def kv_proven_secret_id(instance: InstanceId) -> str:
    """Return where an instance states which secret-id it has logged in with."""
    return f"secret-ids/proven/{instance}"


def kv_directory_entry(key_id: KeyId) -> str:
    """Return where one verify key lies with its inclusion proof."""
    return f"directory/keys/{key_id}"


def kv_topic_key(topic: Topic, epoch: EpochNumber) -> str:
    """Return where the generations of one topic key lie; only the authority reads it."""
    return f"topic-keys/{topic}/{epoch}"


def kv_destroyed_keys(topic: Topic) -> str:
    """Return where it is remembered which generations of a topic's keys were destroyed."""
    return f"topic-keys/{topic}"


def kv_service_bundle(service: ServiceId) -> str:
    """Return the copy of a service's bundle for when the bus is down."""
    return f"bundles/{service}"


# --- NATS ------------------------------------------------------------------------------------

ACCOUNT_APP = "APP"
ACCOUNT_SYSTEM = "SYS"

SUBJECT_TRUST_NOTICE = Subject("metadata.client.ca-cert")
SUBJECT_DIRECTORY_NOTICE = Subject("metadata.client.directory")
SUBJECT_DENY_LIST_NOTICE = Subject("metadata.client.deny-list")
SUBJECT_KEY_EXCHANGE = Subject("metadata.key-exchange.metadata")
SUBJECT_DIRECTORY = Subject("metadata.directory.key")
SUBJECT_STATUS = Subject("metadata.admin.status")
SUBJECT_SERVER_REPORT = Subject("observe.servers")
SUBJECT_WATCHER_COMMAND = Subject("watcher.command")
SUBJECT_REFUSED_PEERS = Subject("$SYS.SERVER.*.CLIENT.AUTH.ERR")
SUBJECT_ROTATION_LOG = Subject("audit.rotation.ca")

STREAM_CA_CLIENT = "METADATA_CA_CLIENT"
STREAM_ATTESTATIONS = "ATTESTATIONS"
STREAM_ROTATION_LOG = "ROTATION_LOG"
STREAM_DEAD_LETTERS = "DEAD_LETTERS"
STREAM_LARGE_LETTERS = "DEAD_LETTERS_LARGE"
LARGE_LETTER = "large"


def subject_attestation(instance: InstanceId) -> Subject:
    """Return where an instance publishes its attestation."""
    return Subject(f"metadata.attest.{service_of(instance)}.{replica_of(instance)}")


def subject_key_exchange(service: ServiceId) -> Subject:
    """Return where a service asks for its bundle; nobody else may publish there."""
    return Subject(f"{SUBJECT_KEY_EXCHANGE}.{service}")


def subject_bundle_push(service: ServiceId) -> Subject:
    """Return where a service is told that its bundle changed."""
    return Subject(f"metadata.bundle-push.{service}")


ACCOUNT_NEWER = "_newer"
ACCOUNT_LATE = "_late"
ACCOUNT_UNVERIFIED = "_unverified"
"""Last tokens of dead letters that no service is answerable for; no service has such a name."""


def subject_dead_letter(stream: str, durable: str, account: str, *, is_large: bool) -> Subject:
    """Return where a durable parks what it cannot settle, by who is answerable for it."""
    return Subject(f"dlq.{stream}.{durable}.{account}" + (f".{LARGE_LETTER}" if is_large else ""))


def inbox_prefix(service: ServiceId) -> str:
    """Return the inbox prefix that only this service may subscribe to."""
    return f"_INBOX.{service}"
