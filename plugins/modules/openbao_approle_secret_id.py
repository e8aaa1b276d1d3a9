#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_approle_secret_id``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_approle_secret_id
short_description: Deliver the credentials of an AppRole to the files a bao agent reads
description:
  - Writes the role-id, and a fresh secret-id when there is none yet, into files of mode 0600.
  - A secret-id in its file is proven by a login. One that OpenBao takes is left alone, because the authority renews it,
    unless O(force) says otherwise; one that is over, or of another installation, is replaced.
  - Check mode logs in as well; the token that this gives is ended at once.
  - The secrets are in the files and nowhere else, neither in results nor in differences.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  name:
    description: Name of the AppRole, which must exist.
    type: str
    required: true
  mount:
    description: Where the AppRole method is mounted.
    type: str
    default: approle
  role_id_dest:
    description: File for the role-id; its directory must exist.
    type: path
    required: true
  secret_id_dest:
    description: File for the secret-id; its directory must exist.
    type: path
    required: true
  force:
    description: Whether to replace an existing secret-id; the old one is destroyed after that.
    type: bool
    default: false
  state:
    description: V(absent) destroys the secret-id and removes both files.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.openbao_approle
"""

EXAMPLES = r"""
- name: Let the bao agent of a service log in
  securetransport.platform.openbao_approle_secret_id:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    name: gatekeeper
    role_id_dest: /srv/securetransport/services/gatekeeper-1/role-id
    secret_id_dest: /srv/securetransport/services/gatekeeper-1/secret-id
"""

RETURN = r""" # """

from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.credentials import CredentialsSpec, ensure_credentials
from ..module_utils._runner import STATE, run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "name": {"type": "str", "required": True},
        "mount": {"type": "str", "default": "approle"},
        "role_id_dest": {"type": "path", "required": True},
        "secret_id_dest": {"type": "path", "required": True, "no_log": False},
        "force": {"type": "bool", "default": False},
        "state": STATE,
    }
    run_remote(
        LOGGED_IN, options, ensure_credentials, lambda params: spec_of(CredentialsSpec, params)
    )


if __name__ == "__main__":
    main()
