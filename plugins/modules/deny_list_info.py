#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``deny_list_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: deny_list_info
short_description: Read which services the authority has revoked
description:
  - Reads the deny list from OpenBao and verifies its signature with the pinned keys.
  - No list means that nobody is denied; a list that does not verify is an error, since taking it
    for empty would let a revoked service in again.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes.info
options:
  keys_file:
    description: The authority's public keys.
    type: path
    required: true
requirements:
  - securetransport >= 0.1.0
seealso:
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Read who is revoked
  securetransport.platform.deny_list_info:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    keys_file: /srv/securetransport/authority/admin/authority-keys.json
  register: deny_list
"""

RETURN = r"""
denied:
  description: Names of the revoked services.
  returned: success
  type: list
  elements: str
version:
  description: Version of the list, null when there is none.
  returned: success
  type: str
"""

from ..module_utils._openbao.acl import read_denied
from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._runner import run_remote


def main() -> None:
    """Run the module."""
    options = {"keys_file": {"type": "path", "required": True, "no_log": False}}
    run_remote(LOGGED_IN, options, read_denied, lambda params: params["keys_file"])


if __name__ == "__main__":
    main()
