"""Honest fakes of the ports and builders of values; no product code imports this.

Every fake passes the same contract suite as the real adapter (``tests/contracts``)::

    clock = FakeClock()
    store = FakeSecretStore(clock)
    await store.kv_put("a/b", {"n": 1}, cas=0)
    store.is_available = False                       # every call: SecretStoreUnavailableError
    reader = store.restricted(lambda operation, path: operation == "kv_get")
    clock.advance(timedelta(minutes=5))

``FakeFiles`` and ``FakeServer`` say in their modules what can be done to them; the in-memory bus is
in ``securetransport.testing.bus``.
"""

from securetransport.testing.builders import a_topic_key, an_issuer, trust_bundle
from securetransport.testing.clock import FakeClock
from securetransport.testing.files import FakeFiles, ProcessDied
from securetransport.testing.machine import FakeMachine
from securetransport.testing.randomness import FakeRandomness
from securetransport.testing.servers import FakeProbe, FakeServer
from securetransport.testing.store import FakeSecretStore

__all__ = [
    "FakeClock",
    "FakeFiles",
    "FakeMachine",
    "FakeProbe",
    "FakeRandomness",
    "FakeSecretStore",
    "FakeServer",
    "ProcessDied",
    "a_topic_key",
    "an_issuer",
    "trust_bundle",
]
