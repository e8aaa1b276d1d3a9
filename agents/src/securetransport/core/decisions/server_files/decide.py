"""Which files a NATS server must have in force, and the single next step towards that.

The keeper observes (documents, files, its server as seen from outside), asks :func:`decide`,
carries out that one step and observes again; so a crash at any point is resumed by looking.

Rules, in the order applied:

1. Nothing is written before a verified trust bundle and broker policy are there, and nothing
   before the bundle names an active epoch.
2. A leaf is issued when there is none, when it ended, when its issuer left the trust set, when the
   active epoch is another one, when the broker policy changed, or at its time of renewal.
3. *One server at a time*: a leaf for a newly active epoch waits for the servers earlier in the
   order, but never longer than its place in the order times a limit. Nothing else waits for others.
4. Files that differ from the wanted ones are replaced, even while a leaf cannot be issued: an
   issuer that left the trust set must not stay because OpenBao's PKI is slow. A document that was
   only signed anew asks for the same files: then just the versions are noted.
5. A running server that shows other material than the files is reloaded, with a backoff.
6. What is in force, and whether the server serves it, is attested when it changed and from time to
   time.

The policy change of rule 2 is what makes a policy provable: users cannot be seen from outside, but
a reload takes effect as a whole, so a leaf first written together with the policy proves it once
the server presents that leaf.

Pure: no clock, no file, no socket.

Source: docs/decisions/0006-server-files.md.
"""

from __future__ import annotations

from securetransport.core.decisions.server_files.leaf import LeafNeed, leaf_need
from securetransport.core.decisions.server_files.observation import (
    FilesInForce,
    Observation,
    Wanted,
)
from securetransport.core.decisions.server_files.statement import is_attestation_due
from securetransport.core.decisions.server_files.steps import (
    Attest,
    IssueLeaf,
    NoteVersions,
    ReloadServer,
    Step,
    WriteFiles,
)
from securetransport.core.decisions.wait import Wait


def decide(seen: Observation) -> Step | Wait:
    """Return the one step to take now, by the rules of this module."""
    wanted = seen.wanted
    if wanted is None:
        return Wait(("a verified trust bundle and broker policy",))
    if wanted.bundle.active is None:
        return Wait(("an active epoch in the trust bundle",))
    need = leaf_need(seen.leaf, wanted, seen.at, is_due=seen.is_renewal_due)
    if need and seen.may_issue and (need is not LeafNeed.NOT_ACTIVE or seen.may_move):
        return IssueLeaf(need)
    return _step_of_files(seen, wanted, need)


def _step_of_files(seen: Observation, wanted: Wanted, need: LeafNeed | None) -> Step | Wait:
    """Apply rule 4: the leaf is what can be had, are the files?"""
    if seen.leaf is None:
        return Wait(("a server leaf",))
    files = seen.in_force
    is_right = files is not None and files.content == seen.wanted_content
    if not is_right and seen.may_write:
        return WriteFiles()
    if files is None:
        return Wait(("files that the server's own check accepts",))
    if is_right and (files.bundle_version, files.policy_version) != (
        wanted.bundle_version,
        wanted.policy_version,
    ):
        return NoteVersions()
    return _step_of_server(seen, files, need)


def _step_of_server(seen: Observation, files: FilesInForce, need: LeafNeed | None) -> Step | Wait:
    """Apply rules 5 and 6: the files are right, is the server?"""
    is_wrong = seen.is_reload_owed or seen.server.shows_other_than(files)
    if is_wrong and seen.server.is_running and seen.may_reload:
        return ReloadServer()
    served = seen.server.serves(files)
    if is_attestation_due(seen, files, served=served):
        return Attest(served)
    return Wait(_missing(seen, need, served=served))


def _missing(seen: Observation, need: LeafNeed | None, *, served: bool) -> tuple[str, ...]:
    if need is LeafNeed.NOT_ACTIVE and not seen.may_move:
        return ("the servers before this one to serve the active epoch",)
    if need:
        return (f"a new server leaf ({need})",)
    if seen.in_force is not None and seen.in_force.content != seen.wanted_content:
        return ("new files to be written and accepted by the server's own check",)
    if not seen.server.is_running:
        return ("the server to start",)
    return () if served else ("the server to serve the files",)
