"""What is wrong with a platform: from what was seen of it to findings, the cause first.

Rules:

1. Every finding belongs to a check of :data:`~.catalogue.CATALOGUE`, which says why it matters and
   what to do next; nothing is found that is not listed there.
2. Findings are ordered by how far from the cause they may be: machine, files, what files say, what
   keeps processes running, processes, OpenBao, trust, servers, streams, members, rotation.
3. A finding says what it breaks, and what it needs to be a cause of its own: where an earlier
   finding broke that, it is a consequence and is left out.
4. Of one subject the first finding is told.
5. What could not be looked at is no finding of its own: it is unknown, because of an earlier one.
   Where no earlier one explains it, that it could not be looked at is the finding.

Pure: no clock, no file, no socket; the gatherer is ``securetransport.check``.
"""

from securetransport.core.decisions.check.catalogue import CATALOGUE, Advice
from securetransport.core.decisions.check.decide import decide
from securetransport.core.decisions.check.finding import Finding
from securetransport.core.decisions.check.observation import (
    BusSeen,
    DaemonSeen,
    FileSeen,
    HealthSeen,
    MachineSeen,
    NodeSeen,
    Observation,
    ProcessSeen,
    ServerSeen,
    StoreSeen,
)

__all__ = [
    "CATALOGUE",
    "Advice",
    "BusSeen",
    "DaemonSeen",
    "FileSeen",
    "Finding",
    "HealthSeen",
    "MachineSeen",
    "NodeSeen",
    "Observation",
    "ProcessSeen",
    "ServerSeen",
    "StoreSeen",
    "decide",
]
