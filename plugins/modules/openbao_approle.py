#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``openbao_approle``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: openbao_approle
short_description: Define an AppRole of OpenBao
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
description:
  - Makes an AppRole exist with exactly the options given.
  - An option that is not given is put back to OpenBao's default, so a right added by hand
    does not stay.
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
    description: Where the AppRole method is mounted.
    type: str
    default: approle
  token_policies:
    description: Policies of the tokens that a login gives.
    type: list
    elements: str
  token_no_default_policy:
    description: Whether tokens do without the policy V(default).
    type: bool
  token_type:
    description: Kind of token that a login gives.
    type: str
    choices: [default, service, batch]
  token_ttl:
    description: Life of a token; seconds or a duration such as V(20m).
    type: str
  token_max_ttl:
    description: Longest life of a token including renewals.
    type: str
  token_explicit_max_ttl:
    description: Longest life of a token that also later changes of the mount cannot lengthen.
    type: str
  token_period:
    description: Makes tokens periodic, renewable for ever within this time.
    type: str
  token_num_uses:
    description: How many calls a token is good for; V(0) for any number.
    type: int
  token_bound_cidrs:
    description: Networks that tokens may be used from.
    type: list
    elements: str
  bind_secret_id:
    description: Whether a login needs a secret-id.
    type: bool
  secret_id_ttl:
    description: Life of a secret-id; V(0) for ever.
    type: str
  secret_id_num_uses:
    description: How many logins a secret-id is good for; V(0) for any number.
    type: int
  secret_id_bound_cidrs:
    description: Networks that a login may come from.
    type: list
    elements: str
  state:
    description: Whether the role must exist; V(absent) also ends its secret-ids.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.openbao_approle_secret_id
  - module: securetransport.platform.openbao_policy
"""

EXAMPLES = r"""
- name: Define the role of a service
  securetransport.platform.openbao_approle:
    address: https://127.0.0.1:8200
    ca_file: /etc/openbao/tls/ca.crt
    token_file: /run/securetransport/token
    name: gatekeeper
    token_policies: [gatekeeper]
    token_no_default_policy: true
    token_ttl: 20m
    token_max_ttl: 1h
"""

RETURN = r""" # """

from collections.abc import Mapping
from typing import Any

from ..module_utils._openbao.access import APPROLE_DEFAULTS, AppRoleSpec, ensure_approle
from ..module_utils._openbao.client import LOGGED_IN
from ..module_utils._runner import STATE, run_remote


def wanted(params: Mapping[str, Any]) -> AppRoleSpec:
    """Return the role; an option that was not given is none of its parameters."""
    given = {name: params[name] for name in APPROLE_DEFAULTS if params[name] is not None}
    return AppRoleSpec(params["name"], given, params["mount"], params["state"])


def main() -> None:
    """Run the module."""
    options = {
        "name": {"type": "str", "required": True},
        "mount": {"type": "str", "default": "approle"},
        "token_policies": {"type": "list", "elements": "str", "no_log": False},
        "token_no_default_policy": {"type": "bool"},
        "token_type": {"type": "str", "choices": ["default", "service", "batch"]},
        "token_ttl": {"type": "str", "no_log": False},
        "token_max_ttl": {"type": "str", "no_log": False},
        "token_explicit_max_ttl": {"type": "str", "no_log": False},
        "token_period": {"type": "str"},
        "token_num_uses": {"type": "int", "no_log": False},
        "token_bound_cidrs": {"type": "list", "elements": "str", "no_log": False},
        "bind_secret_id": {"type": "bool"},
        "secret_id_ttl": {"type": "str", "no_log": False},
        "secret_id_num_uses": {"type": "int", "no_log": False},
        "secret_id_bound_cidrs": {"type": "list", "elements": "str", "no_log": False},
        "state": STATE,
    }
    run_remote(LOGGED_IN, options, ensure_approle, wanted)


if __name__ == "__main__":
    main()
