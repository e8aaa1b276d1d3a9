# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The administrator's key, which signs the ACL."""

from __future__ import annotations

import base64
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .. import _core
from .._outcome import Outcome
from .files import PRIVATE, has_mode, read_optional, write_file
from .keys_file import publish_keys


@dataclass(frozen=True, slots=True)
class AdministratorSpec:
    """Where the two halves of the key belong.

    Attributes:
        key_file: The private key.
        public_keys_file: The public keys of all administrators; ``None`` for none.
    """

    key_file: str
    public_keys_file: str | None = None


def ensure_administrator(spec: AdministratorSpec, check_mode: bool) -> Outcome:
    """Make an administrator's key file exist, and its public part be in the keys file.

    Raises:
        PlatformError: The file holds something else, or cannot be written.
    """
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    key: _core.signing.SigningKey | None = None
    with _core.translated("key_file"):
        text = read_optional(spec.key_file, option="key_file")
        if text is None:
            after["key_file"] = f"new {_core.signing.ML_DSA_65} key"
            if not check_mode:
                text = _core.signing.generate_key_pem(_core.signing.ML_DSA_65)
                write_file(spec.key_file, text, option="key_file")
        elif not has_mode(spec.key_file, PRIVATE):
            before["mode"], after["mode"] = "too open", "0600"
            if not check_mode:
                Path(spec.key_file).chmod(PRIVATE)
        if text is not None:
            key = _core.signing.signing_key_from_pem(text)
    if spec.public_keys_file is not None and _publish(key, spec.public_keys_file, check_mode):
        after["public_keys_file"] = key.key_id if key else "new key"
    facts = {} if key is None else _facts(key)
    return Outcome(changed=bool(after), before=before, after=after, facts=facts)


def _publish(key: _core.signing.SigningKey | None, path: str, check_mode: bool) -> bool:
    keys = None
    if key is not None:
        keys = _core.documents.AuthorityKeys({key.key_id: (key.algorithm, key.public_key)})
    return publish_keys(
        path,
        keys,
        option="public_keys_file",
        is_replaced=lambda _key_id: False,
        check_mode=check_mode,
    )


def _facts(key: _core.signing.SigningKey) -> dict[str, str]:
    return {
        "key_id": key.key_id,
        "algorithm": key.algorithm,
        "public_key": base64.b64encode(key.public_key).decode("ascii"),
    }
