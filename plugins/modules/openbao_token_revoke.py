#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_token_revoke``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_token_revoke
short_description: Revoke the OpenBao token in a file and remove the file
description:
  - Revokes a token, for example the initial root token after the set-up, and removes its file.
  - A missing file is what was wanted. Of a token that OpenBao does not know any more only the file
    is removed.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.attributes
options:
  token_file:
    description: The file.
    type: path
    required: true
"""

EXAMPLES = r"""
- name: End the initial root token
  securetransport.platform.openbao_token_revoke:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /srv/securetransport/authority/admin/root-token
"""

RETURN = r""" # """

from ..module_utils._openbao.client import CONNECTED
from ..module_utils._openbao.system import end_token
from ..module_utils._runner import run_remote


def main() -> None:
    """Run the module."""
    options = {"token_file": {"type": "path", "required": True, "no_log": False}}
    run_remote(CONNECTED, options, end_token, lambda params: params["token_file"])


if __name__ == "__main__":
    main()
