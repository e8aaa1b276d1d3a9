"""What the parts of an authority are built on in tests: a store in memory, a clock by hand."""

from __future__ import annotations

import base64
from dataclasses import dataclass

from securetransport.core.base import names
from securetransport.core.base.names import InstanceId
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.crypto import signing
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.metadata.document_store import DocumentStore, Signer
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.testing import FakeClock, FakeSecretStore

PROFILE: Profile = PROFILES["compressed"]
GATEKEEPER = InstanceId("gatekeeper/1")


@dataclass
class Desk:
    """What every part of the authority is built on."""

    clock: FakeClock
    store: FakeSecretStore
    signer: Signer
    documents: DocumentStore
    metrics: MetadataMetrics
    profile: Profile = PROFILE

    async def authority_keys(self) -> AuthorityKeys:
        """Return the public halves of the authority's signing key, as members pin them."""
        path = f"{names.TRANSIT_MOUNT}/keys/{names.AUTHORITY_SIGNING_KEY}"
        data = await self.store.read(path)
        assert data is not None
        return AuthorityKeys(
            {
                f"{names.AUTHORITY_SIGNING_KEY}:v{number}": (
                    signing.ML_DSA_65,
                    base64.b64decode(entry["public_key"]),
                )
                for number, entry in data["keys"].items()
            }
        )
