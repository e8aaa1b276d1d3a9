#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_policy``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_policy
short_description: Write or delete an ACL policy of OpenBao
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
description:
  - Makes a policy have exactly the text given; spaces at its ends do not count.
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  name:
    description: Name of the policy.
    type: str
    required: true
  policy:
    description:
      - The policy in HCL or JSON.
      - Needed with O(state=present).
    type: str
  state:
    description: Whether the policy must exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.acl_info
  - module: securetransport.platform.openbao_approle
"""

EXAMPLES = r"""
- name: Let every identity read the trust bundle
  securetransport.platform.openbao_policy:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    name: gatekeeper
    policy: |
      path "secret/data/trust/bundle" { capabilities = ["read"] }
"""

RETURN = r""" # """

from ..module_utils._openbao.access import PolicySpec, ensure_policy
from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._runner import STATE, run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "name": {"type": "str", "required": True},
        "policy": {"type": "str"},
        "state": STATE,
    }
    run_remote(
        LOGGED_IN,
        options,
        ensure_policy,
        lambda params: spec_of(PolicySpec, params),
        required_if=[("state", "present", ("policy",))],
    )


if __name__ == "__main__":
    main()
