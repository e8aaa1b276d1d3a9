"""What the auth-controller decides: a pure function of the request."""

from __future__ import annotations

import hashlib

from securetransport_examples.payloads import AuthRequest, Outcome


def decide(request: AuthRequest, denied_share: float) -> tuple[Outcome, str]:
    """Return the outcome and its reason; the same request always gives the same."""
    if not request.evidence:
        return Outcome.DENIED, "no_evidence"
    digest = hashlib.sha256(request.user.encode()).digest()
    if int.from_bytes(digest[:4], "big") / 2**32 < denied_share:
        return Outcome.DENIED, "user_blocked"
    return Outcome.ALLOWED, "evidence_accepted"
