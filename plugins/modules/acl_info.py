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
    description: How many servers keep each stream, V(1) to V(5).
    type: int
    default: 3
  servers:
    description:
      - Names of the message servers, in the order of their keepers. Each keeper may sign for its own only.
    type: list
    elements: str
    default: [nats-1, nats-2, nats-3]
    version_added: 0.2.0
  server_names:
    description: DNS names, globs allowed, that the message servers' certificates may carry.
    type: list
    elements: str
    default: [localhost]
  secret_id_ttl:
    description:
      - Life of a secret-id that nobody renews; seconds or a duration. So long a platform may be switched off and start
        by itself.
    type: str
    default: 30d
    version_added: 0.2.0
  secret_id_uses:
    description:
      - How many logins one secret-id is good for, V(0) for any number. A bao agent logs in at each start and once a
        day, and each renewal takes one login.
    type: int
    default: 0
    version_added: 0.2.0
  client_networks:
    description: From where logins and tokens are good, in CIDR notation; anywhere where it is not given.
    type: list
    elements: str
    version_added: 0.2.0
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
  - securetransport >= 0.1.0
seealso:
  - module: securetransport.platform.openbao_acl
  - module: securetransport.platform.openbao_rights
  - module: securetransport.platform.nats_layout
"""

EXAMPLES = r"""
- name: Compile the ACL
  securetransport.platform.acl_info:
    acl_file: acl.yml
  register: acl

- name: Say who is in it
  ansible.builtin.debug:
    var: acl.services
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
  description: Policies for M(securetransport.platform.openbao_rights).
  returned: success
  type: list
  elements: dict
approles:
  description: Login roles for M(securetransport.platform.openbao_rights).
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the role, C(<service>--<instance>).
      type: str
    service:
      description: Whose instance it is.
      type: str
    instance:
      description: Which of them.
      type: str
    policies:
      description: Policies of its tokens.
      type: list
      elements: str
    parameters:
      description: The role's fields.
      type: dict
    is_denied:
      description: Whether the service is revoked and must get no secret-id.
      type: bool
pki_roles:
  description: PKI roles for M(securetransport.platform.openbao_rights).
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
  description: Keys for M(securetransport.platform.openbao_rights).
  returned: success
  type: list
  elements: dict
streams:
  description: Streams for M(securetransport.platform.nats_layout).
  returned: success
  type: list
  elements: dict
consumers:
  description: Durables for M(securetransport.platform.nats_layout).
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

from ..module_utils._local.acl_file import PlanSpec, compile_acl
from ..module_utils._runner import run_local, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "acl_file": {"type": "path", "required": True},
        "replicas": {"type": "int", "default": 3},
        "servers": {"type": "list", "elements": "str", "default": ["nats-1", "nats-2", "nats-3"]},
        "server_names": {"type": "list", "elements": "str", "default": ["localhost"]},
        "secret_id_ttl": {"type": "str", "default": "30d", "no_log": False},
        "secret_id_uses": {"type": "int", "default": 0, "no_log": False},
        "client_networks": {"type": "list", "elements": "str"},
        "denied": {"type": "list", "elements": "str"},
        "profile": {"type": "str", "default": "production"},
        "profile_overrides": {"type": "dict"},
    }
    run_local(options, compile_acl, lambda params: spec_of(PlanSpec, params))


if __name__ == "__main__":
    main()
