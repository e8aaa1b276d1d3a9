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

import http.client
import ssl
import time
from typing import Any
from urllib.parse import urlsplit

from ansible.module_utils.basic import AnsibleModule

_REQUEST_SECONDS = 5.0
_BODY_BYTES = 600


def ask(endpoint: dict[str, Any]) -> tuple[bool, str]:
    """Ask one endpoint once; returns whether it is ready, and its answer in one line."""
    parts = urlsplit(endpoint["url"])
    target = parts.path + (f"?{parts.query}" if parts.query else "")
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=endpoint["ca_file"])
        context.minimum_version = ssl.TLSVersion.TLSv1_3
        connection = http.client.HTTPSConnection(
            parts.hostname, parts.port, timeout=_REQUEST_SECONDS, context=context
        )
    else:
        connection = http.client.HTTPConnection(
            parts.hostname, parts.port, timeout=_REQUEST_SECONDS
        )
    try:
        connection.request("GET", target or "/")
        response = connection.getresponse()
        body = " ".join(response.read(_BODY_BYTES).decode(errors="replace").split())
        return response.status in endpoint["status"], f"{response.status} {body}".strip()
    except (OSError, http.client.HTTPException) as err:
        return False, str(err) or type(err).__name__
    finally:
        connection.close()


def wait(
    endpoints: list[dict[str, Any]], *, timeout: float, interval: float
) -> dict[str, tuple[bool, str]]:
    """Ask until all are ready or ``timeout`` seconds are over; returns the last answers by name."""
    deadline = time.monotonic() + timeout
    answers: dict[str, tuple[bool, str]] = {}
    while True:
        for endpoint in endpoints:
            if not answers.get(endpoint["name"], (False, ""))[0]:
                answers[endpoint["name"]] = ask(endpoint)
        if all(ready for ready, _answer in answers.values()) or time.monotonic() >= deadline:
            return answers
        time.sleep(interval)


def complaint(endpoint: dict[str, Any], answer: str) -> str:
    """Return the line that tells a person what is wrong and where to look."""
    hint = f"; see {endpoint['log_file']}" if endpoint["log_file"] else ""
    return f"{endpoint['name']} at {endpoint['url']} is not ready: {answer}{hint}"


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "endpoints": {
                "type": "list",
                "elements": "dict",
                "required": True,
                "options": {
                    "name": {"type": "str", "required": True},
                    "url": {"type": "str", "required": True},
                    "status": {"type": "list", "elements": "int", "default": [200]},
                    "ca_file": {"type": "path"},
                    "log_file": {"type": "path"},
                },
            },
            "timeout": {"type": "float", "default": 60},
            "interval": {"type": "float", "default": 0.25},
        },
        supports_check_mode=True,
    )
    endpoints = module.params["endpoints"]
    for endpoint in endpoints:
        if urlsplit(endpoint["url"]).scheme not in ("http", "https"):
            module.fail_json(msg=f"{endpoint['name']}: {endpoint['url']} is not an http(s) URL")
        if endpoint["url"].startswith("https:") and not endpoint["ca_file"]:
            module.fail_json(msg=f"{endpoint['name']}: an https URL needs ca_file")
    try:
        answers = wait(
            endpoints, timeout=module.params["timeout"], interval=module.params["interval"]
        )
    except OSError as err:
        module.fail_json(msg=f"a ca_file cannot be used: {err}")
    result = [
        {"name": name, "is_ready": ready, "answer": answer}
        for name, (ready, answer) in answers.items()
    ]
    waiting = [
        complaint(endpoint, answers[endpoint["name"]][1])
        for endpoint in endpoints
        if not answers[endpoint["name"]][0]
    ]
    if waiting:
        module.fail_json(msg="\n".join(waiting), endpoints=result)
    module.exit_json(changed=False, endpoints=result)


if __name__ == "__main__":
    main()
