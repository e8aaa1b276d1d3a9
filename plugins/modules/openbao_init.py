#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_init``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_init
short_description: Initialise an OpenBao cluster whose seal opens by itself
description:
  - Initialises a new cluster at the first address and waits until one node is active and all others
    stand by. The others join by C(retry_join) of their configuration.
  - Writes recovery keys and the initial root token into files of mode 0600; they are there and
    nowhere else. A file that is there already is never written over.
  - A cluster of which any node is initialised is left alone.
  - Initialises only when every address answers, since a silent node could be the initialised one.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.attributes
options:
  recovery_keys_file:
    description: File for the recovery keys, in JSON; its directory must exist.
    type: path
    required: true
  root_token_file:
    description:
      - File for the initial root token; its directory must exist.
      - End the token with M(securetransport.platform.openbao_token_revoke) when the set-up is done.
    type: path
    required: true
  recovery_shares:
    description: How many recovery keys are made, V(1) to V(255).
    type: int
    default: 5
  recovery_threshold:
    description: How many of them are needed together; at most O(recovery_shares).
    type: int
    default: 3
seealso:
  - module: securetransport.platform.openbao_token_revoke
"""

EXAMPLES = r"""
- name: Initialise the authority
  securetransport.platform.openbao_init:
    address:
      - https://127.0.0.1:24200
      - https://127.0.0.1:24201
      - https://127.0.0.1:24202
    ca_file: /srv/securetransport/authority/tls/ca.crt
    recovery_keys_file: /srv/securetransport/authority/admin/recovery-keys.json
    root_token_file: /srv/securetransport/authority/admin/root-token
"""

RETURN = r""" # """

from ..module_utils._openbao.client import CONNECTED
from ..module_utils._openbao.system import InitSpec, ensure_initialised
from ..module_utils._runner import run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "recovery_keys_file": {"type": "path", "required": True, "no_log": False},
        "root_token_file": {"type": "path", "required": True, "no_log": False},
        "recovery_shares": {"type": "int", "default": 5},
        "recovery_threshold": {"type": "int", "default": 3},
    }
    run_remote(CONNECTED, options, ensure_initialised, lambda params: spec_of(InitSpec, params))


if __name__ == "__main__":
    main()
