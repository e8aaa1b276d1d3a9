"""Translation of nats-py's errors into ours; nobody above this package catches theirs."""

from __future__ import annotations

import re
import ssl
from typing import Any, Final

import nats.errors as nats_errors

from securetransport.core.base.errors import (
    BusUnavailableError,
    PermissionDeniedError,
    RejectedMessageError,
    SecureTransportError,
)

# The server's words, lower-cased by nats-py: permissions violation for publish to "a.b"
_VIOLATION: Final = re.compile(
    r'permissions violation for (?P<verb>publish|subscription) to "(?P<subject>[^"]*)"'
)
_REFUSED: Final = ("authorization violation", "authentication")
_FINAL_CODES: Final = (400, 404)
_MAX_REASON: Final = 200


def permission_violation(error: BaseException) -> tuple[str, str] | None:
    """Return (``publish`` or ``subscription``, subject in lower case) if this is a violation."""
    match = _VIOLATION.search(str(error).lower())
    return (match["verb"], match["subject"]) if match else None


def is_closing_noise(error: BaseException) -> bool:
    """Tell whether this only says that a connection ended, which has its own event."""
    harmless = (ssl.SSLError, nats_errors.UnexpectedEOF, ConnectionResetError, BrokenPipeError)
    return isinstance(error, harmless) and not isinstance(error, ssl.SSLCertVerificationError)


def is_authorization_refusal(text: str) -> bool:
    """Tell whether a server says that it has no user for this certificate."""
    return any(word in text.lower() for word in _REFUSED)


def translate(error: BaseException, doing: str) -> SecureTransportError:
    """Return our error for one of nats-py or the operating system.

    Args:
        error: What was caught; the caller chains it with ``from``.
        doing: What was tried, for the text.
    """
    text = _reason(error)
    if isinstance(error, nats_errors.AuthorizationError) or is_authorization_refusal(text):
        return PermissionDeniedError(f"{doing}: refused by the server", reason=text)
    if isinstance(error, nats_errors.MaxPayloadError):
        return RejectedMessageError(f"{doing}: larger than the server accepts")
    return BusUnavailableError(f"{doing}: bus not available", reason=text)


def translate_api(error: object, doing: str) -> SecureTransportError:
    """Return our error for the ``error`` object of a JetStream API answer.

    A full stream, a lost leader or a missing quorum is transient; what the stream refuses for what
    it is (too large, wrong subject) is not. An error that cannot be read is transient.

    Args:
        error: As it came; a server may say anything.
        doing: What was tried, for the text.
    """
    body: dict[str, Any] = error if isinstance(error, dict) else {}
    code, text = body.get("code"), str(body.get("description", "no description"))
    facts = {"code": code, "error_code": body.get("err_code"), "reason": text[:_MAX_REASON]}
    if code in _FINAL_CODES and "exceeded" not in text:
        return RejectedMessageError(f"{doing}: refused by the stream", **facts)
    return BusUnavailableError(f"{doing}: not stored", **facts)


def _reason(error: BaseException) -> str:
    text = str(error).strip()
    return text or type(error).__name__
