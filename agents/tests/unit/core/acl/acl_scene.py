"""An ACL to change piece by piece, as text and as values."""

from __future__ import annotations

from securetransport.core.acl import Acl, load_acl
from securetransport.core.base.errors import ConfigError

TEXT = """\
version: 1
trust_domain: securetransport.test
streams:
  AUTH_STREAM:
    subjects: ["auth.>"]
    max_age_seconds: 3600
    max_bytes: 268435456
  GATEKEEPER_STREAM:
    subjects: ["gatekeeper.>"]
    max_age_seconds: 3600
    max_bytes: 268435456
topics:
  auth.requests: {stream: AUTH_STREAM}
  gatekeeper.responses: {stream: GATEKEEPER_STREAM}
services:
  gatekeeper:
    produces: [auth.requests]
    consumes:
      - {topic: gatekeeper.responses, durable: gatekeeper}
  auth-controller:
    produces: [gatekeeper.responses]
    consumes:
      - {topic: auth.requests, durable: auth-controller}
foreign:
  monitor:
    reason: dashboards
    trust_reload_seconds: 60
    subscribe: [observe.servers]
"""


def changed(old: str, new: str) -> str:
    """Return the text with one piece replaced; the piece must be there once."""
    assert TEXT.count(old) == 1, old
    return TEXT.replace(old, new)


def acl(text: str = TEXT) -> Acl:
    return load_acl(text)


def complaints(text: str) -> list[str]:
    """Return the problems of a wrong file."""
    try:
        load_acl(text)
    except ConfigError as error:
        return error.problems
    return []
