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
attributes:
  check_mode:
    support: full
    description: Reports what would change and changes nothing.
  diff_mode:
    support: full
    description: Shows the content of changed files, except of files that are O(files[].secret) or random.
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
        description: Permissions as an octal string.
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
        description: Make the file of this many random bytes if it is missing; an existing file is kept as it is.
        type: int
      mode:
        description: Permissions as an octal string.
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

import os
import secrets
import stat
import tempfile

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.common.text.converters import to_bytes, to_native, to_text
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError


def parse_mode(text: str) -> int:
    """Return an octal string as permissions; others may never write.

    Raises:
        PlatformError: Not octal, or writable for the world.
    """
    try:
        mode = int(text, 8)
    except ValueError:
        raise PlatformError(f"mode {text!r} is not an octal number") from None
    if mode & ~0o777 or mode & 0o002:
        raise PlatformError(f"mode {text!r} is outside 0000-0775")
    return mode


def state_of(path: str) -> os.stat_result | None:
    """Return the path's own status, not that of a link's target; ``None`` when nothing is there."""
    try:
        return os.lstat(path)
    except FileNotFoundError:
        return None


def write_atomic(path: str, data: bytes, mode: int) -> None:
    """Put ``data`` at ``path`` so that a reader sees the old or the new content, never a part."""
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".file-set-")
    try:
        with os.fdopen(handle, "wb") as stream:
            os.fchmod(stream.fileno(), mode)
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


class FileSet:
    """Brings a set of files and directories to the wanted state and remembers what changed."""

    def __init__(self, *, dry: bool) -> None:
        self.dry = dry
        self.changed: list[str] = []
        self.diffs: list[dict[str, str]] = []

    def directory(self, path: str, mode: int) -> None:
        """Have the directory ``path`` with ``mode``."""
        found = state_of(path)
        if found is None:
            parent = os.path.dirname(path)
            if parent != path and state_of(parent) is None:
                self.directory(parent, mode)
            self._note(path, before="absent\n", after=f"directory, mode {mode:04o}\n")
            if not self.dry:
                os.mkdir(path, mode)
                os.chmod(path, mode)
            return
        if not stat.S_ISDIR(found.st_mode):
            raise PlatformError(f"{path} exists and is not a directory")
        self._permissions(path, stat.S_IMODE(found.st_mode), mode)

    def file(self, path: str, data: bytes, mode: int, *, secret: bool) -> None:
        """Have the file ``path`` with the content ``data`` and ``mode``."""
        found = self._regular(path)
        before = b""
        if found is not None:
            with open(path, "rb") as stream:
                before = stream.read()
            if before == data:
                self._permissions(path, stat.S_IMODE(found.st_mode), mode)
                return
        hidden = "(secret)\n"
        self._note(
            path,
            before=hidden if secret and found else to_text(before, errors="replace"),
            after="(new secret)\n" if secret else to_text(data, errors="replace"),
        )
        if not self.dry:
            write_atomic(path, data, mode)

    def random_file(self, path: str, size: int, mode: int) -> None:
        """Have the file ``path``; a missing one is made of ``size`` random bytes."""
        found = self._regular(path)
        if found is None:
            self.file(path, secrets.token_bytes(size), mode, secret=True)
        elif found.st_size != size:
            raise PlatformError(
                f"{path} has {found.st_size} bytes instead of {size}; it is not replaced"
            )
        else:
            self._permissions(path, stat.S_IMODE(found.st_mode), mode)

    def remove(self, path: str) -> None:
        """Have no file at ``path``."""
        if self._regular(path) is None:
            return
        self._note(path, before="present\n", after="absent\n")
        if not self.dry:
            os.unlink(path)

    def _regular(self, path: str) -> os.stat_result | None:
        found = state_of(path)
        if found is not None and not stat.S_ISREG(found.st_mode):
            raise PlatformError(f"{path} exists and is not a regular file")
        return found

    def _permissions(self, path: str, before: int, after: int) -> None:
        if before != after:
            self._note(path, before=f"mode {before:04o}\n", after=f"mode {after:04o}\n")
            if not self.dry:
                os.chmod(path, after)

    def _note(self, path: str, *, before: str, after: str) -> None:
        self.changed.append(path)
        self.diffs.append(
            {"before_header": path, "after_header": path, "before": before, "after": after}
        )


def apply(module: AnsibleModule, files: FileSet) -> None:
    """Carry out the module's parameters in the order directories, files, absent."""
    for entry in module.params["directories"]:
        files.directory(entry["path"], parse_mode(entry["mode"]))
    for entry in module.params["files"]:
        mode = parse_mode(entry["mode"])
        if entry["random_bytes"] is not None:
            files.random_file(entry["path"], entry["random_bytes"], mode)
        else:
            files.file(entry["path"], to_bytes(entry["content"]), mode, secret=entry["secret"])
    for path in module.params["absent"]:
        files.remove(path)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "directories": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "mode": {"type": "str", "default": "0700"},
                },
            },
            "files": {
                "type": "list",
                "elements": "dict",
                "default": [],
                "options": {
                    "path": {"type": "path", "required": True},
                    "content": {"type": "str"},
                    "random_bytes": {"type": "int"},
                    "mode": {"type": "str", "default": "0600"},
                    # A flag, not a secret itself.
                    "secret": {"type": "bool", "default": False, "no_log": False},
                },
                "mutually_exclusive": [("content", "random_bytes")],
                "required_one_of": [("content", "random_bytes")],
            },
            "absent": {"type": "list", "elements": "path", "default": []},
        },
        supports_check_mode=True,
    )
    files = FileSet(dry=module.check_mode)
    try:
        apply(module, files)
    except (PlatformError, OSError) as err:
        module.fail_json(msg=to_native(err), changed_paths=files.changed)
    module.exit_json(changed=bool(files.changed), changed_paths=files.changed, diff=files.diffs)


if __name__ == "__main__":
    main()
