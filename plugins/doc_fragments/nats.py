# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Documentation that the modules for NATS share."""

from __future__ import annotations


class ModuleDocFragment:
    """How to reach the message servers."""

    DOCUMENTATION = r"""
options:
  servers:
    description: URLs of the servers, for example V(tls://127.0.0.1:24210).
    type: list
    elements: str
    required: true
  ca_file:
    description:
      - PEM file with the anchors that vouch for the servers.
      - They may be intermediates; then nothing but what is in the file is trusted.
    type: path
    required: true
  client_cert:
    description: PEM file with the certificate to present; its URI decides which user this is.
    type: path
    required: true
  client_key:
    description: PEM file with the key of O(client_cert).
    type: path
    required: true
  inbox_prefix:
    description: Where answers come to; the user must be allowed to subscribe below it.
    type: str
    default: _INBOX.admin
  timeout:
    description: Longest wait in seconds, V(1) to V(3600), also for a cluster that has no leader yet.
    type: int
    default: 30
requirements:
  - securetransport >= 0.1.0
"""
