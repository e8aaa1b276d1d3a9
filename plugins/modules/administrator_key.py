#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``administrator_key``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: administrator_key
short_description: Make the key with which an administrator signs the ACL
description:
  - Makes an ML-DSA-65 key in a file of mode 0600 (PKCS#8, PEM) if there is none; an existing key is
    never replaced.
  - Keeps a file with the public keys of all administrators, which the authority pins.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.attributes
options:
  key_file:
    description: File with the private key; its directory must exist.
    type: path
    required: true
  public_keys_file:
    description:
      - File of mode 0644 with the administrators' public keys, in JSON.
      - This key is added; the others stay.
    type: path
requirements:
  - securetransport >= 0.1.0
seealso:
  - module: securetransport.platform.openbao_acl
"""

EXAMPLES = r"""
- name: Have an administrator
  securetransport.platform.administrator_key:
    key_file: /srv/securetransport/authority/admin/administrator.key
    public_keys_file: /srv/securetransport/authority/admin/administrator-keys.json
"""

RETURN = r"""
key_id:
  description: Identifier of the key, a digest of its public part.
  returned: when the key exists
  type: str
algorithm:
  description: Its algorithm.
  returned: when the key exists
  type: str
  sample: ML-DSA-65
public_key:
  description: The public key in base64.
  returned: when the key exists
  type: str
"""

from ..module_utils._local.administrator import AdministratorSpec, ensure_administrator
from ..module_utils._runner import run_local, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "key_file": {"type": "path", "required": True, "no_log": False},
        "public_keys_file": {"type": "path", "no_log": False},
    }
    run_local(options, ensure_administrator, lambda params: spec_of(AdministratorSpec, params))


if __name__ == "__main__":
    main()
