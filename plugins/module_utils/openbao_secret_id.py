# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstrap delivery of AppRole credentials to the files a bao agent reads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError
from ansible_collections.securetransport.platform.plugins.module_utils.files import (
    PRIVATE,
    has_mode,
    prepared,
    read_optional,
    remove_file,
    write_file,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    RefusedError,
    logged_in,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome
from ansible_collections.securetransport.platform.plugins.module_utils.values import clean_path

_HIDDEN = "(not shown)"


def ensure_secret_id(module: AnsibleModule) -> Outcome:
    """Make both credential files exist, or be gone together with the secret-id.

    1. A role-id that the server does not have for this role any more was made for an earlier
       installation; its secret-id is worthless, so both are written anew.
    2. Otherwise an existing secret-id is left alone: the authority renews it.
    3. Secrets go into files of mode 0600 and nowhere else.

    Raises:
        PlatformError: The role does not exist, or a file cannot be written.
    """
    params = module.params
    mount = clean_path(params["mount"], option="mount")
    role = f"auth/{mount}/role/{clean_path(params['name'], option='name')}"
    with logged_in(module) as bao:
        if params["state"] == "absent":
            return _remove(module, bao, role)
        return _deliver(module, bao, role)


def _deliver(module: AnsibleModule, bao: OpenBao, role: str) -> Outcome:
    params = module.params
    answer = bao.read(f"{role}/role-id")
    if answer is None and not module.check_mode:
        raise PlatformError(f"name: there is no AppRole {params['name']!r}; define it first")
    role_id = (answer or {}).get("role_id", "")
    module.no_log_values.add(role_id)
    in_file = read_optional(params["role_id_dest"], option="role_id_dest")
    old = read_optional(params["secret_id_dest"], option="secret_id_dest")
    is_role_new = (in_file or "").strip() != role_id
    is_secret_wanted = params["force"] or not (old or "").strip() or is_role_new
    loose = _loose_files(params)
    before, after = {}, {}
    if is_role_new:
        before["role_id"], after["role_id"] = _described(in_file), _HIDDEN
    if is_secret_wanted:
        before["secret_id"], after["secret_id"] = _described(old), "fresh, " + _HIDDEN
    for option in loose:
        before[f"{option}_mode"], after[f"{option}_mode"] = "too open", "0600"
    if not after:
        return Outcome(changed=False)
    if not module.check_mode:
        for option in loose:
            Path(params[option]).chmod(PRIVATE)
        if is_secret_wanted:
            _write_secret_id(params, bao, role, old=None if is_role_new else old)
        if is_role_new:
            write_file(params["role_id_dest"], role_id, option="role_id_dest")
    return Outcome(changed=True, before=before, after=after)


def _write_secret_id(
    params: Mapping[str, Any], bao: OpenBao, role: str, *, old: str | None
) -> None:
    """Put a fresh secret-id into its file, then end the old one, if there is one."""
    with prepared(params["secret_id_dest"], option="secret_id_dest") as file:
        file.commit(bao.write(f"{role}/secret-id", {})["secret_id"])
    if old and old.strip():
        _destroy(bao, role, old.strip())


def _loose_files(params: Mapping[str, Any]) -> list[str]:
    """Return the options whose files exist with another mode than 0600."""
    return [
        option
        for option in ("role_id_dest", "secret_id_dest")
        if Path(params[option]).exists() and not has_mode(params[option], PRIVATE)
    ]


def _remove(module: AnsibleModule, bao: OpenBao, role: str) -> Outcome:
    params = module.params
    files = [
        option
        for option in ("role_id_dest", "secret_id_dest")
        if read_optional(params[option], option=option) is not None
    ]
    if files and not module.check_mode:
        secret_id = read_optional(params["secret_id_dest"], option="secret_id_dest")
        if secret_id and secret_id.strip():
            _destroy(bao, role, secret_id.strip())
        for option in files:
            remove_file(params[option], option=option)
    return Outcome(changed=bool(files), before=dict.fromkeys(files, _HIDDEN))


def _destroy(bao: OpenBao, role: str, secret_id: str) -> None:
    """End a secret-id; one that has ended already is what was wanted."""
    try:
        bao.write(f"{role}/secret-id/destroy", {"secret_id": secret_id})
    except RefusedError as err:
        if "invalid secret id" not in err.reasons.lower():
            raise


def _described(text: str | None) -> str:
    return "missing" if text is None else _HIDDEN
