#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_transit_key``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_transit_key
short_description: Make a transit key of OpenBao and publish its public part
description:
  - Makes a key that never leaves OpenBao; no option makes it exportable.
  - Returns the public keys of a key that signs, and keeps a file of them up to date.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  name:
    description: Name of the key.
    type: str
    required: true
  mount:
    description: Where the transit engine is mounted.
    type: str
    default: transit
  type:
    description:
      - Kind of key, for example V(mldsa-65) for signatures or V(aes256-gcm96) for encryption.
      - Cannot be changed on an existing key.
    type: str
    default: aes256-gcm96
  auto_rotate_period:
    description: How often OpenBao makes a new version by itself; V(0) for never.
    type: str
    default: "0"
  deletion_allowed:
    description:
      - Whether the key may be deleted.
      - With O(state=absent) it also permits to delete a key that may not be deleted.
    type: bool
    default: false
  keys_file:
    description:
      - File of mode 0644 with public keys that members pin, in JSON.
      - The versions of this key are replaced in it, those of other keys stay.
    type: path
  state:
    description: Whether the key must exist.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Make the key that signs the authority's documents
  securetransport.platform.openbao_transit_key:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    name: authority-signing
    type: mldsa-65
    keys_file: /srv/securetransport/authority/admin/authority-keys.json
"""

RETURN = r"""
keys:
  description: The public keys, oldest version first; empty for a key that only encrypts.
  returned: when O(state=present)
  type: list
  elements: dict
  contains:
    key_id:
      description: Name and version of the key.
      type: str
      sample: authority-signing:v1
    algorithm:
      description: Its algorithm.
      type: str
      sample: ML-DSA-65
    public_key:
      description: The public key in base64.
      type: str
"""

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_transit import (
    ensure_transit_key,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
            "name": {"type": "str", "required": True},
            "mount": {"type": "str", "default": "transit"},
            "type": {"type": "str", "default": "aes256-gcm96"},
            "auto_rotate_period": {"type": "str", "default": "0"},
            "deletion_allowed": {"type": "bool", "default": False},
            "keys_file": {"type": "path", "no_log": False},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    )
    run(module, ensure_transit_key)


if __name__ == "__main__":
    main()
