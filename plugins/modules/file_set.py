#!/usr/bin/python
# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write a set of small files and directories in one step."""

from __future__ import annotations

DOCUMENTATION = r"""
module: file_set
short_description: Write a set of small files and directories in one step
version_added: 0.1.0
description:
  - Creates directories and writes files atomically, all in one module run, so that a role with many small
    files stays quick.
  - Symbolic links in place of a wanted file or directory are refused, never followed.
author:
  - SecureTransport contributors (@securetransport)
extends_documentation_fragment:
  - securetransport.platform.attributes
options:
  directories:
    description: Directories to have, parents before children; missing parents are made with the same mode.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path.
        type: path
        required: true
      mode:
        description: Permissions, four octal digits in quotes; never writable for everybody.
        type: str
        default: "0700"
  files:
    description: Files to have. Exactly one of O(files[].content) and O(files[].random_bytes) per file.
    type: list
    elements: dict
    default: []
    suboptions:
      path:
        description: Absolute path; its directory must exist or be one of O(directories).
        type: path
        required: true
      content:
        description: The text of the file.
        type: str
      random_bytes:
        description:
          - Make the file of this many random bytes, V(1) to V(65536), if it is missing.
          - An existing file is kept as it is.
        type: int
      mode:
        description: Permissions, four octal digits in quotes; never writable for everybody.
        type: str
        default: "0600"
      secret:
        description: Keep the content out of the diff.
        type: bool
        default: false
  absent:
    description: Files to remove; a missing one is fine, a directory is refused.
    type: list
    elements: path
    default: []
"""

EXAMPLES = r"""
- name: Write the configuration of a node
  securetransport.platform.file_set:
    directories:
      - path: /tmp/example-node
    files:
      - path: /tmp/example-node/config.toml
        content: |
          [health]
          port = 24220
      - path: /tmp/example-node/unseal.key
        random_bytes: 32
"""

RETURN = r"""
changed_paths:
  description: Paths that were made, written, removed or given another mode.
  returned: always
  type: list
  elements: str
  sample: ["/tmp/example-node/config.toml"]
"""

from collections.abc import Mapping
from typing import Any

from ..module_utils._local.file_set import DirectorySpec, FileSetSpec, FileSpec, ensure_file_set
from ..module_utils._runner import run_local


def wanted(params: Mapping[str, Any]) -> FileSetSpec:
    """Return what to bring about."""
    return FileSetSpec(
        tuple(DirectorySpec(**entry) for entry in params["directories"]),
        tuple(FileSpec(**entry) for entry in params["files"]),
        tuple(params["absent"]),
    )


def main() -> None:
    """Run the module."""
    directory = {
        "path": {"type": "path", "required": True},
        "mode": {"type": "str", "default": "0700"},
    }
    file = {
        "path": {"type": "path", "required": True},
        "content": {"type": "str"},
        "random_bytes": {"type": "int"},
        "mode": {"type": "str", "default": "0600"},
        # A flag, not a secret itself.
        "secret": {"type": "bool", "default": False, "no_log": False},
    }
    options = {
        "directories": {"type": "list", "elements": "dict", "default": [], "options": directory},
        "files": {
            "type": "list",
            "elements": "dict",
            "default": [],
            "options": file,
            "mutually_exclusive": [("content", "random_bytes")],
            "required_one_of": [("content", "random_bytes")],
        },
        "absent": {"type": "list", "elements": "path", "default": []},
    }
    run_local(options, ensure_file_set, wanted)


if __name__ == "__main__":
    main()
