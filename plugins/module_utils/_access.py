# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a module reaches a server: the options for it, and the client that they give."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

Client = TypeVar("Client")
OnSecret = Callable[[str], None]
"""Told every secret that is read or made, so that whoever prints something can mask it."""


@dataclass(frozen=True, slots=True)
class Access(Generic[Client]):
    """One way to reach a server.

    Attributes:
        options: Its options, as Ansible's argument specification has them.
        open: Returns the client that given options lead to, for the time of a block.
        rules: Relations between the options, as ``AnsibleModule`` takes them.
    """

    options: Mapping[str, Any]
    open: Callable[[Mapping[str, Any], OnSecret], AbstractContextManager[Client]]
    rules: Mapping[str, Any] = field(default_factory=dict)
