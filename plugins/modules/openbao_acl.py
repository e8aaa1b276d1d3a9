#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_acl``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_acl
short_description: Sign the ACL file and put it into OpenBao
description:
  - Compares the file with the signed ACL in OpenBao by their canonical form, signs and writes it
    when they differ. Comments and order change nothing.
  - The authority accepts an ACL only with the signature of an administrator it pins.
  - Check mode and differences show the consequences for services, not the file.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  acl_file:
    description: The ACL in YAML.
    type: path
    required: true
  key_file:
    description: The administrator's private key.
    type: path
    required: true
  validity:
    description:
      - How long the signature is good; seconds or a duration.
      - The ACL is signed anew when less than a quarter of this is left.
    type: str
    default: 365d
requirements:
  - securetransport >= 0.1.0
seealso:
  - module: securetransport.platform.administrator_key
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Put the ACL in force
  securetransport.platform.openbao_acl:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    acl_file: acl.yml
    key_file: /srv/securetransport/authority/admin/administrator.key
"""

RETURN = r"""
digest:
  description: SHA-256 of the ACL's canonical form.
  returned: always
  type: str
version:
  description: Version of the signed document that is in force after the run.
  returned: always
  type: str
  sample: "0.3"
consequences:
  description: What the change means, one line each.
  returned: when it changed
  type: list
  elements: str
"""

from ..module_utils._openbao.acl import AclSpec, ensure_acl
from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._runner import run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "acl_file": {"type": "path", "required": True},
        "key_file": {"type": "path", "required": True, "no_log": False},
        "validity": {"type": "str", "default": "365d"},
    }
    run_remote(LOGGED_IN, options, ensure_acl, lambda params: spec_of(AclSpec, params))


if __name__ == "__main__":
    main()
