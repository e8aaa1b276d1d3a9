"""Certificates and keys that live for minutes on a NATS bus, without an outage."""

__version__ = "0.1.0"
