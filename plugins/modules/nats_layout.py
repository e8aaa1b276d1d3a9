#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later


"""Ansible module ``nats_layout``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_layout
short_description: Make all streams and consumers of a compiled ACL
description:
  - Does for all streams and durables of a compiled ACL what M(securetransport.platform.nats_stream) and
    M(securetransport.platform.nats_consumer) do for one each, in a single module run.
  - Removes nothing; a stream that the ACL does not name any more may still hold messages.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.nats
  - securetransport.platform.attributes
options:
  streams:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
  consumers:
    description: As M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
seealso:
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Compile the ACL
  securetransport.platform.acl_info:
    acl_file: acl.yml
  register: acl

- name: Make its streams and consumers
  securetransport.platform.nats_layout:
    servers: [tls://127.0.0.1:24210]
    ca_file: /run/securetransport/admin/ca.crt
    client_cert: /run/securetransport/admin/admin.crt
    client_key: /run/securetransport/admin/admin.key
    streams: "{{ acl.streams }}"
    consumers: "{{ acl.consumers }}"
"""

RETURN = r"""
changed_objects:
  description: What was made or changed.
  returned: always
  type: list
  elements: str
  sample: ["stream AUTH_STREAM"]
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.nats import CONNECTION_SPEC
from ansible_collections.securetransport.platform.plugins.module_utils.nats_layout import (
    ensure_layout,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    compiled = {"type": "list", "elements": "dict", "required": True}
    module = AnsibleModule(
        {**CONNECTION_SPEC, "streams": compiled, "consumers": compiled}, supports_check_mode=True
    )
    run(module, ensure_layout)


if __name__ == "__main__":
    main()
