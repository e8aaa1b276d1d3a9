"""The message envelope: what business messages look like on the bus, and which are accepted.

``seal`` and ``open_message`` are the two ends; docs/wire-format.md has every byte and the order of
the receiver's checks.
"""

from securetransport.core.envelope.header import (
    MessageHeader,
    derive_message_id,
    new_message_id,
)
from securetransport.core.envelope.opening import (
    MAX_MESSAGE_BYTES,
    Acceptance,
    OpenedMessage,
    Received,
    Refusal,
    open_message,
    refusal_code,
)
from securetransport.core.envelope.sealing import MAX_BATCH, seal, seal_batch
from securetransport.core.envelope.suites import SUITE_CNSA2, SUITE_DEFAULT, SUITES, Suite

__all__ = [
    "MAX_BATCH",
    "MAX_MESSAGE_BYTES",
    "SUITES",
    "SUITE_CNSA2",
    "SUITE_DEFAULT",
    "Acceptance",
    "MessageHeader",
    "OpenedMessage",
    "Received",
    "Refusal",
    "Suite",
    "derive_message_id",
    "new_message_id",
    "open_message",
    "refusal_code",
    "seal",
    "seal_batch",
]
