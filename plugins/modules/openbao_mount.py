#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_mount``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_mount
short_description: Mount a secret engine or an auth method in OpenBao
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
description:
  - Mounts a secret engine or an auth method, and tunes its lease times.
  - Type and KV version of an existing mount cannot be changed; the module says so and does
    not remount.
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  kind:
    description: Whether O(path) is a secret engine or an auth method.
    type: str
    choices: [secret, auth]
    default: secret
  path:
    description: Where it is mounted.
    type: str
    required: true
  type:
    description:
      - Type of the engine or method, for example V(kv), V(pki), V(transit) or V(approle).
      - Needed with O(state=present).
    type: str
  description:
    description: What people read in the list of mounts.
    type: str
  default_lease_ttl:
    description: Lease time when a request names none; seconds or a duration such as V(768h).
    type: str
  max_lease_ttl:
    description:
      - Longest lease time; seconds or a duration such as V(87600h).
      - A CA cannot live longer than this on its mount.
    type: str
  user_lockout:
    description:
      - Whether failed logins lock out the user or role they were made for; only with O(kind=auth).
      - OpenBao does so by default after five. Where the credential cannot be guessed, such as a secret-id, that
        protects nothing, and lets whoever knows a name keep its owner out.
    type: bool
    version_added: 0.2.0
  kv_version:
    description: Version of a mount of type V(kv).
    type: int
    choices: [1, 2]
    default: 2
  kv_cas_required:
    description: Whether each write to a KV mount of version 2 must name the version it replaces.
    type: bool
    default: false
  state:
    description:
      - V(present) mounts and tunes.
      - V(absent) unmounts, and with that B(destroys everything stored there).
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.openbao_engines
  - module: securetransport.platform.openbao_approle
"""

EXAMPLES = r"""
- name: Mount the key-value store
  securetransport.platform.openbao_mount:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    path: secret
    type: kv
    kv_cas_required: true

- name: Mount the root's PKI for ten years
  securetransport.platform.openbao_mount:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    path: pki
    type: pki
    max_lease_ttl: 87600h

- name: Enable AppRole
  securetransport.platform.openbao_mount:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    kind: auth
    path: approle
    type: approle
"""

RETURN = r""" # """

from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.mounts import MountSpec, ensure_mount
from ..module_utils._runner import STATE, run_remote, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "kind": {"type": "str", "choices": ["secret", "auth"], "default": "secret"},
        "path": {"type": "str", "required": True},
        "type": {"type": "str"},
        "description": {"type": "str"},
        "default_lease_ttl": {"type": "str"},
        "max_lease_ttl": {"type": "str"},
        "user_lockout": {"type": "bool"},
        "kv_version": {"type": "int", "choices": [1, 2], "default": 2},
        "kv_cas_required": {"type": "bool", "default": False},
        "state": STATE,
    }
    run_remote(
        LOGGED_IN,
        options,
        ensure_mount,
        lambda params: spec_of(MountSpec, params),
        required_if=[("state", "present", ("type",))],
    )


if __name__ == "__main__":
    main()
