"""Which files a NATS server must have in force, and the single next step towards that.

``observation`` (what the keeper sees), ``steps`` (what it can do), ``decide`` (the rules), ``leaf``
(the server's certificate), ``statement`` (what it attests). The keeper takes all of it from here.
"""

from securetransport.core.decisions.server_files.decide import decide
from securetransport.core.decisions.server_files.leaf import (
    LeafNeed,
    is_leaf_acceptable,
    leaf_need,
    may_move,
)
from securetransport.core.decisions.server_files.observation import (
    FilesInForce,
    LeafFacts,
    Observation,
    PortView,
    ServerView,
    Wanted,
)
from securetransport.core.decisions.server_files.statement import attestation
from securetransport.core.decisions.server_files.steps import (
    Attest,
    IssueLeaf,
    NoteVersions,
    ReloadServer,
    Step,
    WriteFiles,
)
from securetransport.core.decisions.wait import Wait

__all__ = [
    "Attest",
    "FilesInForce",
    "IssueLeaf",
    "LeafFacts",
    "LeafNeed",
    "NoteVersions",
    "Observation",
    "PortView",
    "ReloadServer",
    "ServerView",
    "Step",
    "Wait",
    "Wanted",
    "WriteFiles",
    "attestation",
    "decide",
    "is_leaf_acceptable",
    "leaf_need",
    "may_move",
]
