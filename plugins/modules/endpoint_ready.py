#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until HTTP endpoints answer as wanted."""

from __future__ import annotations

DOCUMENTATION = r"""
module: endpoint_ready
short_description: Wait until HTTP endpoints answer as wanted
version_added: 0.1.0
description:
  - Asks a set of health endpoints, over and over and all in one module run, until each has answered with an
    accepted status once, or the time is up.
  - On time-out it fails with one line per endpoint that says what it answered last.
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.attributes.info
options:
  endpoints:
    description: The endpoints to ask.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description: What people call it; part of the failure message.
        type: str
        required: true
      url:
        description: URL starting with V(http://) or V(https://).
        type: str
        required: true
      status:
        description: Accepted status codes.
        type: list
        elements: int
        default: [200]
      ca_file:
        description: Certificates that an V(https://) endpoint must chain to. The system's store is never used.
        type: path
      log_file:
        description: File that the failure message names as the place to look.
        type: path
  timeout:
    description: Seconds until it gives up; V(0) asks each endpoint once.
    type: float
    default: 60
  interval:
    description: Seconds between two rounds.
    type: float
    default: 0.25
"""

EXAMPLES = r"""
- name: Wait for the watcher
  securetransport.platform.endpoint_ready:
    endpoints:
      - name: watcher-1
        url: http://127.0.0.1:24225/readyz
    timeout: 30
"""

RETURN = r"""
endpoints:
  description: The last answer of each endpoint.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Its name.
      type: str
    is_ready:
      description: Whether the status was accepted.
      type: bool
    answer:
      description: Status and the beginning of the body, or why there was none.
      type: str
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._local.endpoints import EndpointSpec, WaitSpec, wait_until_ready
from ..module_utils._runner import run_local


def wanted(params: Mapping[str, Any]) -> WaitSpec:
    """Return what to wait for."""
    endpoints = tuple(EndpointSpec(**entry) for entry in params["endpoints"])
    return WaitSpec(endpoints, params["timeout"], params["interval"])


def main() -> None:
    """Run the module."""
    endpoint = {
        "name": {"type": "str", "required": True},
        "url": {"type": "str", "required": True},
        "status": {"type": "list", "elements": "int", "default": [200]},
        "ca_file": {"type": "path"},
        "log_file": {"type": "path"},
    }
    options = {
        "endpoints": {"type": "list", "elements": "dict", "required": True, "options": endpoint},
        "timeout": {"type": "float", "default": 60},
        "interval": {"type": "float", "default": 0.25},
    }
    run_local(options, wait_until_ready, wanted)


if __name__ == "__main__":
    main()
