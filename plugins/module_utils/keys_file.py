# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Files of public keys that agents pin: the authority's and the administrators'."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypedDict

from ansible_collections.securetransport.platform.plugins.module_utils.core_library import (
    merged_keys_text,
)
from ansible_collections.securetransport.platform.plugins.module_utils.files import (
    PUBLIC,
    has_mode,
    read_optional,
    write_file,
)


class PublicKey(TypedDict):
    """One entry of a keys file; ``public_key`` is base64."""

    key_id: str
    algorithm: str
    public_key: str


def publish_keys(
    path: str,
    keys: Sequence[PublicKey],
    *,
    option: str,
    is_replaced: Callable[[str], bool],
    check_mode: bool,
) -> bool:
    """Put public keys beside the others of a file, of mode 0644; tell whether it differs.

    Args:
        path: The file; made if missing.
        keys: What it must hold.
        option: What to name in errors.
        is_replaced: Whether an entry of the file with this key id goes when it is not in ``keys``.
        check_mode: Whether only to tell.

    Raises:
        PlatformError: The file is there and is not such a file, or cannot be written.
    """
    if not keys:
        # In check mode the key does not exist yet, so neither does its public part.
        return True
    before = read_optional(path, option=option)
    after = merged_keys_text(before, keys, is_replaced=is_replaced, what=f"{option}: {path}")
    is_changed = before != after or not has_mode(path, PUBLIC)
    if is_changed and not check_mode:
        write_file(path, after, option=option, mode=PUBLIC)
    return is_changed
