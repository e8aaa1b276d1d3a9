"""An in-memory bus that behaves as nats-server 2.15 does; it passes the adapter's contract suite.

    bus = FakeBus(compile_broker(acl))                 # or FakeBus(): everybody may do everything
    bus.add_stream({"name": "ORDERS", "subjects": ["orders.>"]})
    bus.add_durable("ORDERS", {"durable_name": "worker", "ack_wait": 5_000_000_000})
    connection = await bus.connect(bus.urls, credentials, name="a/1", inbox_prefix="_INBOX.a")
    connection = await bus.join("gatekeeper")          # without any certificate

    bus.servers["nats-1"].stop()                       # start, pause, resume, lame_duck, drop
    bus.servers["nats-1"].trust = (issuer_der,)        # whose certificates it accepts from now on
    bus.set_policy(other)                              # users removed, permissions changed
    bus.lose_next_ack("orders.new")                    # stored, and its receipt vanishes
    bus.faults.delay(Leg.DELIVERY, 5.0, "orders.>", count=None)
    bus.streams["ORDERS"].failures.append(ApiError(503, 10077, "maximum bytes exceeded"))
    bus.servers["nats-1"].on("CONNZ", lambda question: None)   # silent

Every wait is one of the event loop, so it runs in simulated time as well.
"""

from securetransport.testing.bus.bus import FakeBus, LoopClock
from securetransport.testing.bus.connection import FakeConnection
from securetransport.testing.bus.frames import Faults, Leg
from securetransport.testing.bus.records import ApiError
from securetransport.testing.bus.servers import BusServer

__all__ = ["ApiError", "BusServer", "FakeBus", "FakeConnection", "Faults", "Leg", "LoopClock"]
