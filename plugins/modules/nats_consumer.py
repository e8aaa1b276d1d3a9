#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``nats_consumer``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: nats_consumer
short_description: Define a durable consumer of JetStream
description:
  - Makes a durable pull consumer exist with exactly the fields given; a change made by hand is
    taken back.
  - A field that the server cannot change on an existing consumer is an error.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.nats
  - securetransport.platform.attributes
options:
  stream:
    description: Stream that it reads.
    type: str
    required: true
  name:
    description: Name of the durable.
    type: str
    required: true
  config:
    description:
      - Fields as JetStream's API names them, for example C(filter_subject), C(max_deliver).
      - Durations are nanoseconds, or text such as V(5s).
      - Needed with O(state=present).
    type: dict
  state:
    description: Whether the consumer must exist; V(absent) forgets what was acknowledged.
    type: str
    choices: [present, absent]
    default: present
seealso:
  - module: securetransport.platform.nats_stream
"""

EXAMPLES = r"""
- name: Let a service read its answers
  securetransport.platform.nats_consumer:
    servers: [tls://127.0.0.1:24210]
    ca_file: /srv/securetransport/servers/nats-1/managed/ca.crt
    client_cert: /run/securetransport/admin/tls.crt
    client_key: /run/securetransport/admin/tls.key
    stream: GATEKEEPER_STREAM
    name: gatekeeper
    config:
      filter_subject: gatekeeper.responses
      ack_policy: explicit
      ack_wait: 5s
      max_deliver: 20
      max_ack_pending: 1000
      num_replicas: 3
"""

RETURN = r""" # """

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.jetstream import (
    ensure_consumer,
)
from ansible_collections.securetransport.platform.plugins.module_utils.nats import CONNECTION_SPEC
from ansible_collections.securetransport.platform.plugins.module_utils.runner import run


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        {
            **CONNECTION_SPEC,
            "stream": {"type": "str", "required": True},
            "name": {"type": "str", "required": True},
            "config": {"type": "dict"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ("config",))],
        supports_check_mode=True,
    )
    run(module, ensure_consumer)


if __name__ == "__main__":
    main()
