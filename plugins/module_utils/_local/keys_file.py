# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of public keys that agents pin: the authority's and the administrators'."""

from __future__ import annotations

from collections.abc import Callable

from .. import _core
from .files import PUBLIC, has_mode, read_optional, write_file


def publish_keys(
    path: str,
    keys: _core.documents.AuthorityKeys | None,
    *,
    option: str,
    is_replaced: Callable[[str], bool],
    check_mode: bool,
) -> bool:
    """Put public keys beside the others of a file, of mode 0644; tell whether it differs.

    Args:
        path: The file; made if missing.
        keys: What it must hold; ``None`` when they are only to be made.
        option: What to name in errors.
        is_replaced: Whether an entry of the file with this key id goes when it is not in ``keys``.
        check_mode: Whether only to tell.

    Raises:
        LibraryError: The Python package that reads the file is not there.
        PlatformError: The file is there and is not such a file, or cannot be written.
    """
    before = read_optional(path, option=option)
    with _core.translated(f"{option}: {path}"):
        pinned = _core.documents.AuthorityKeys.from_json(before).keys if before else {}
        if keys is None:
            return True
        others = {
            key_id: key
            for key_id, key in pinned.items()
            if key_id not in keys.keys and not is_replaced(key_id)
        }
        after = _core.documents.AuthorityKeys({**others, **keys.keys}).to_json()
    is_changed = before != after or not has_mode(path, PUBLIC)
    if is_changed and not check_mode:
        write_file(path, after, option=option, mode=PUBLIC)
    return is_changed
