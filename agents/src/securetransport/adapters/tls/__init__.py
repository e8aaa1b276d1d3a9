"""TLS: contexts that trust exactly the live intermediates, and probes of what a server does.

Usage::

    context = client_context(issuer_ders, identity)           # for the bus connection
    result = await probe("127.0.0.1", 4222, kind="client", timeout_seconds=2)
    result.ca_names, result.issuer_common_name, result.error  # the trust set in force, seen outside
    word = await accepted("127.0.0.1", 4222, identity, issuer_ders)   # "accepted", "expired", …
"""

from securetransport.adapters.tls.acceptance import accepted
from securetransport.adapters.tls.context import client_context
from securetransport.adapters.tls.probe import HandshakeProbe, probe

__all__ = ["HandshakeProbe", "accepted", "client_context", "probe"]
