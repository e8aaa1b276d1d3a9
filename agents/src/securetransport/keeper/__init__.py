"""The keeper: beside each NATS server, keeps its certificate, trust and users in force.

Talks to OpenBao only, never to the bus, so a broken bus can always be repaired.
"""
