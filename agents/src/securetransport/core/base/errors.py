"""Every error this project raises on purpose, and what may be done about it.

::

    SecureTransportError
    ├── ConfigError                  at start; exit code 78; one line per wrong field
    ├── TransientError               the only family that is retried
    │   ├── BusUnavailableError
    │   └── SecretStoreUnavailableError
    ├── ConflictError                compare-and-swap lost: read again, decide anew
    ├── PermissionDeniedError        a server refused by policy; retrying does not help
    ├── NotFoundError                the thing asked for does not exist
    ├── DocumentTooLargeError        what there is to say does not fit; the document in force stays
    ├── RejectedDocumentError        a signed document was refused; the one in force stays
    ├── RejectedMessageError         peer input refused: counted by reason, never retried
    │   ├── MalformedMessageError
    │   ├── UnknownKeyError
    │   ├── EpochOutOfWindowError
    │   ├── SignatureError
    │   ├── DecryptionError
    │   ├── ReplayError
    │   └── NotPermittedError
    └── RotationError                a step failed; the loop logs, counts and goes on

An error carries its facts as ``fields``; the text is built from them, in lower case, without a full
stop and without key material.
"""

from __future__ import annotations

from typing import ClassVar


class SecureTransportError(Exception):
    """Base of every error of this project.

    Attributes:
        fields: The facts, by name; printed after the message and given to logs as they are.
    """

    def __init__(self, message: str, **fields: object) -> None:
        self.message = message
        self.fields = fields
        super().__init__(message)

    def __str__(self) -> str:
        """Return the message followed by its fields as ``name=value``."""
        if not self.fields:
            return self.message
        facts = ", ".join(f"{name}={value}" for name, value in self.fields.items())
        return f"{self.message} ({facts})"


class ConfigError(SecureTransportError):
    """The configuration is wrong; ``problems`` has one line per wrong field."""

    EXIT_CODE: ClassVar[int] = 78  # EX_CONFIG of sysexits.h

    def __init__(self, problems: list[str]) -> None:
        self.problems = problems
        super().__init__("; ".join(problems))


class TransientError(SecureTransportError):
    """Something outside is not there now; the same call may succeed later."""


class BusUnavailableError(TransientError):
    """NATS did not answer, or not in time."""


class SecretStoreUnavailableError(TransientError):
    """OpenBao did not answer, is sealed, or has no leader."""


class ConflictError(SecureTransportError):
    """A compare-and-swap was lost: somebody else wrote first."""


class PermissionDeniedError(SecureTransportError):
    """A server refused the call by its policy."""


class NotFoundError(SecureTransportError):
    """What was asked for does not exist."""


class RejectedDocumentError(SecureTransportError):
    """A signed document of the authority was refused (signature, kind, version or time)."""


class DocumentTooLargeError(SecureTransportError):
    """A document has outgrown what bus and store carry; nothing was signed or published."""


class RejectedMessageError(SecureTransportError):
    """A peer's message was refused; ``reason`` is a fixed word for counters and dead letters."""

    reason: ClassVar[str] = "rejected"


class MalformedMessageError(RejectedMessageError):
    """The bytes are not a message of a known version, size, suite or schema."""

    reason = "malformed"


class UnknownKeyError(RejectedMessageError):
    """No verify key or topic key is held for what the header names."""

    reason = "unknown_key"


class EpochOutOfWindowError(RejectedMessageError):
    """The signed time or epoch does not fit the broker's timestamp."""

    reason = "epoch_out_of_window"


class SignatureError(RejectedMessageError):
    """The signature does not verify."""

    reason = "signature"


class DecryptionError(RejectedMessageError):
    """The commitment or the authentication tag does not match."""

    reason = "decryption"


class ReplayError(RejectedMessageError):
    """The message id was seen before, or is not the one the broker deduplicates by."""

    reason = "replay"


class NotPermittedError(RejectedMessageError):
    """The signer may not do this, or is denied."""

    reason = "not_permitted"


class RotationError(SecureTransportError):
    """A rotation step could not be carried out.

    Args:
        message: What went wrong.
        kind: Which rotation, for example ``ca``.
        epoch: The epoch number concerned.
        step: The step that failed.
    """

    def __init__(self, message: str, *, kind: str, epoch: int, step: str, **fields: object) -> None:
        super().__init__(message, kind=kind, epoch=epoch, step=step, **fields)
