#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_rights``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_rights
short_description: Make OpenBao hold exactly the rights of a compiled ACL
description:
  - Does for all objects of a compiled ACL what M(securetransport.platform.openbao_policy),
    M(securetransport.platform.openbao_approle), M(securetransport.platform.openbao_pki_role) and
    M(securetransport.platform.openbao_transit_key) do for one each, in a single module run.
  - Takes away policies, AppRoles and PKI roles that the ACL does not name, except those that are O(spared);
    this OpenBao serves nobody else. Keys are never taken away.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  policies:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
  approles:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
  pki_roles:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
  transit_keys:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
  pki_mount:
    description: Where the PKI roles lie.
    type: str
    default: nats_int
  spared:
    description: Names of policies and AppRoles that somebody else looks after.
    type: list
    elements: str
    default: []
seealso:
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Compile the ACL
  securetransport.platform.acl_info:
    acl_file: acl.yml
  register: acl

- name: Put its rights in force
  securetransport.platform.openbao_rights:
    address: https://127.0.0.1:24200
    ca_file: /srv/securetransport/authority/tls/ca.crt
    role_id_file: /srv/securetransport/authority/ansible-admin/role-id
    secret_id_file: /srv/securetransport/authority/ansible-admin/secret-id
    policies: "{{ acl.policies }}"
    approles: "{{ acl.approles }}"
    pki_roles: "{{ acl.pki_roles }}"
    transit_keys: "{{ acl.transit_keys }}"
    spared: [ansible-admin]
"""

RETURN = r"""
changed_objects:
  description: What was made, changed or taken away.
  returned: always
  type: list
  elements: str
  sample: ["policy gatekeeper"]
"""

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_rights import (
    ensure_rights,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    compiled = {"type": "list", "elements": "dict", "required": True}
    module = openbao_module(
        {
            "policies": compiled,
            "approles": compiled,
            "pki_roles": compiled,
            "transit_keys": {**compiled, "no_log": False},
            "pki_mount": {"type": "str", "default": "nats_int"},
            "spared": {"type": "list", "elements": "str", "default": []},
        },
    )
    run(module, ensure_rights)


if __name__ == "__main__":
    main()
