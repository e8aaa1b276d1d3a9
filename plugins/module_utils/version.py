# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Versions of installed Python packages."""

from __future__ import annotations

from importlib import metadata

from ansible.module_utils.compat.version import LooseVersion


def is_at_least(package: str, minimum: str) -> bool:
    """Return whether ``package`` is installed in version ``minimum`` or a later one."""
    try:
        return bool(LooseVersion(metadata.version(package)) >= LooseVersion(minimum))
    except metadata.PackageNotFoundError:
        return False
