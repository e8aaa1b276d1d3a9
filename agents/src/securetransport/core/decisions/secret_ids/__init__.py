"""Renewal of secret-ids, decided at both ends.

:mod:`offering` is the authority's side: mint, take back, destroy. :mod:`handover` is the side of
what stands beside a bao agent: open, prove, keep, state. Together they hold that an instance always
has a secret-id that OpenBao takes, wherever either of them ends:

1. The old secret-id is destroyed only after the instance has stated that it logged in with, and
   keeps, a newer one.
2. A new one lies durably on the instance's disk before anything depends on it.
3. What was opened and never stated is left alone until a later one is stated: it may be the one
   that the instance keeps.

Source: docs/decisions/0014-secret-ids.md.
"""

from __future__ import annotations

from datetime import timedelta

from securetransport.core.base import names
from securetransport.core.base.names import ServiceId
from securetransport.core.base.profile import Profile

_LEAST_WINDOW = timedelta(seconds=1)
_LONGEST_WINDOW = timedelta(minutes=2)


def renewal_interval(service: ServiceId, profile: Profile) -> timedelta:
    """Return how old a secret-id of this service may become before it is renewed."""
    is_agent = service in names.PLATFORM_SERVICES
    return profile.secret_id_agents if is_agent else profile.secret_id_services


def offer_window(interval: timedelta) -> timedelta:
    """Return how long an offer lies there before it is taken back."""
    return min(max(interval / 2, _LEAST_WINDOW), _LONGEST_WINDOW)


def look_interval(interval: timedelta) -> timedelta:
    """Return how often either side looks for the other while a renewal is due."""
    return offer_window(interval) / 4
