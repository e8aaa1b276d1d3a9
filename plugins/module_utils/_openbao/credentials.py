# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bootstrap delivery of AppRole credentials to the files a bao agent reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .._errors import PlatformError, RefusedError
from .._local.files import PRIVATE, has_mode, prepared, read_optional, remove_file, write_file
from .._outcome import Outcome, ensure_each
from .._values import clean_path
from .client import OpenBao

_HIDDEN = "(not shown)"


@dataclass(frozen=True, slots=True)
class CredentialsSpec:
    """The two halves of an AppRole and where they belong.

    Attributes:
        name: The AppRole.
        role_id_dest: File for the role-id.
        secret_id_dest: File for the secret-id.
        mount: Where the method is mounted.
        force: Whether to replace a secret-id that is there.
        state: ``present`` or ``absent``.
    """

    name: str
    role_id_dest: str
    secret_id_dest: str
    mount: str = "approle"
    force: bool = False
    state: str = "present"

    def files(self) -> dict[str, str]:
        """Return the path of each file by the option that names it."""
        return {"role_id_dest": self.role_id_dest, "secret_id_dest": self.secret_id_dest}


def ensure_credentials(bao: OpenBao, spec: CredentialsSpec, check_mode: bool) -> Outcome:
    """Make both credential files exist, or be gone together with the secret-id.

    1. A role-id that the server does not have for this role any more was made for an earlier
       installation; its secret-id is worthless, so both are written anew.
    2. An existing secret-id is proven by a login, in check mode too. One that OpenBao takes is left
       alone: the authority renews it. One that is over is replaced.
    3. A fresh one is proven as well, so that a role that takes none is told here.
    4. Secrets go into files of mode 0600 and nowhere else.

    Raises:
        PlatformError: The role does not exist, a file cannot be written, or OpenBao takes not even
            a fresh secret-id.
    """
    mount = clean_path(spec.mount, option="mount")
    role = f"auth/{mount}/role/{clean_path(spec.name, option='name')}"
    ensure = _remove if spec.state == "absent" else _deliver
    return ensure(bao, spec, role, check_mode)


def ensure_all_credentials(
    bao: OpenBao, specs: Sequence[CredentialsSpec], check_mode: bool
) -> Outcome:
    """Deliver several pairs, each to its own files.

    Raises:
        PlatformError: A role does not exist, or a file cannot be written; the text says which.
    """
    return ensure_each(
        lambda: ((spec.secret_id_dest, partial(ensure_credentials, bao, spec)) for spec in specs),
        check_mode,
    )


def _deliver(bao: OpenBao, spec: CredentialsSpec, role: str, check_mode: bool) -> Outcome:
    answer = bao.read(f"{role}/role-id")
    if answer is None and not check_mode:
        raise PlatformError(f"name: there is no AppRole {spec.name!r}; define it first")
    role_id = bao.masked((answer or {}).get("role_id", ""))
    in_file = read_optional(spec.role_id_dest, option="role_id_dest")
    old = read_optional(spec.secret_id_dest, option="secret_id_dest")
    is_role_new = (in_file or "").strip() != role_id
    is_over = not is_role_new and _is_over(bao, spec, role_id, old)
    is_secret_wanted = spec.force or not (old or "").strip() or is_role_new or is_over
    loose = [option for option, path in spec.files().items() if not _is_private(path)]
    before, after = {}, {}
    if is_role_new:
        before["role_id"], after["role_id"] = _described(in_file), _HIDDEN
    if is_secret_wanted:
        before["secret_id"] = "refused by OpenBao, " + _HIDDEN if is_over else _described(old)
        after["secret_id"] = "fresh, " + _HIDDEN
    for option in loose:
        before[f"{option}_mode"], after[f"{option}_mode"] = "too open", "0600"
    if after and not check_mode:
        for option in loose:
            Path(spec.files()[option]).chmod(PRIVATE)
        if is_secret_wanted:
            _write_secret_id(bao, spec, role_id, old=None if is_role_new else old)
        if is_role_new:
            write_file(spec.role_id_dest, role_id, option="role_id_dest")
    return Outcome(changed=bool(after), before=before, after=after)


def _is_over(bao: OpenBao, spec: CredentialsSpec, role_id: str, secret_id: str | None) -> bool:
    """Tell whether a secret-id is there that OpenBao does not take.

    It may be renewed while this looks, so a refused one is read again before it is called over.
    """
    mount = clean_path(spec.mount, option="mount")
    tried, text = "", (secret_id or "").strip()
    while text and text != tried:
        if bao.can_log_in(mount, role_id, bao.masked(text)):
            return False
        again = read_optional(spec.secret_id_dest, option="secret_id_dest")
        tried, text = text, (again or "").strip()
    return bool(tried)


def _write_secret_id(bao: OpenBao, spec: CredentialsSpec, role_id: str, *, old: str | None) -> None:
    """Put a fresh secret-id into its file, then end the old one, if there is one."""
    mount = clean_path(spec.mount, option="mount")
    role = f"auth/{mount}/role/{clean_path(spec.name, option='name')}"
    with prepared(spec.secret_id_dest, option="secret_id_dest") as file:
        secret_id = bao.masked(bao.write(f"{role}/secret-id", {})["secret_id"])
        if not bao.can_log_in(mount, role_id, secret_id):
            raise PlatformError(
                f"name: OpenBao refuses even a fresh secret-id of {spec.name!r}; may it be used"
                " from this address (secret_id_bound_cidrs), and is the role locked out?"
            )
        file.commit(secret_id)
    if old and old.strip():
        _destroy(bao, role, old.strip())


def _remove(bao: OpenBao, spec: CredentialsSpec, role: str, check_mode: bool) -> Outcome:
    found = {
        option: text
        for option, path in spec.files().items()
        if (text := read_optional(path, option=option)) is not None
    }
    if found and not check_mode:
        secret_id = found.get("secret_id_dest", "").strip()
        if secret_id:
            _destroy(bao, role, bao.masked(secret_id))
        for option in found:
            remove_file(spec.files()[option], option=option)
    return Outcome(changed=bool(found), before=dict.fromkeys(found, _HIDDEN))


def _destroy(bao: OpenBao, role: str, secret_id: str) -> None:
    """End a secret-id; one that has ended already is what was wanted."""
    try:
        bao.write(f"{role}/secret-id/destroy", {"secret_id": secret_id})
    except RefusedError as err:
        if "invalid secret id" not in err.reasons.lower():
            raise


def _is_private(path: str) -> bool:
    """Tell whether a file has mode 0600; one that is not there will have."""
    return not Path(path).exists() or has_mode(path, PRIVATE)


def _described(text: str | None) -> str:
    return "missing" if text is None else _HIDDEN
