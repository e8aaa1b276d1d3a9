#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_pki_root``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_pki_root
short_description: Make or adopt the root of a PKI mount in OpenBao
description:
  - Makes a root whose key never leaves OpenBao, unless the mount has a root of this name, which is
    then adopted whatever its key and age.
  - Never makes a second root; a mount with a root of another name is an error.
  - Deleting a root is not offered; unmount it with M(securetransport.platform.openbao_mount).
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  mount:
    description: Where the PKI engine is mounted; its longest lease time
      must allow O(ttl).
    type: str
    default: pki
  common_name:
    description: Common name of the root, by which it is recognised.
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
  key_bits:
    description: Size of a new root's key, for example V(256) with V(ec) or V(65) with V(mldsa).
    type: int
  max_path_length:
    description: How many intermediates may follow below a new root.
    type: int
    default: 1
seealso:
  - module: securetransport.platform.openbao_mount
"""

EXAMPLES = r"""
- name: Have a root for ten years
  securetransport.platform.openbao_pki_root:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    mount: pki
    common_name: securetransport.local root
  register: root
"""

RETURN = r"""
certificate:
  description: The root in PEM.
  returned: when it exists
  type: str
fingerprint:
  description: SHA-256 of the certificate's DER, hexadecimal.
  returned: when it exists
  type: str
  sample: 4f2c41d07ab3e8154f2c41d07ab3e8154f2c41d07ab3e8154f2c41d07ab3e815
not_after:
  description: When it ends.
  returned: when it exists
  type: str
  sample: "2036-11-20T14:41:21+00:00"
"""

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_pki import (
    ensure_root,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
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
            "key_bits": {"type": "int", "no_log": False},
            "max_path_length": {"type": "int", "default": 1},
        },
    )
    run(module, ensure_root)


if __name__ == "__main__":
    main()
