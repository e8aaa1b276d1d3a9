"""Topic keys, the directory and the services' bundles.

Runs on the acting instance only; others serve requests from what lies in KV.
"""

from __future__ import annotations

import base64
import os
from dataclasses import dataclass, replace

from securetransport.core.acl import CompiledAcl
from securetransport.core.base import names
from securetransport.core.base.entropy import Entropy
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import (
    ConflictError,
    DocumentTooLargeError,
    SecureTransportError,
)
from securetransport.core.base.names import ServiceId, Topic
from securetransport.core.base.profile import Profile
from securetransport.core.decisions import topic_keys
from securetransport.core.decisions.topic_keys import (
    Destroyed,
    KeyShare,
    first_generation,
    keys_for,
    wanted_epochs,
)
from securetransport.core.formats import documents
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import Directory
from securetransport.core.formats.service_bundle import ServiceBundle, TopicKey
from securetransport.core.ports import SecretStore
from securetransport.core.ports.clock import Clock
from securetransport.core.trust.directory import build_directory, select_enrolled
from securetransport.metadata.agreed_time import AgreedTime
from securetransport.metadata.document_store import DocumentStore, Signer, StoredDocument
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.runtime.logs import get_logger

_SECRET_BYTES = 32
_DIRECTORY = "the directory"
_SIGNERS = frozenset({names.METADATA, names.WATCHER})


@dataclass(frozen=True, slots=True)
class MadeBundle:
    """A service's bundle document, as signed last."""

    body: bytes
    version: Version
    data: bytes


class KeyRotation:
    """Makes keys by epoch and what tells members about them."""

    def __init__(  # noqa: PLR0913  # one argument per collaborator, all made in app.py
        self,
        *,
        store: SecretStore,
        clock: Clock,
        profile: Profile,
        document_store: DocumentStore,
        signer: Signer,
        enrolled: EnrolledKeys,
        entropy: Entropy = os.urandom,
    ) -> None:
        self._entropy = entropy
        self._store = store
        self._clock = clock
        self._profile = profile
        self._document_store = document_store
        self._signer = signer
        self._enrolled = enrolled
        self._agreed_time = AgreedTime(store, clock, profile.clock_skew)
        self._topic_keys: dict[tuple[Topic, EpochNumber], tuple[TopicKey, ...]] = {}
        self._bundles: dict[ServiceId, MadeBundle] = {}
        self._policies: dict[Topic, dict[str, EpochNumber]] = {}
        self._written_entries: dict[str, str] = {}
        self._recalled: set[Topic] = set()
        self._log = get_logger(kind="keys")
        self.directory: StoredDocument | None = None
        self.completed: set[EpochNumber] = set()
        self.too_large: dict[str, str] = {}
        self.owed: dict[ServiceId, Version] = {}
        self.cut_short: set[ServiceId] = set()

    def topic_keys(self) -> tuple[TopicKey, ...]:
        """Return every topic key held."""
        return tuple(key for keys in self._topic_keys.values() for key in keys)

    async def ensure_topic_keys(self, acl: CompiledAcl) -> None:
        """Make the keys that must exist now, and read those that exist already."""
        for topic in sorted(acl.topics):
            await self._recall(topic)
        self._agreed_time.watch()
        now = self._clock.now()
        seen = topic_keys.Observation(
            now, acl.topics, frozenset(self._topic_keys), acl.longest_wait
        )
        if topic_keys.is_any_overdue(seen, self._profile):
            seen = replace(seen, agreed_at=await self._agreed_time.read())
        while True:
            seen = replace(seen, held=frozenset(self._topic_keys))
            match topic_keys.decide(seen, self._profile):
                case topic_keys.MakeKey(topic, epoch):
                    self._topic_keys[topic, epoch] = await self._make_or_read(topic, epoch)
                case topic_keys.DestroyKey(topic, epoch):
                    await self._destroy(topic, epoch)
                case _:
                    break
        for epoch in wanted_epochs(self._profile, now):
            if epoch not in self.completed:
                self.completed.add(epoch)
                self._log.info("key_epoch_ready", epoch=epoch)

    async def ensure_directory(self, acl: CompiledAcl, deny: DenyList) -> None:
        """Publish the directory if enrolments or rules changed."""
        now = self._clock.now()
        is_overdue = self._enrolled.is_any_overdue(now - acl.longest_wait)
        agreed_at = await self._agreed_time.read() if is_overdue else None
        await self._enrolled.refresh(now, acl.longest_wait, agreed_at)
        services = frozenset(acl.acl.services) | _SIGNERS
        keys = select_enrolled(self._enrolled.keys, services, deny, self._profile, now)
        announced = wanted_epochs(self._profile, now)
        tree = build_directory(keys, self._accepted_policies(acl), announced)
        for key_id, entry in tree.entries.items():
            text = entry.model_dump_json()
            if self._written_entries.get(key_id) != text:
                await self._overwrite(
                    names.kv_directory_entry(key_id), {"entry": entry.model_dump(mode="json")}
                )
                self._written_entries[key_id] = text
        for gone in set(self._written_entries) - set(tree.entries):
            await self._store.kv_destroy(f"directory/keys/{gone}")
            del self._written_entries[gone]
        try:
            self.directory = await self._document_store.publish(
                names.KV_DIRECTORY,
                DocumentKind.DIRECTORY,
                tree.directory,
                self._profile.key_validity,
            )
        except DocumentTooLargeError as err:
            # Members go on with the one in force until it ends; bundles do not wait for it.
            self.too_large[_DIRECTORY] = str(err)
            self._log.error("directory_too_large", kind="directory", reason=str(err))
        else:
            self.too_large.pop(_DIRECTORY, None)

    async def ensure_bundles(self, acl: CompiledAcl) -> list[tuple[ServiceId, Version]]:
        """Sign and store every service's bundle that changed; returns those of this call.

        Whom to tell stands in ``owed`` as well, until he was told. A service whose bundle fails
        does not keep the others from theirs.

        Raises:
            SecureTransportError: The first failure, after every service had its turn.
        """
        changed: list[tuple[ServiceId, Version]] = []
        failed: SecureTransportError | None = None
        for service in acl.acl.services:
            try:
                made = await self._make_bundle(acl, service)
            except DocumentTooLargeError as err:
                # That service keeps what it has; the others get theirs.
                self.too_large.setdefault(service, str(err))
                self._log.error("bundle_too_large", kind="service-bundle", reason=str(err))
                continue
            except SecureTransportError as err:
                failed = failed or err
                continue
            self.too_large.pop(service, None)
            if made is not None:
                self.owed[service] = made.version
                changed.append((service, made.version))
        for gone in set(self._bundles) - set(acl.acl.services):
            del self._bundles[gone]
            self.owed.pop(gone, None)
        if failed is not None:
            raise failed
        return changed

    def told(self, service: ServiceId, version: Version) -> None:
        """Note that a service was told of its bundle; a newer one is still owed."""
        if self.owed.get(service) == version:
            del self.owed[service]

    def bundle_of(self, service: ServiceId) -> bytes | None:
        """Return the encoded, signed ServiceBundle document, ``None`` for an unknown service."""
        made = self._bundles.get(service)
        return made.data if made else None

    async def _make_bundle(self, acl: CompiledAcl, service: ServiceId) -> MadeBundle | None:
        rules = acl.bundle_rules(service)
        share = keys_for(rules, self._wanted_keys())
        self._note_share(service, share)
        body = ServiceBundle(
            service=service,
            rules=rules,
            topic_keys=share.keys,
            key_epoch=self._profile.key_schedule.number_at(self._clock.now()),
            acl_digest=acl.digest,
        ).to_bytes()
        held = self._bundles.get(service) or await self._stored_bundle(service)
        if held is not None and held.body == body:
            self._bundles[service] = held
            return None
        version = held.version.next() if held else Version(counter=1)
        document = await self._signer.sign(
            DocumentKind.SERVICE_BUNDLE, service, version, body, self._profile.key_validity
        )
        made = MadeBundle(body, version, documents.encode(document))
        key = names.service_transit_key(service)
        ciphertext = await self._store.transit_encrypt(key, made.data)
        await self._overwrite(names.kv_service_bundle(service), _copy(ciphertext, version))
        self._bundles[service] = made
        return made

    def _note_share(self, service: ServiceId, share: KeyShare) -> None:
        """Tell once that a service cannot open what waited longest."""
        is_cut = share.left_out_before is not None
        if is_cut and service not in self.cut_short:
            self._log.warning("bundle_keys_left_out", reason=service, epoch=share.left_out_before)
        (self.cut_short.add if is_cut else self.cut_short.discard)(service)

    async def _stored_bundle(self, service: ServiceId) -> MadeBundle | None:
        """Return the version to continue from; the content is the service's alone to decrypt."""
        entry = await self._store.kv_get(names.kv_service_bundle(service))
        if entry is None:
            return None
        return MadeBundle(b"", Version.model_validate(entry.value["version"]), b"")

    def _wanted_keys(self) -> tuple[TopicKey, ...]:
        """Return what a holder needs: keys to come, in force, and of messages still waiting."""
        return self.topic_keys()

    def _accepted_policies(self, acl: CompiledAcl) -> dict[Topic, tuple[str, ...]]:
        """Return each topic's rule digests that messages may carry: now's, and the last ones'.

        A digest stays accepted for a key validity after it was last in force, so that an ACL
        change does not refuse messages on their way.
        """
        schedule = self._profile.key_schedule
        now = self._clock.now()
        current = schedule.number_at(now)
        for topic, rule in acl.rules.items():
            self._policies.setdefault(topic, {})[rule.digest] = current
        for digests in self._policies.values():
            for digest, epoch in list(digests.items()):
                if now >= schedule.expiry_of(epoch):
                    del digests[digest]
        return {topic: tuple(sorted(digests)) for topic, digests in sorted(self._policies.items())}

    async def recall_policies(self) -> None:
        """Take over the digests of the directory in KV, so that a restart forgets none."""
        if self.directory is not None:
            return
        stored = await self._document_store.read(names.KV_DIRECTORY)
        if stored is None:
            return
        current = self._profile.key_schedule.number_at(self._clock.now())
        for topic, digests in Directory.from_bytes(stored.document.body).topic_policies.items():
            for digest in digests:
                self._policies.setdefault(topic, {})[digest] = current

    async def _recall(self, topic: Topic) -> None:
        """Read the kept keys of earlier epochs, once after a start."""
        if topic in self._recalled:
            return
        for name in await self._store.kv_list(f"topic-keys/{topic}"):
            epoch = EpochNumber(int(name))
            self._topic_keys[topic, epoch] = await self._make_or_read(topic, epoch)
        self._recalled.add(topic)

    async def _make_or_read(self, topic: Topic, epoch: EpochNumber) -> tuple[TopicKey, ...]:
        path = names.kv_topic_key(topic, epoch)
        entry = await self._store.kv_get(path)
        if entry is None:
            secret = base64.b64encode(self._entropy(_SECRET_BYTES)).decode("ascii")
            first = first_generation((await self._destroyed(topic))[0], epoch)
            try:
                await self._store.kv_put(path, {"generations": [secret], "first": first}, cas=0)
            except ConflictError:
                self._log.info("topic_key_exists", topic=topic, epoch=epoch)
            entry = await self._store.kv_get(path)
        if entry is None:
            raise SecureTransportError("topic key vanished after it was written", path=path)
        return tuple(
            TopicKey(topic=topic, epoch=epoch, generation=number, secret=base64.b64decode(text))
            for number, text in enumerate(entry.value["generations"], entry.value.get("first", 0))
        )

    async def _destroy(self, topic: Topic, epoch: EpochNumber) -> None:
        """Destroy a key; that its generations are used up is written before."""
        destroyed, cas = await self._destroyed(topic)
        last = max((key.generation for key in self._topic_keys[topic, epoch]), default=0)
        after = (destroyed or Destroyed(epoch, 0)).with_key(epoch, last)
        if after != destroyed:
            value: dict[str, object] = {"through": after.through, "generation": after.generation}
            await self._store.kv_put(names.kv_destroyed_keys(topic), value, cas=cas)
        await self._store.kv_destroy(names.kv_topic_key(topic, epoch))
        del self._topic_keys[topic, epoch]

    async def _destroyed(self, topic: Topic) -> tuple[Destroyed | None, int]:
        """Return what is remembered of a topic's destroyed keys, and for the next write."""
        entry = await self._store.kv_get(names.kv_destroyed_keys(topic))
        if entry is None:
            return None, 0
        value = entry.value
        return Destroyed(EpochNumber(value["through"]), int(value["generation"])), entry.cas

    async def _overwrite(self, path: str, value: dict[str, object]) -> None:
        entry = await self._store.kv_get(path)
        await self._store.kv_put(path, value, cas=entry.cas if entry else 0)


def _copy(ciphertext: str, version: Version) -> dict[str, object]:
    return {"ciphertext": ciphertext, "version": version.model_dump()}
