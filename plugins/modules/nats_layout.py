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
  - Makes every stream and durable pull consumer exist with exactly the fields given, in a single module run;
    a change made by hand is taken back.
  - A field that the servers cannot change on an existing object is an error, and then nothing is changed. So is what
    they would refuse for another reason, or delete messages for, a renamed stream, a smaller size than the stream
    holds, a renamed durable of a work queue; check mode says so, too.
  - Removes nothing; a stream that the ACL does not name any more may still hold messages.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.nats
  - securetransport.platform.attributes
options:
  streams:
    description:
      - The streams, as M(securetransport.platform.acl_info) returns them.
      - Fields as JetStream's API names them, C(name) among them; durations are nanoseconds.
    type: list
    elements: dict
    required: true
  consumers:
    description: The durables, as M(securetransport.platform.acl_info) returns them.
    type: list
    elements: dict
    required: true
    suboptions:
      stream_name:
        description: Stream that it reads.
        type: str
        required: true
      config:
        description: Fields as JetStream's API names them, C(durable_name) among them; durations are nanoseconds.
        type: dict
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

from collections.abc import Mapping
from typing import Any

from ..module_utils._nats.client import JETSTREAM
from ..module_utils._nats.streams import ConsumerSpec, LayoutSpec, StreamSpec, ensure_layout
from ..module_utils._runner import run_remote


def wanted(params: Mapping[str, Any]) -> LayoutSpec:
    """Return all streams and durables."""
    return LayoutSpec(
        tuple(StreamSpec(entry) for entry in params["streams"]),
        tuple(ConsumerSpec(**entry) for entry in params["consumers"]),
    )


def main() -> None:
    """Run the module."""
    consumer = {
        "stream_name": {"type": "str", "required": True},
        "config": {"type": "dict", "required": True},
    }
    options = {
        "streams": {"type": "list", "elements": "dict", "required": True},
        "consumers": {"type": "list", "elements": "dict", "required": True, "options": consumer},
    }
    run_remote(JETSTREAM, options, ensure_layout, wanted)


if __name__ == "__main__":
    main()
