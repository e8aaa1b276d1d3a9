# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""OpenBao as a whole: first initialisation, and the end of a token."""

from __future__ import annotations

import json
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .._errors import PlatformError, UnreachableError
from .._local.files import prepared, remove_file
from .._outcome import Outcome
from .._values import within
from .client import ACTIVE, NOT_INITIALISED, SEALED, STANDBY, OpenBao

_POLL_SECONDS: Final = 0.2
_MOST_SHARES: Final = 255  # of Shamir's scheme over bytes


@dataclass(frozen=True, slots=True)
class InitSpec:
    """A first initialisation.

    Attributes:
        recovery_keys_file: File for the recovery keys.
        root_token_file: File for the initial root token.
        recovery_shares: How many recovery keys are made.
        recovery_threshold: How many of them are needed together.
        timeout: Longest wait for all nodes, seconds.
    """

    recovery_keys_file: str
    root_token_file: str
    recovery_shares: int
    recovery_threshold: int
    timeout: int

    def files(self) -> dict[str, str]:
        """Return the path of each file by the option that names it."""
        return {
            "recovery_keys_file": self.recovery_keys_file,
            "root_token_file": self.root_token_file,
        }


def ensure_initialised(bao: OpenBao, spec: InitSpec, check_mode: bool) -> Outcome:
    """Initialise a cluster once, and wait until every node serves.

    1. If any node is initialised, the cluster is; nothing is written.
    2. A silent node could be the initialised one, so all must answer before rule 3.
    3. The files for keys and token are prepared before the keys exist, because OpenBao gives
       them once; a file that is already there is never written over.

    Raises:
        PlatformError: A node is silent, a file is in the way, or the seal is not automatic.
    """
    shares = within(spec.recovery_shares, 1, _MOST_SHARES, option="recovery_shares")
    within(spec.recovery_threshold, 1, shares, option="recovery_threshold")
    deadline = time.monotonic() + spec.timeout
    statuses = _wait_for_answers(bao, deadline)
    is_new = all(status == NOT_INITIALISED for status in statuses.values())
    if is_new and not check_mode:
        _initialise(bao, spec, bao.addresses[0])
    if not check_mode:
        _wait_until_serving(bao, deadline)
    return Outcome(changed=is_new, after={"initialised": True})


def _initialise(bao: OpenBao, spec: InitSpec, address: str) -> None:
    bao.use_node(address)
    seal = bao.request("get", "sys/seal-status")
    if not seal.get("recovery_seal"):
        raise PlatformError(
            f"the seal of {address} is {seal.get('type')!r}, which does not open by itself; give "
            "the server a seal stanza such as static"
        )
    for option, path in spec.files().items():
        if Path(path).exists():
            raise PlatformError(
                f"{option}: {path} is there although OpenBao is not initialised; "
                "move it away if it belongs to an earlier installation"
            )
    wanted = {
        "recovery_shares": spec.recovery_shares,
        "recovery_threshold": spec.recovery_threshold,
    }
    with ExitStack() as stack:
        keys_file, token_file = (
            stack.enter_context(prepared(path, option=option))
            for option, path in spec.files().items()
        )
        answer = bao.request("put", "sys/init", wanted)
        for secret in (*answer["recovery_keys_base64"], *answer["recovery_keys"]):
            bao.masked(secret)
        kept = {
            "threshold": spec.recovery_threshold,
            "recovery_keys_base64": answer["recovery_keys_base64"],
        }
        keys_file.commit(json.dumps(kept, indent=2) + "\n")
        token_file.commit(bao.masked(answer["root_token"]))


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
        if not silent or any(status != NOT_INITIALISED for status in statuses.values()):
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
    words = {SEALED: "sealed", NOT_INITIALISED: "not joined", STANDBY: "standby", ACTIVE: "active"}
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


def end_token(bao: OpenBao, token_file: str, check_mode: bool) -> Outcome:
    """Revoke the token in a file, then remove the file; a missing file is what was wanted.

    Raises:
        PlatformError: The file holds no token, or OpenBao cannot be asked.
    """
    if not Path(token_file).exists():
        return Outcome(changed=False)
    if not check_mode:
        bao.use_token(bao.read_secret(token_file, option="token_file"))
        if bao.is_token_valid():
            bao.request("post", "auth/token/revoke-self", {})
        remove_file(token_file, option="token_file")
    return Outcome(changed=True, before={"token_file": token_file})
