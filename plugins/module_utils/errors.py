# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error family that modules turn into ``fail_json``.

Utilities raise, modules report: nothing below ``plugins/modules`` ends the process.
"""

from __future__ import annotations


class PlatformError(Exception):
    """A module cannot do what was asked; the text names the option or object and what to do.

    Attributes:
        fields: Facts by name, added to the module's failure result; never secrets.
    """

    def __init__(self, message: str, **fields: object) -> None:
        self.message = message
        self.fields = fields
        super().__init__(message)


class ImmutableFieldError(PlatformError):
    """A field differs that the server cannot change on an existing object."""

    def __init__(self, what: str, field: str, current: object, wanted: object) -> None:
        super().__init__(
            f"{what}: {field} is {current!r} and cannot be changed to {wanted!r}; "
            "delete the object first if its content may be lost",
            field=field,
        )


class UnreachableError(PlatformError):
    """A server does not answer, or not in time."""


class ConflictError(PlatformError):
    """Somebody else wrote first; the module may be run again."""
