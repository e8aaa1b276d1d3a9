# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenBao as a whole: first initialisation, audit devices, the end of a token."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    ImmutableFieldError,
    PlatformError,
    UnreachableError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.files import (
    prepared,
    remove_file,
)
from ansible_collections.securetransport.platform.plugins.module_utils.openbao import (
    OpenBao,
    RefusedError,
    logged_in,
    open_openbao,
    read_secret_file,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import (
    Outcome,
    reconcile,
)
from ansible_collections.securetransport.platform.plugins.module_utils.values import clean_path

_POLL_SECONDS: Final = 0.2
_ACTIVE: Final = 200
_STANDBY: Final = 429
_NOT_INITIALISED: Final = 501
_ADD_DECLARATIVELY: Final = "declarative"


def ensure_initialised(module: AnsibleModule) -> Outcome:
    """Initialise a cluster once, and wait until every node serves.

    1. If any node is initialised, the cluster is; nothing is written.
    2. A silent node could be the initialised one, so all must answer before rule 3.
    3. The files for keys and token are prepared before the keys exist, because OpenBao gives
       them once; a file that is already there is never written over.

    Raises:
        PlatformError: A node is silent, a file is in the way, or the seal is not automatic.
    """
    params = module.params
    bao = open_openbao(module)
    deadline = time.monotonic() + params["timeout"]
    statuses = _wait_for_answers(bao, deadline)
    first = bao.addresses[0]
    if all(status == _NOT_INITIALISED for status in statuses.values()):
        if module.check_mode:
            return Outcome(changed=True, after={"initialised": True})
        _initialise(module, bao, first)
        changed = True
    else:
        changed = False
    if not module.check_mode:
        _wait_until_serving(bao, deadline)
    return Outcome(changed=changed, after={"initialised": True})


def _initialise(module: AnsibleModule, bao: OpenBao, address: str) -> None:
    params = module.params
    bao.use_node(address)
    seal = bao.request("get", "sys/seal-status")
    if not seal.get("recovery_seal"):
        raise PlatformError(
            f"the seal of {address} is {seal.get('type')!r}, which does not open by itself; give "
            "the server a seal stanza such as static"
        )
    for option in ("recovery_keys_file", "root_token_file"):
        if Path(params[option]).exists():
            raise PlatformError(
                f"{option}: {params[option]} is there although OpenBao is not initialised; "
                "move it away if it belongs to an earlier installation"
            )
    with ExitStack() as stack:
        keys_file, token_file = (
            stack.enter_context(prepared(params[option], option=option))
            for option in ("recovery_keys_file", "root_token_file")
        )
        answer = bao.request(
            "put",
            "sys/init",
            {
                "recovery_shares": params["recovery_shares"],
                "recovery_threshold": params["recovery_threshold"],
            },
        )
        secrets = (answer["root_token"], *answer["recovery_keys_base64"], *answer["recovery_keys"])
        module.no_log_values.update(secrets)
        keys_file.commit(
            json.dumps(
                {
                    "threshold": params["recovery_threshold"],
                    "recovery_keys_base64": answer["recovery_keys_base64"],
                },
                indent=2,
            )
            + "\n"
        )
        token_file.commit(answer["root_token"])


def _wait_for_answers(bao: OpenBao, deadline: float) -> dict[str, int]:
    """Return each node's health, as soon as one is initialised or all have answered.

    Raises:
        UnreachableError: A node is silent to the end and no other is initialised.
    """
    while True:
        statuses: dict[str, int] = {}
        silent: list[str] = []
        for address in bao.addresses:
            try:
                statuses[address] = bao.health(address)
            except UnreachableError as err:
                silent.append(f"{address}: {err.message}")
        if not silent or any(status != _NOT_INITIALISED for status in statuses.values()):
            return statuses
        if time.monotonic() > deadline:
            raise UnreachableError(
                "not initialised, because a node that does not answer could be: "
                + "; ".join(silent)
            )
        time.sleep(_POLL_SECONDS)


def _wait_until_serving(bao: OpenBao, deadline: float) -> None:
    """Wait until one node is active and all others stand by.

    Raises:
        UnreachableError: Not so in time; the text says which node is how.
    """
    words = {503: "sealed", _NOT_INITIALISED: "not joined", _STANDBY: "standby", _ACTIVE: "active"}
    while True:
        states: dict[str, str] = {}
        for address in bao.addresses:
            try:
                status = bao.health(address)
                states[address] = words.get(status, str(status))
            except UnreachableError as err:
                states[address] = err.message
        if set(states.values()) <= {"active", "standby"} and "active" in states.values():
            return
        if time.monotonic() > deadline:
            listed = "; ".join(f"{address}: {state}" for address, state in states.items())
            raise UnreachableError(f"OpenBao does not serve on every node in time: {listed}")
        time.sleep(_POLL_SECONDS)


def ensure_audit(module: AnsibleModule) -> Outcome:
    """Make an audit device be in force as the options say, or not be there.

    Raises:
        PlatformError: It differs from what is wanted, or this server takes audit devices only
            from its configuration.
    """
    params = module.params
    path = clean_path(params["path"], option="path")
    with logged_in(module) as bao:
        entry = (bao.read("sys/audit") or {}).get(f"{path}/")
        current = None if entry is None else _comparable_device(entry)
        if params["state"] == "absent":
            return reconcile(
                current,
                None,
                apply=lambda: _audit_call(bao, "delete", path, None),
                check_mode=module.check_mode,
            )
        wanted = {"type": params["type"]}
        wanted.update({f"options.{k}": str(v) for k, v in (params["options"] or {}).items()})
        if current is not None:
            for field, value in wanted.items():
                if current.get(field) != value:
                    raise ImmutableFieldError(
                        f"audit device {path}", field, current.get(field), value
                    )
        body = {"type": params["type"], "options": params["options"] or {}}
        return reconcile(
            current,
            wanted,
            apply=lambda: _audit_call(bao, "put", path, body),
            check_mode=module.check_mode,
        )


def _comparable_device(entry: Mapping[str, Any]) -> dict[str, str]:
    device = {"type": str(entry["type"])}
    device.update({f"options.{k}": str(v) for k, v in (entry.get("options") or {}).items()})
    return device


def _audit_call(bao: OpenBao, method: str, path: str, body: Mapping[str, Any] | None) -> None:
    try:
        bao.request(method, f"sys/audit/{path}", body)
    except RefusedError as err:
        if _ADD_DECLARATIVELY not in err.reasons:
            raise
        raise PlatformError(
            f"path: this OpenBao takes audit devices from its configuration only; change the "
            f'stanza audit "<type>" "{path}" on every node and send the nodes SIGHUP'
        ) from err


def end_token(module: AnsibleModule) -> Outcome:
    """Revoke the token in a file, then remove the file; a missing file is what was wanted."""
    path = module.params["token_file"]
    if not Path(path).exists():
        return Outcome(changed=False)
    if not module.check_mode:
        bao = open_openbao(module)
        bao.use_token(read_secret_file(module, "token_file"))
        if bao.is_token_valid():
            bao.request("post", "auth/token/revoke-self", {})
        remove_file(path, option="token_file")
    return Outcome(changed=True, before={"token_file": path})
