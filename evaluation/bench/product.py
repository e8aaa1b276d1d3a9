"""The SDK's names that the bench uses, in the layout of whichever checkout is installed.

A bench that compares two checkouts runs in the environment of each, and an earlier one has its
names elsewhere; so they are looked up, by layout, and not imported. `tests/evaluation` checks that
the layout of this checkout is complete.
"""

from __future__ import annotations

import importlib
import importlib.util
import ssl
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Final

Layout = Mapping[str, tuple[str, str]]
"""What the bench calls it: its module below ``securetransport``, its name there; none for all."""

ROOMS: Final[Layout] = {
    "load_acl": ("core.acl", "load_acl"),
    "bundle_rules": ("core.acl", "bundle_rules"),
    "topic_rules": ("core.acl", "topic_rules"),
    "signing": ("core.crypto.signing", ""),
    "tls_identity": ("core.crypto.x509", "tls_identity"),
    "VerifyKey": ("core.formats.directory", "VerifyKey"),
    "TopicKey": ("core.formats.service_bundle", "TopicKey"),
    "DenyList": ("core.formats.deny_list", "DenyList"),
    "Acceptance": ("core.trust.opening", "Acceptance"),
    "TopicKeyring": ("core.trust.keyring", "TopicKeyring"),
    "VerifyKeyring": ("core.trust.keyring", "VerifyKeyring"),
    "PROFILES": ("core.base.profile", "PROFILES"),
    "SystemClock": ("adapters.system", "SystemClock"),
    "Bus": ("adapters.nats", "NatsBus"),
    "Publisher": ("messages.publisher", "Publisher"),
    "Consumer": ("messages.consumer", "Consumer"),
    "Ledger": ("messages.ledger", "Ledger"),
    "MessagesSection": ("messages.settings", "MessagesSection"),
    "MessageTelemetry": ("messages.telemetry", "MessageTelemetry"),
    "Credentials": ("core.ports.bus", "Credentials"),
    "SealingKeys": ("messages.keys", "SealingKeys"),
    "Source": ("messages.keys", "Source"),
}
LATER: Final[Layout] = {
    "Parking": ("messages.parking", "Parking"),
}
"""What not every edition with rooms has."""
FIRST_EDITION: Final[Layout] = {
    "load_acl": ("core.acl", "load_acl"),
    "bundle_rules": ("core.acl", "bundle_rules"),
    "topic_rules": ("core.acl", "topic_rules"),
    "signing": ("core.crypto.signing", ""),
    "tls_identity": ("core.crypto.x509", "tls_identity"),
    "VerifyKey": ("core.model", "VerifyKey"),
    "TopicKey": ("core.model", "TopicKey"),
    "DenyList": ("core.model", "DenyList"),
    "Acceptance": ("core.envelope", "Acceptance"),
    "TopicKeyring": ("core.keyring", "TopicKeyring"),
    "VerifyKeyring": ("core.keyring", "VerifyKeyring"),
    "PROFILES": ("core.profile", "PROFILES"),
    "SystemClock": ("core.clock", "SystemClock"),
    "Bus": ("adapters.nats", "Bus"),
    "Publisher": ("service.publisher", "Publisher"),
    "Consumer": ("service.consumer", "Consumer"),
    "Ledger": ("service.ledger", "Ledger"),
    "MessagesSection": ("service.settings", "MessagesSection"),
    "MessageTelemetry": ("service.telemetry", "MessageTelemetry"),
    "client_context": ("adapters.tls", "client_context"),
}


def load() -> SimpleNamespace:
    """Return the names of the installed product.

    Raises:
        ImportError: It is in neither layout.
    """
    is_first = importlib.util.find_spec("securetransport.messages") is None
    layout = FIRST_EDITION if is_first else ROOMS
    if not is_first:
        later = {name: at for name, at in LATER.items() if _is_there(at[0])}
        layout = {**layout, **later}
    return SimpleNamespace(**{name: _found(*place) for name, place in layout.items()})


def _is_there(module: str) -> bool:
    return importlib.util.find_spec(f"securetransport.{module}") is not None


def _found(module: str, name: str) -> Any:
    found = importlib.import_module(f"securetransport.{module}")
    return getattr(found, name) if name else found


async def connect(
    product: SimpleNamespace, urls: list[str], anchor: Path, leaf: tuple[Path, Path], service: str
) -> Any:
    """Return a connection of the product to the servers.

    Args:
        product: From :func:`load`.
        urls: Of the servers.
        anchor: PEM of the intermediate that is trusted.
        leaf: PEM files of certificate and key.
        service: Whose they are.
    """
    certificate, key = (path.read_text(encoding="ascii") for path in leaf)
    identity = product.tls_identity(certificate, key)
    anchors = (_der(anchor),)
    if hasattr(product, "Credentials"):
        trusted = product.Credentials(anchors, identity)
    else:
        trusted = product.client_context(list(anchors), identity)
    return await product.Bus().connect(
        urls, trusted, name=f"{service}/1", inbox_prefix=f"_INBOX.{service}"
    )


def _der(pem: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pem.read_text(encoding="ascii"))
