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
  - Makes all policies, AppRoles, PKI roles and keys of a compiled ACL exist exactly as given, in a single module
    run.
  - A field of an AppRole that is not given has OpenBao's default; one of a PKI role has the strictest value, also
    where OpenBao's own default allows more (localhost, IP addresses, wildcards, an end of life chosen by the
    caller). So a right added by hand does not stay.
  - Everything is compared before anything is changed, so what cannot be changed is an error and changes nothing.
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
    description: The policies, as M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      policy:
        description: Its text in HCL.
        type: str
        required: true
  approles:
    description: The login roles, as M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      parameters:
        description: Its fields as OpenBao names them.
        type: dict
        required: true
      service:
        description: Whose instance it is; what a reader of the list looks for, not a field of the role.
        type: str
        version_added: 0.2.0
      instance:
        description: Which instance of O(approles[].service) it is.
        type: str
        version_added: 0.2.0
      policies:
        description: Policies of its tokens; C(token_policies) of O(approles[].parameters) is what counts.
        type: list
        elements: str
      is_denied:
        description: Whether the service is revoked; its policy is empty then, and the role stays.
        type: bool
  pki_roles:
    description: The PKI roles, as M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      mount:
        description: Where it lies.
        type: str
        required: true
      parameters:
        description:
          - Its fields as OpenBao names them, for example C(allowed_uri_sans) or C(max_ttl).
          - Lists may be lists or text with commas, durations seconds or text such as V(90s).
        type: dict
        required: true
  transit_keys:
    description: The services' keys, as M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Its name.
        type: str
        required: true
      type:
        description: Its type, which cannot be changed on an existing key.
        type: str
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

from collections.abc import Mapping
from typing import Any

from ..module_utils._openbao.access import AppRoleSpec, PolicySpec
from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.pki import PkiRoleSpec
from ..module_utils._openbao.rights import RightsSpec, ensure_rights
from ..module_utils._openbao.transit import TransitKeySpec
from ..module_utils._runner import run_remote


def wanted(params: Mapping[str, Any]) -> RightsSpec:
    """Return all rights."""
    return RightsSpec(
        policies=tuple(PolicySpec(**entry) for entry in params["policies"]),
        transit_keys=tuple(TransitKeySpec(**entry) for entry in params["transit_keys"]),
        pki_roles=tuple(PkiRoleSpec(**entry) for entry in params["pki_roles"]),
        approles=tuple(
            AppRoleSpec(entry["name"], entry["parameters"]) for entry in params["approles"]
        ),
        pki_mount=params["pki_mount"],
        spared=tuple(params["spared"]),
    )


def main() -> None:
    """Run the module."""
    name = {"type": "str", "required": True}
    parameters = {"type": "dict", "required": True}
    compiled = {"type": "list", "elements": "dict", "required": True}
    options = {
        "policies": {
            **compiled,
            "options": {"name": name, "policy": {"type": "str", "required": True}},
        },
        "approles": {
            **compiled,
            "options": {
                "name": name,
                "parameters": parameters,
                "service": {"type": "str"},
                "instance": {"type": "str"},
                "policies": {"type": "list", "elements": "str"},
                "is_denied": {"type": "bool"},
            },
        },
        "pki_roles": {
            **compiled,
            "options": {"name": name, "mount": name, "parameters": parameters},
        },
        "transit_keys": {
            **compiled,
            "no_log": False,
            "options": {"name": name, "type": name},
        },
        "pki_mount": {"type": "str", "default": "nats_int"},
        "spared": {"type": "list", "elements": "str", "default": []},
    }
    run_remote(LOGGED_IN, options, ensure_rights, wanted)


if __name__ == "__main__":
    main()
