#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_pki_role``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_pki_role
short_description: Define a PKI role of OpenBao
description:
  - Makes a role exist with exactly the options given.
  - An option that is not given has the strictest value, also where OpenBao's own default allows
    more (localhost, IP addresses, wildcards, an end of life chosen by the caller).
  - Reads the role back and fails if OpenBao kept another value than was wanted.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  name:
    description: Name of the role; in SecureTransport the name of the service.
    type: str
    required: true
  mount:
    description: Where the PKI engine is mounted.
    type: str
    default: nats_int
  options:
    description:
      - Fields of the role as OpenBao names them, for example C(allowed_uri_sans) or C(max_ttl).
      - Lists may be lists or text with commas, durations seconds or text such as V(90s).
    type: dict
  state:
    description: Whether the role must exist.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Say what the leaf of a service may be
  securetransport.platform.openbao_pki_role:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    mount: nats_int
    name: gatekeeper
    options:
      allowed_domains: ["gatekeeper/*"]
      allow_glob_domains: true
      cn_validations: [disabled]
      enforce_hostnames: false
      allowed_uri_sans: ["spiffe://securetransport.local/gatekeeper"]
      max_ttl: 90s
"""

RETURN = r""" # """

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_pki import (
    ensure_role,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
            "name": {"type": "str", "required": True},
            "mount": {"type": "str", "default": "nats_int"},
            "options": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    )
    run(module, ensure_role)


if __name__ == "__main__":
    main()
