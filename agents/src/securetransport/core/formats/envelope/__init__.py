"""The message envelope: what business messages look like on the bus.

``seal`` makes one; ``core.trust.opening`` judges one. docs/wire-format.md has every byte.
"""

from securetransport.core.formats.envelope.header import (
    MessageHeader,
    derive_message_id,
    new_message_id,
)
from securetransport.core.formats.envelope.sealing import MAX_BATCH, seal, seal_batch
from securetransport.core.formats.envelope.suites import SUITE_CNSA2, SUITE_DEFAULT, SUITES, Suite

__all__ = [
    "MAX_BATCH",
    "SUITES",
    "SUITE_CNSA2",
    "SUITE_DEFAULT",
    "MessageHeader",
    "Suite",
    "derive_message_id",
    "new_message_id",
    "seal",
    "seal_batch",
]
