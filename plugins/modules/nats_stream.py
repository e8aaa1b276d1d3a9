#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``nats_stream``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_stream
short_description: Define a stream of JetStream
description:
  - Makes a stream exist with exactly the fields given; a change made by hand is taken back.
  - A field that the server cannot change on an existing stream is an error.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.nats
  - securetransport.platform.attributes
options:
  name:
    description: Name of the stream.
    type: str
    required: true
  config:
    description:
      - Fields as JetStream's API names them, for example C(subjects), C(max_age), C(num_replicas).
      - Durations are nanoseconds, or text such as V(1h).
      - Needed with O(state=present).
    type: dict
  state:
    description: Whether the stream must exist; V(absent) destroys its messages.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.nats_consumer
  - module: securetransport.platform.acl_info
"""

EXAMPLES = r"""
- name: Define a work queue
  securetransport.platform.nats_stream:
    servers: [tls://127.0.0.1:24210]
    ca_file: /srv/securetransport/servers/nats-1/managed/ca.crt
    client_cert: /run/securetransport/admin/tls.crt
    client_key: /run/securetransport/admin/tls.key
    name: AUTH_STREAM
    config:
      subjects: ["auth.>"]
      retention: workqueue
      storage: file
      discard: new
      num_replicas: 3
      max_age: 1h
      max_bytes: 268435456
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.jetstream import (
    ensure_stream,
)
from ansible_collections.securetransport.platform.plugins.module_utils.nats import CONNECTION_SPEC
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            **CONNECTION_SPEC,
            "name": {"type": "str", "required": True},
            "config": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("config",))],
        supports_check_mode=True,
    )
    run(module, ensure_stream)


if __name__ == "__main__":
    main()
