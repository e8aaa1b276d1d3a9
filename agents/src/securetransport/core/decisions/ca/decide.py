"""The next safe step of the CA rotation: one pure function of what is seen and what is remembered.

:func:`decide` is asked after every look at the world and answers with exactly one step. Steps are
carried out elsewhere, record first; the next call sees whether that worked. Nothing here remembers
anything, so a crash at any point is resumed by looking again.

Rules, in the order in which they are tried:

1. OpenBao does what the record says (:mod:`.repair`): the active issuer, and before its demotion
   the one before it, may sign; the active one is the default; what a crashed preparation left gets
   the name of its key; issuers that no record names are removed.
2. The TrustBundle in force is the one that follows from the record, and is not about to expire
   (:mod:`.repair`).
3. One candidate at a time walks ``planned, prepared, distributed, confirmed, active``
   (:mod:`.advance`):
   a. distributed is confirmed when every server and every connected member shows the new trust set;
   b. confirmed is activated when its start is reached **and that evidence still holds**;
   c. a candidate whose whole period passed is overtaken by a newer one;
   d. planned is prepared under the recorded name; a leftover of that name is adopted if it has its
      key.
4. The epoch before is demoted when every server serves a leaf of the active one (:mod:`.leave`).
5. An expired issuer is retired, and destroyed when every keeper has dropped it, or a period later.
   This does not happen while a candidate's trust set is being confirmed (:mod:`.leave`).
6. A new epoch is planned when its lead begins, or at once when the current one has no issuer
   (:mod:`.advance`).
7. A gate cannot block past its deadline, ``active.not_after - leaf - margin``: then the step is
   taken without its evidence, and what was missing is kept by name (:mod:`.gates`).
8. Cold start: when no issuer that ever signed is still valid, no leaf in the world is, so there is
   nobody whom a new issuer could surprise; rules 3a and 3b need no evidence then.

Source: docs/rotation.md.
"""

from __future__ import annotations

from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca.advance import advance, idle, plan
from securetransport.core.decisions.ca.leave import demote, make_room
from securetransport.core.decisions.ca.observation import Observation
from securetransport.core.decisions.ca.record import RotationRecord
from securetransport.core.decisions.ca.repair import publish, repair_mount
from securetransport.core.decisions.ca.steps import Demote, Step
from securetransport.core.decisions.wait import Wait


def decide(seen: Observation, record: RotationRecord, profile: Profile) -> Step | Wait:
    """Return the next step.

    Args:
        seen: The world, now.
        record: What the authority remembers, as just read.
        profile: The durations of this deployment.
    """
    repair = repair_mount(seen, record) or publish(seen, record, profile)
    if repair is not None:
        return repair
    demotion = demote(seen, record, profile)
    if isinstance(demotion, Demote):
        return demotion
    candidate = record.candidate
    if candidate is None:
        step = make_room(seen, record, profile) or plan(seen, record, profile)
        return step or demotion or idle(seen, profile)
    # Before the candidate was told to anybody the trust set may still change; a full mount must.
    leaving = make_room(seen, record, profile) if candidate.issuer is None else None
    return leaving or advance(seen, record, profile, candidate)
