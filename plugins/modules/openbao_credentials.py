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
  - Does in a single module run what M(securetransport.platform.openbao_approle_secret_id) does for one AppRole.
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

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.batch import Batch
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import openbao_module
from ansible_collections.securetransport.platform.plugins.module_utils.openbao_secret_id import (
    ensure_secret_id,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome, run


def deliver(module: AnsibleModule) -> Outcome:
    """Deliver all of them, each to its own files.

    Raises:
        PlatformError: A role does not exist, or a file cannot be written; the text says which.
    """
    batch = Batch(module)
    for entry in module.params["credentials"]:
        batch.ensure(
            entry["secret_id_dest"], ensure_secret_id, mount="approle", force=False, **entry
        )
    return batch.outcome()


def main() -> None:
    """Run the module."""
    module = openbao_module(
        {
            "credentials": {
                "type": "list",
                "elements": "dict",
                "required": True,
                # The values are paths; what lies there is never shown.
                "no_log": False,
                "options": {
                    "name": {"type": "str", "required": True},
                    "role_id_dest": {"type": "path", "required": True},
                    "secret_id_dest": {"type": "path", "required": True, "no_log": False},
                },
            },
        },
    )
    run(module, deliver)


if __name__ == "__main__":
    main()
