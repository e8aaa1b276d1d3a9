"""Where the shares of the recovery key come from: a file, or people who type them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import typer

from securetransport.core.base.errors import ConfigError
from securetransport.runtime.sections import read_text

_FIELD = "recovery_keys_base64"


def recovery_shares(path: Path) -> list[str]:
    """Return the shares in the file that Ansible wrote at the first start.

    Raises:
        ConfigError: It cannot be read, or is no such file.
    """
    text = read_text(path, "--shares")
    try:
        found = json.loads(text)[_FIELD]
    except (ValueError, KeyError, TypeError, RecursionError) as err:
        raise ConfigError([f"--shares: {path} has no {_FIELD}"]) from err
    if not isinstance(found, list) or not all(isinstance(share, str) for share in found):
        raise ConfigError([f"--shares: {path}: {_FIELD} is not a list of texts"])
    return found


def asked_shares() -> Iterator[str]:
    """Yield shares as they are typed, unseen, until an empty one."""
    while share := typer.prompt("share of the recovery key", hide_input=True, default="").strip():
        yield share
