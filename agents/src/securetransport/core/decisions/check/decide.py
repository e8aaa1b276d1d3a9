"""From what was seen to findings, the cause first; the rules are in the package's docstring."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from securetransport.core.decisions.check import configuration, files, processes, services
from securetransport.core.decisions.check.finding import Finding
from securetransport.core.decisions.check.observation import Observation

_LAYERS: Final[tuple[Callable[[Observation], Iterator[Finding]], ...]] = (
    files.presence,
    files.contents,
    files.certificates,
    configuration.across,
    files.digests,
    files.machine,
    files.secrets,
    processes.supervisors,
    processes.processes,
    services.openbao,
    services.trust,
    files.tokens,
    services.servers,
    services.clocks,
    services.streams,
    services.members,
    services.authority,
)


def decide(seen: Observation) -> list[Finding]:
    """Return what is wrong; empty when all is well (rules 2 to 5)."""
    found: list[Finding] = []
    broken: set[str] = set()
    subjects: set[str] = set()
    for layer in _LAYERS:
        told = [finding for finding in layer(seen) if not finding.needs & broken]
        for finding in told:
            # Within a layer, too: of two nodes the first that fails explains the second's answers.
            if finding.subject in subjects or finding.needs & broken:
                continue
            found.append(finding)
            subjects.add(finding.subject)
            broken |= finding.breaks
    return found
