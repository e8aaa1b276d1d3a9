"""The one ACL file and everything compiled from it.

===========  ==================================================================================
module       holds
===========  ==================================================================================
check        the rules of the file, as complaints with a place
parse        YAML in, :class:`Acl` out
model        the values; topic rules; what an administrator signs
subjects     matching of NATS subjects
platform     rights on the bus that follow from the protocol
compiled     all of it, compiled once
broker       users and permissions of the servers, and their configuration text
instances    who logs in to OpenBao: one AppRole, policy and PKI role for each instance
policies     rights in OpenBao by path
openbao      policies, AppRoles, PKI roles and transit keys as a plan for Ansible
streams      streams and durables
matrix       who may what, as a table
explain      why somebody may, or that nobody said so
diff         what a new file changes, and for whom
consequences what becomes of the changes on a running platform
===========  ==================================================================================

Pure: nothing here opens a socket or reads a clock.
"""

from __future__ import annotations

from securetransport.core.acl.compile.broker import bus_rights, compile_broker, render_broker_conf
from securetransport.core.acl.compile.compiled import CompiledAcl, compile_acl
from securetransport.core.acl.compile.instances import login_instances
from securetransport.core.acl.compile.openbao import (
    AppRoleSpec,
    LoginLimits,
    OpenBaoPlan,
    PkiRoleSpec,
    TransitKeySpec,
    compile_openbao,
)
from securetransport.core.acl.compile.policies import REVOKED_POLICY, Policy, policies, policies_of
from securetransport.core.acl.compile.streams import (
    compile_consumers,
    compile_streams,
    duplicate_window,
    longest_wait,
    storage_bytes,
)
from securetransport.core.acl.consequences import Answer, Consequence, consequences
from securetransport.core.acl.diff import AclDiff, diff
from securetransport.core.acl.explain import explain
from securetransport.core.acl.matrix import MatrixRow, is_allowed, matrix, probe_subjects
from securetransport.core.acl.model import (
    Acl,
    Consumption,
    ForeignSpec,
    ServiceSpec,
    StreamSpec,
    bundle_rules,
    topic_rules,
)
from securetransport.core.acl.parse import load_acl

__all__ = [
    "REVOKED_POLICY",
    "Acl",
    "AclDiff",
    "Answer",
    "AppRoleSpec",
    "CompiledAcl",
    "Consequence",
    "Consumption",
    "ForeignSpec",
    "LoginLimits",
    "MatrixRow",
    "OpenBaoPlan",
    "PkiRoleSpec",
    "Policy",
    "ServiceSpec",
    "StreamSpec",
    "TransitKeySpec",
    "bundle_rules",
    "bus_rights",
    "compile_acl",
    "compile_broker",
    "compile_consumers",
    "compile_openbao",
    "compile_streams",
    "consequences",
    "diff",
    "duplicate_window",
    "explain",
    "is_allowed",
    "load_acl",
    "login_instances",
    "longest_wait",
    "matrix",
    "policies",
    "policies_of",
    "probe_subjects",
    "render_broker_conf",
    "storage_bytes",
    "topic_rules",
]
