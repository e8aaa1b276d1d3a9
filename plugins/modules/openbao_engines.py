#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Ansible module ``openbao_engines``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_engines
short_description: Mount OpenBao's engines, make the root and the authority's keys
description:
  - Does in a single module run what M(securetransport.platform.openbao_mount),
    M(securetransport.platform.openbao_pki_root) and M(securetransport.platform.openbao_transit_key) do for one each.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  mounts:
    description: Secret engines to mount, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is mounted.
        type: str
        required: true
      type:
        description: Type of the engine.
        type: str
        required: true
      description:
        description: What people read in the list of mounts.
        type: str
      max_lease_ttl:
        description: Longest lease time; seconds or a duration. A CA cannot live longer than this on its mount.
        type: str
      kv_cas_required:
        description: Whether each write to a KV mount must name the version it replaces.
        type: bool
        default: false
  root:
    description: The root, made after its mount.
    type: dict
    required: true
    suboptions:
      mount:
        description: Where it lies.
        type: str
        default: pki
      common_name:
        description: By which it is recognised.
        type: str
        required: true
      issuer_name:
        description: Name of the issuer inside OpenBao.
        type: str
        default: root
      ttl:
        description: Life of a new root; seconds or a duration.
        type: str
        default: 87600h
      key_type:
        description: Kind of key of a new root.
        type: str
        choices: [ec, rsa, ed25519, mldsa]
        default: ec
      max_path_length:
        description: How many intermediates may follow below a new root.
        type: int
        default: 1
  signing_keys:
    description: Transit keys that sign for the authority.
    type: list
    elements: str
    required: true
  signing_key_type:
    description: Their type.
    type: str
    default: mldsa-65
  keys_file:
    description: File of mode 0644 with their public halves, which members pin, in JSON.
    type: path
    required: true
seealso:
  - module: securetransport.platform.openbao_rights
"""

EXAMPLES = r"""
- name: Mount engines and make keys
  securetransport.platform.openbao_engines:
    address: https://127.0.0.1:24200
    ca_file: /srv/securetransport/authority/tls/ca.crt
    role_id_file: /srv/securetransport/authority/ansible-admin/role-id
    secret_id_file: /srv/securetransport/authority/ansible-admin/secret-id
    mounts:
      - path: pki
        type: pki
        max_lease_ttl: 87600h
      - path: transit
        type: transit
    root:
      common_name: securetransport.local root
    signing_keys: [authority-signing]
    keys_file: /srv/securetransport/authority/admin/authority-keys.json
"""

RETURN = r"""
changed_objects:
  description: What was made or changed.
  returned: always
  type: list
  elements: str
  sample: ["mount pki"]
"""

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_rights import (
    ensure_engines,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
            "mounts": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "path": {"type": "str", "required": True},
                    "type": {"type": "str", "required": True},
                    "description": {"type": "str"},
                    "max_lease_ttl": {"type": "str"},
                    "kv_cas_required": {"type": "bool", "default": False},
                },
            },
            "root": {
                "type": "dict",
                "required": True,
                "options": {
                    "mount": {"type": "str", "default": "pki"},
                    "common_name": {"type": "str", "required": True},
                    "issuer_name": {"type": "str", "default": "root"},
                    "ttl": {"type": "str", "default": "87600h"},
                    "key_type": {
                        "type": "str",
                        "choices": ["ec", "rsa", "ed25519", "mldsa"],
                        "default": "ec",
                        "no_log": False,
                    },
                    "max_path_length": {"type": "int", "default": 1},
                },
            },
            "signing_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
            "signing_key_type": {"type": "str", "default": "mldsa-65", "no_log": False},
            "keys_file": {"type": "path", "required": True, "no_log": False},
        },
    )
    run(module, ensure_engines)


if __name__ == "__main__":
    main()
