#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ansible module ``ports_info``."""

from __future__ import annotations

DOCUMENTATION = r"""
module: ports_info
short_description: Check that TCP ports are free
description:
  - Checks that a server could listen on each port, and names the process that stands in the way.
  - A port that one of our own processes or its descendants holds is all right.
version_added: 0.1.0
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.attributes.info
options:
  ports:
    description: The ports.
    type: list
    elements: int
    required: true
  host:
    description: Address that is listened on.
    type: str
    default: 127.0.0.1
  own_pids:
    description: Process ids whose ports, and whose descendants' ports, are ours.
    type: list
    elements: int
"""

EXAMPLES = r"""
- name: Refuse to start onto ports of somebody else
  securetransport.platform.ports_info:
    ports: [24200, 24201, 24202]
"""

RETURN = r"""
ports:
  description: State of each port.
  returned: always
  type: list
  elements: dict
  contains:
    port:
      description: The port.
      type: int
    is_free:
      description: Whether a server could listen on it.
      type: bool
    is_own:
      description: Whether one of our own processes holds it.
      type: bool
    pid:
      description: Who holds it, if that is known.
      type: int
"""

from ..module_utils._local.ports import PortsSpec, check_ports
from ..module_utils._runner import run_local, spec_of


def main() -> None:
    """Run the module."""
    options = {
        "ports": {"type": "list", "elements": "int", "required": True},
        "host": {"type": "str", "default": "127.0.0.1"},
        "own_pids": {"type": "list", "elements": "int"},
    }
    run_local(options, check_ports, lambda params: spec_of(PortsSpec, params))


if __name__ == "__main__":
    main()
