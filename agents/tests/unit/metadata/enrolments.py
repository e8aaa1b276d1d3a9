"""Instances that enrol keys and sign statements, as members do."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.names import InstanceId, service_of
from securetransport.core.base.pae import pae
from securetransport.core.base.profile import PROFILES
from securetransport.core.crypto.signing import SigningKey, generate_signing_key
from securetransport.core.formats import documents
from securetransport.core.formats.body import Document, DocumentKind, Version
from securetransport.core.formats.directory import VerifyKey
from securetransport.metadata.enrolled import ENROL_TYPE
from securetransport.testing import FakeClock, FakeSecretStore

SCHEDULE = PROFILES["compressed"].key_schedule


@dataclass
class Enrolled:
    """One instance with a signing key."""

    instance: InstanceId
    clock: FakeClock
    key: SigningKey = field(default_factory=generate_signing_key)

    def entry(self, **changes: Any) -> VerifyKey:
        """Return what it enrols; ``changes`` are lies."""
        facts: dict[str, Any] = {
            "key_id": self.key.key_id,
            "service": service_of(self.instance),
            "instance": self.instance,
            "epoch": SCHEDULE.number_at(self.clock.now()),
            "algorithm": self.key.algorithm,
            "public_key": self.key.public_key,
            "created_at": self.clock.now(),
            **changes,
        }
        return VerifyKey.model_construct(**facts)  # lies, too, must get as far as the wire

    def value(self, **changes: Any) -> dict[str, Any]:
        """Return the value of the enrolment in KV."""
        entry = self.entry(**changes)
        proof = self.key.sign(pae(ENROL_TYPE, entry.to_bytes()))
        return {
            "key": entry.model_dump(mode="json"),
            "proof": base64.b64encode(proof).decode("ascii"),
        }

    async def enrol(
        self, store: FakeSecretStore, path: str | None = None, **changes: Any
    ) -> EpochNumber:
        """Write the enrolment, by default to the path that is this instance's own."""
        where = path or names.kv_enrolled_key(self.instance, self.key.key_id)
        await store.kv_put(where, self.value(**changes), cas=0)
        return self.entry(**changes).epoch

    def signed(self, kind: DocumentKind, body: Document, **changes: Any) -> bytes:
        """Return an encoded statement of this instance to the authority."""
        now = self.clock.now()
        facts: dict[str, Any] = {
            "kind": kind,
            "audience": documents.AUTHORITY,
            "version": Version(counter=1),
            "created_at": now,
            "not_after": now + timedelta(minutes=1),
            "body": body.to_bytes(),
            "signer": self.instance,
            "key": self.key,
            **changes,
        }
        return documents.encode(documents.sign_with_key(**facts))
