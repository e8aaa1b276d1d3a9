# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a Python library is there, in a version that is new enough."""

from __future__ import annotations

import re
import sys
from importlib import metadata

from ._errors import LibraryError


def require_library(distribution: str, minimum: str, problem: ImportError | None) -> None:
    """Check a library that was imported under a guard.

    Args:
        distribution: Its name as pip knows it.
        minimum: The least version, numbers and dots.
        problem: What its guarded import raised; ``None`` when it went well.

    Raises:
        LibraryError: It is missing, too old, or does not import; one line that says what to install.
    """
    remedy = f"install {distribution}>={minimum} for {sys.executable}"
    try:
        version = metadata.version(distribution)
    except metadata.PackageNotFoundError:
        raise LibraryError(f"the Python package {distribution} is missing; {remedy}") from problem
    if _numbers(version) < _numbers(minimum):
        raise LibraryError(f"the Python package {distribution} {version} is too old; {remedy}")
    if problem is not None:
        reason = " ".join(str(problem).split())
        raise LibraryError(
            f"the Python package {distribution} {version} cannot be imported ({reason}); {remedy}"
        ) from problem


def _numbers(version: str) -> tuple[int, ...]:
    """Return the leading numbers of a version; what follows them (rc1, .dev0) does not count."""
    match = re.match(r"[0-9]+(\.[0-9]+)*", version)
    return tuple(int(part) for part in match[0].split(".")) if match else ()
