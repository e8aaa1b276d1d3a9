# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the modules of this collection can do in check mode and diff mode."""

from __future__ import annotations


class ModuleDocFragment:
    """Attributes; ``.info`` for modules that change nothing."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would change without changing it.
    support: full
  diff_mode:
    description: Returns the fields that change, before and after, when in diff mode.
    support: full
"""

    INFO = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and say what would change without changing it.
    support: full
    details:
      - This module changes nothing.
  diff_mode:
    description: Returns the fields that change, before and after, when in diff mode.
    support: N/A
    details:
      - This module changes nothing.
"""
