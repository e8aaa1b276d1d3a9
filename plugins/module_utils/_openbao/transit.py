# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transit keys of OpenBao, and the file with the authority's public keys."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from .. import _core
from .._errors import ImmutableFieldError
from .._local.keys_file import publish_keys
from .._outcome import Outcome, reconcile
from .._values import clean_path
from .client import OpenBao

# Keys stay in OpenBao, what they protect is never lost, and only the authority makes versions.
_FIXED: Final = {"exportable": False, "deletion_allowed": False, "auto_rotate_period": 0}


@dataclass(frozen=True, slots=True)
class TransitKeySpec:
    """A transit key.

    Attributes:
        name: Its name.
        type: Its type, for example ``mldsa-65``.
        keys_file: File that its public versions belong into, for one that signs; ``None`` for none.
        mount: Where the engine is mounted.
    """

    name: str
    type: str
    keys_file: str | None = None
    mount: str = "transit"


def ensure_transit_key(bao: OpenBao, spec: TransitKeySpec, check_mode: bool) -> Outcome:
    """Make a transit key exist, and its public part be in the keys file.

    Nothing makes a key exportable, and nothing deletes one.

    Raises:
        PlatformError: The key is of another type or exportable, or OpenBao refuses.
    """
    name = clean_path(spec.name, option="name")
    path = f"{clean_path(spec.mount, option='mount')}/keys/{name}"
    wanted: dict[str, Any] = {"type": spec.type, **_FIXED}
    current = bao.read(path)
    for field in ("type", "exportable"):
        if current is not None and current[field] != wanted[field]:
            raise ImmutableFieldError(f"transit key {name}", field, current[field], wanted[field])
    outcome = reconcile(
        None if current is None else {field: current[field] for field in wanted},
        wanted,
        apply=lambda: _apply(bao, path, wanted, is_new=current is None),
        check_mode=check_mode,
    )
    if spec.keys_file is None or not _publish(bao, path, name, spec.keys_file, check_mode):
        return outcome
    after = {**(wanted if outcome.changed else {}), "keys_file": spec.keys_file}
    return Outcome(True, outcome.before, after)


def _apply(bao: OpenBao, path: str, wanted: Mapping[str, Any], *, is_new: bool) -> None:
    if is_new:
        bao.write(path, {"type": wanted["type"], "exportable": False})
    tuned = ("deletion_allowed", "auto_rotate_period")
    bao.write(f"{path}/config", {field: wanted[field] for field in tuned})


def _publish(bao: OpenBao, path: str, name: str, keys_file: str, check_mode: bool) -> bool:
    """Put every version's public key into the file; tell whether it differs."""
    answer = bao.read(path)
    with _core.translated(f"transit key {name}"):
        keys = None if answer is None else _core.documents.AuthorityKeys.from_transit(answer)
    return publish_keys(
        keys_file,
        keys,
        option="keys_file",
        is_replaced=lambda key_id: key_id.rpartition(":v")[0] == name,
        check_mode=check_mode,
    )
