#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_audit``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_audit
short_description: Make sure of an audit device of OpenBao
description:
  - Checks that an audit device is in force, and enables it where the server allows that by API.
  - Servers of this version take audit devices from their configuration unless it says
    C(unsafe_allow_api_audit_creation). Then the module is the proof that the stanza is in force.
  - A device that differs is an error, since OpenBao cannot change one and a moment without audit is
    not for a module to decide.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  path:
    description: Where the device is mounted.
    type: str
    required: true
  type:
    description: Kind of device; needed with O(state=present).
    type: str
    choices: [file, socket, syslog, http]
  options:
    description: Options of the device, for example C(file_path).
    type: dict
  state:
    description: Whether the device must be there.
    type: str
    choices: [present, absent]
    default: present
"""

EXAMPLES = r"""
- name: Prove that every call is written to the audit log
  securetransport.platform.openbao_audit:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    path: file
    type: file
    options:
      file_path: /srv/securetransport/authority/openbao-1/audit.log
"""

RETURN = r""" # """

from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_system import (
    ensure_audit,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
            "path": {"type": "str", "required": True},
            "type": {"type": "str", "choices": ["file", "socket", "syslog", "http"]},
            "options": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("type",))],
    )
    run(module, ensure_audit)


if __name__ == "__main__":
    main()
