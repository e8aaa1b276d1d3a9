"""Honest fakes of the ports and builders of values; no product code imports this.

``FakeSecretStore`` passes the same contract tests as the real adapter
(``tests/integration/adapters/test_secret_store_contract.py``)::

    clock = FakeClock()
    store = FakeSecretStore(clock)
    await store.kv_put("a/b", {"n": 1}, cas=0)
    store.is_available = False                       # every call: SecretStoreUnavailableError
    reader = store.restricted(lambda operation, path: operation == "kv_get")
    clock.advance(timedelta(minutes=5))
"""

from securetransport.testing.builders import a_topic_key, an_issuer, trust_bundle
from securetransport.testing.clock import FakeClock
from securetransport.testing.store import FakeSecretStore

__all__ = ["FakeClock", "FakeSecretStore", "a_topic_key", "an_issuer", "trust_bundle"]
