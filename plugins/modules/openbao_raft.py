#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_raft``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_raft
short_description: Make every node of an OpenBao raft cluster a voter
description:
  - Sets how long autopilot watches a new node before it votes, and waits until O(nodes) nodes vote.
  - Until then the loss of the leader would leave a cluster that cannot elect another one.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  nodes:
    description: How many nodes must vote.
    type: int
    required: true
  stabilization_seconds:
    description: How long a node must have been stable before it votes.
    type: int
    default: 10
"""

EXAMPLES = r"""
- name: Have three voters before anything depends on them
  securetransport.platform.openbao_raft:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    nodes: 3
    stabilization_seconds: 1
    timeout: 60
"""

RETURN = r"""
voters:
  description: Names of the nodes that vote.
  type: list
  elements: str
  returned: success
  sample: [openbao-1, openbao-2, openbao-3]
"""

from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.raft import VotersSpec, ensure_voters
from ..module_utils._runner import run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "nodes": {"type": "int", "required": True},
        "stabilization_seconds": {"type": "int", "default": 10},
    }
    run_remote(LOGGED_IN, options, ensure_voters, lambda params: spec_of(VotersSpec, params))


if __name__ == "__main__":
    main()
