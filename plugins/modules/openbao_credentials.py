#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Ansible module ``openbao_credentials``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_credentials
short_description: Deliver the credentials of several AppRoles to the files that bao agents read
description:
  - Does for several AppRoles, in a single module run, what M(securetransport.platform.openbao_approle_secret_id)
    does for one.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  credentials:
    description: What to deliver where.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: Name of the AppRole, which must exist.
        type: str
        required: true
      role_id_dest:
        description: File for the role-id; its directory must exist.
        type: path
        required: true
      secret_id_dest:
        description: File for the secret-id; its directory must exist.
        type: path
        required: true
seealso:
  - module: securetransport.platform.openbao_approle_secret_id
"""

EXAMPLES = r"""
- name: Let the bao agents log in
  securetransport.platform.openbao_credentials:
    address: https://127.0.0.1:24200
    ca_file: /srv/securetransport/authority/tls/ca.crt
    role_id_file: /srv/securetransport/authority/ansible-admin/role-id
    secret_id_file: /srv/securetransport/authority/ansible-admin/secret-id
    credentials:
      - name: gatekeeper
        role_id_dest: /srv/securetransport/services/gatekeeper-1/role-id
        secret_id_dest: /srv/securetransport/services/gatekeeper-1/secret-id
"""

RETURN = r"""
changed_objects:
  description: The secret-id files that were written.
  returned: always
  type: list
  elements: str
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.credentials import CredentialsSpec, ensure_all_credentials
from ..module_utils._runner import run_remote


def wanted(params: Mapping[str, Any]) -> tuple[CredentialsSpec, ...]:
    """Return what to deliver."""
    return tuple(CredentialsSpec(**entry) for entry in params["credentials"])


def main() -> None:
    """Run the module."""
    pair = {
        "name": {"type": "str", "required": True},
        "role_id_dest": {"type": "path", "required": True},
        "secret_id_dest": {"type": "path", "required": True, "no_log": False},
    }
    options = {
        "credentials": {
            "type": "list",
            "elements": "dict",
            "required": True,
            # The values are paths; what lies there is never shown.
            "no_log": False,
            "options": pair,
        },
    }
    run_remote(LOGGED_IN, options, ensure_all_credentials, wanted)


if __name__ == "__main__":
    main()
