# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The administrator's key, which signs the ACL."""

from __future__ import annotations

import base64
from contextlib import suppress
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.core_library import (
    core_errors,
)
from ansible_collections.securetransport.platform.plugins.module_utils.files import (
    PRIVATE,
    has_mode,
    read_optional,
    write_file,
)
from ansible_collections.securetransport.platform.plugins.module_utils.keys_file import (
    PublicKey,
    publish_keys,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome

# Where it is missing, core_errors, which is entered first, says so.
with suppress(ImportError):
    from securetransport.core.crypto import signing


def ensure_key(module: AnsibleModule) -> Outcome:
    """Make an administrator's key file exist, and its public part be in the keys file.

    Raises:
        PlatformError: The file holds something else, or cannot be written.
    """
    params = module.params
    before: dict[str, Any] = {}
    after: dict[str, Any] = {}
    public: PublicKey | None = None
    with core_errors("key_file"):
        text = read_optional(params["key_file"], option="key_file")
        if text is None:
            after["key_file"] = f"new {signing.ML_DSA_65} key"
            if not module.check_mode:
                text = signing.generate_key_pem(signing.ML_DSA_65)
                write_file(params["key_file"], text, option="key_file")
        elif not has_mode(params["key_file"], PRIVATE):
            before["mode"], after["mode"] = "too open", "0600"
            if not module.check_mode:
                Path(params["key_file"]).chmod(PRIVATE)
        if text is not None:
            public = _public_part(text)
    is_public_changed = bool(params["public_keys_file"]) and publish_keys(
        params["public_keys_file"],
        [public] if public else [],
        option="public_keys_file",
        is_replaced=lambda _key_id: False,
        check_mode=module.check_mode,
    )
    if is_public_changed:
        after["public_keys_file"] = public["key_id"] if public else "new key"
    return Outcome(changed=bool(after), before=before, after=after, facts=public or {})


def _public_part(pem: str) -> PublicKey:
    key = signing.signing_key_from_pem(pem)
    return PublicKey(
        key_id=key.key_id,
        algorithm=key.algorithm,
        public_key=base64.b64encode(key.public_key).decode("ascii"),
    )
