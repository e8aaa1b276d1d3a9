#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``acl_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: acl_info
short_description: Compile an ACL file into what roles create
description:
  - Checks an ACL file and returns the policies, roles, keys, streams and consumers that follow.
  - Fails with one line per problem of the file, naming line and field.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.attributes.info
options:
  acl_file:
    description: The ACL in YAML.
    type: path
    required: true
  replicas:
    description: How many servers keep each stream.
    type: int
    default: 3
  server_names:
    description: DNS names, globs allowed, that the message servers' certificates may carry.
    type: list
    elements: str
    default: [localhost]
  denied:
    description: Revoked services; their policies come out empty.
    type: list
    elements: str
  profile:
    description: Profile of durations that certificates and streams follow.
    type: str
    default: production
  profile_overrides:
    description: Fields of the profile that differ, seconds or a duration each.
    type: dict
requirements:
  - securetransport
seealso:
  - module: securetransport.platform.openbao_acl
"""

EXAMPLES = r"""
- name: Compile the ACL
  securetransport.platform.acl_info:
    acl_file: acl.yml
  register: acl

- name: Write the policies that follow from it
  securetransport.platform.openbao_policy:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    name: "{{ item.name }}"
    policy: "{{ item.policy }}"
  loop: "{{ acl.policies }}"
  loop_control:
    label: "{{ item.name }}"
"""

RETURN = r"""
trust_domain:
  description: Trust domain of all identities.
  returned: success
  type: str
digest:
  description: SHA-256 of the ACL's canonical form.
  returned: success
  type: str
services:
  description: Names of the services of the file.
  returned: success
  type: list
  elements: str
policies:
  description: Policies for M(securetransport.platform.openbao_policy).
  returned: success
  type: list
  elements: dict
approles:
  description: Roles for M(securetransport.platform.openbao_approle).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the role.
      type: str
    policies:
      description: Policies of its tokens.
      type: list
      elements: str
    parameters:
      description: Options of M(securetransport.platform.openbao_approle).
      type: dict
    is_denied:
      description: Whether the service is revoked and must get no secret-id.
      type: bool
pki_roles:
  description: Roles for M(securetransport.platform.openbao_pki_role).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the role.
      type: str
    mount:
      description: Where the role lies.
      type: str
    parameters:
      description: The role's fields.
      type: dict
transit_keys:
  description: Keys for M(securetransport.platform.openbao_transit_key).
  returned: success
  type: list
  elements: dict
streams:
  description: Streams for M(securetransport.platform.nats_stream).
  returned: success
  type: list
  elements: dict
consumers:
  description: Durables for M(securetransport.platform.nats_consumer).
  returned: success
  type: list
  elements: dict
denied:
  description: Those of O(denied) that the file knows.
  returned: success
  type: list
  elements: str
problems:
  description: What is wrong with the file, one line each.
  returned: failure
  type: list
  elements: str
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.acl import plan
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            "acl_file": {"type": "path", "required": True},
            "replicas": {"type": "int", "default": 3},
            "server_names": {"type": "list", "elements": "str", "default": ["localhost"]},
            "denied": {"type": "list", "elements": "str"},
            "profile": {"type": "str", "default": "production"},
            "profile_overrides": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    run(module, plan)


if __name__ == "__main__":
    main()
