"""An authority's parts on a store in memory and a clock that stands still."""

from __future__ import annotations

import pytest
from authority_desk import Desk
from prometheus_client import CollectorRegistry

from securetransport.core.base import names
from securetransport.metadata.document_store import DocumentStore, Signer
from securetransport.metadata.telemetry import MetadataMetrics
from securetransport.testing import FakeClock, FakeSecretStore


@pytest.fixture
async def desk() -> Desk:
    clock = FakeClock()
    store = FakeSecretStore(clock)
    key = f"{names.TRANSIT_MOUNT}/keys/{names.AUTHORITY_SIGNING_KEY}"
    await store.write(key, {"type": "mldsa-65"})
    store.calls.clear()
    signer = Signer(store, clock)
    metrics = MetadataMetrics(CollectorRegistry())
    return Desk(clock, store, signer, DocumentStore(store, signer, clock), metrics)
