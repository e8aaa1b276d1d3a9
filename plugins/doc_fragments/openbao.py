# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules for OpenBao share."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach OpenBao, and with ``.auth`` as whom."""

    DOCUMENTATION = r"""
options:
  address:
    description:
      - The nodes' URLs, each with C(https://).
      - Calls go to the active node if it is among them, else through a standby to it.
    type: list
    elements: str
    required: true
  ca_file:
    description: PEM file with the CA that vouches for the nodes' certificates.
    type: path
    required: true
  timeout:
    description: Longest wait in seconds, V(1) to V(3600), for one answer and for a leader to be there.
    type: int
    default: 30
requirements:
  - hvac >= 2.4.0
notes:
  - Nothing from the environment (proxies, C(VAULT_TOKEN), C(VAULT_CLIENT_CERT) or C(BAO_ADDR)) changes where a
    call goes or as whom, and no redirect is followed.
"""

    AUTH = r"""
options:
  token_file:
    description:
      - File that holds a token, for example the sink of a bao agent.
      - Exactly one of O(token_file) and O(role_id_file) is needed.
    type: path
  role_id_file:
    description:
      - File that holds the role-id of an AppRole to log in with.
      - Each call logs in anew; the token is not kept, and is revoked at the end unless it is a
        batch token.
    type: path
  secret_id_file:
    description: File that holds the secret-id that belongs to O(role_id_file).
    type: path
  approle_mount:
    description: Where the AppRole method is mounted.
    type: str
    default: approle
"""
