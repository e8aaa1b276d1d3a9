#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Ansible module ``openbao_engines``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_engines
short_description: Mount OpenBao's engines, make the root and the authority's keys
description:
  - Mounts secret engines, makes or adopts the root, and makes the keys that sign for the authority, in a single
    module run.
  - What cannot be changed on an existing object is an error, and then nothing is changed.
  - The root's key never leaves OpenBao. A mount that has a root of this name keeps it, whatever its key and age;
    a second root is never made, and a mount with a root of another name is an error.
  - The signing keys never leave OpenBao and are never deleted; their public halves are put into O(keys_file).
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.openbao
  - securetransport.platform.openbao.auth
  - securetransport.platform.attributes
options:
  mounts:
    description: Secret engines to mount, in this order.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: Where it is mounted.
        type: str
        required: true
      type:
        description: Type of the engine.
        type: str
        required: true
      description:
        description: What people read in the list of mounts.
        type: str
      max_lease_ttl:
        description: Longest lease time; seconds or a duration. A CA cannot live longer than this on its mount.
        type: str
      kv_cas_required:
        description: Whether each write to a KV mount must name the version it replaces.
        type: bool
        default: false
  root:
    description: The root, made after its mount.
    type: dict
    required: true
    suboptions:
      mount:
        description: Where it lies; the mount's longest lease time must allow O(root.ttl).
        type: str
        default: pki
      common_name:
        description: By which it is recognised.
        type: str
        required: true
      issuer_name:
        description: Name of the issuer inside OpenBao.
        type: str
        default: root
      ttl:
        description: Life of a new root; seconds or a duration.
        type: str
        default: 87600h
      key_type:
        description: Kind of key of a new root.
        type: str
        choices: [ec, rsa, ed25519, mldsa]
        default: ec
      max_path_length:
        description: How many intermediates may follow below a new root.
        type: int
        default: 1
  signing_keys:
    description: Transit keys that sign for the authority.
    type: list
    elements: str
    required: true
  signing_key_type:
    description: Their type, which cannot be changed on existing keys.
    type: str
    choices: [mldsa-65, mldsa-87]
    default: mldsa-65
  keys_file:
    description:
      - File of mode 0644 with their public halves, which members pin, in JSON.
      - The versions of these keys are replaced in it, those of other keys stay.
    type: path
    required: true
requirements:
  - securetransport >= 0.1.0
seealso:
  - module: securetransport.platform.openbao_rights
"""

EXAMPLES = r"""
- name: Mount engines and make keys
  securetransport.platform.openbao_engines:
    address: https://127.0.0.1:24200
    ca_file: /srv/securetransport/authority/tls/ca.crt
    role_id_file: /srv/securetransport/authority/ansible-admin/role-id
    secret_id_file: /srv/securetransport/authority/ansible-admin/secret-id
    mounts:
      - path: pki
        type: pki
        max_lease_ttl: 87600h
      - path: transit
        type: transit
    root:
      common_name: securetransport.local root
    signing_keys: [authority-signing]
    keys_file: /srv/securetransport/authority/admin/authority-keys.json
"""

RETURN = r"""
changed_objects:
  description: What was made or changed.
  returned: always
  type: list
  elements: str
  sample: ["mount pki"]
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._openbao.mounts import MountSpec
from ..module_utils._openbao.pki import RootSpec
from ..module_utils._openbao.rights import EnginesSpec, ensure_engines
from ..module_utils._openbao.transit import TransitKeySpec
from ..module_utils._runner import run_remote


def wanted(params: Mapping[str, Any]) -> EnginesSpec:
    """Return mounts, root and keys."""
    kind, keys_file = params["signing_key_type"], params["keys_file"]
    return EnginesSpec(
        tuple(MountSpec(**entry) for entry in params["mounts"]),
        RootSpec(**params["root"]),
        tuple(TransitKeySpec(name, kind, keys_file) for name in params["signing_keys"]),
    )


def main() -> None:
    """Run the module."""
    mount = {
        "path": {"type": "str", "required": True},
        "type": {"type": "str", "required": True},
        "description": {"type": "str"},
        "max_lease_ttl": {"type": "str"},
        "kv_cas_required": {"type": "bool", "default": False},
    }
    root = {
        "mount": {"type": "str", "default": "pki"},
        "common_name": {"type": "str", "required": True},
        "issuer_name": {"type": "str", "default": "root"},
        "ttl": {"type": "str", "default": "87600h"},
        "key_type": {
            "type": "str",
            "choices": ["ec", "rsa", "ed25519", "mldsa"],
            "default": "ec",
            "no_log": False,
        },
        "max_path_length": {"type": "int", "default": 1},
    }
    options = {
        "mounts": {"type": "list", "elements": "dict", "required": True, "options": mount},
        "root": {"type": "dict", "required": True, "options": root},
        "signing_keys": {"type": "list", "elements": "str", "required": True, "no_log": False},
        "signing_key_type": {
            "type": "str",
            "choices": ["mldsa-65", "mldsa-87"],
            "default": "mldsa-65",
            "no_log": False,
        },
        "keys_file": {"type": "path", "required": True, "no_log": False},
    }
    run_remote(LOGGED_IN, options, ensure_engines, wanted)


if __name__ == "__main__":
    main()
