# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one error family of the backends, which :mod:`_runner` turns into ``fail_json``.

::

    PlatformError               what was asked cannot be done
    ├── LibraryError            a Python library is missing, too old or broken
    ├── ImmutableFieldError     the server cannot change this field of an existing object
    ├── UnreachableError        a server does not answer, or not in time
    ├── ConflictError           somebody else wrote first; the module may be run again
    ├── NotThereError           the path holds nothing
    ├── DeniedError             the identity may not do this
    └── RefusedError            the server understood the request and refused it

Backends raise, modules report: nothing below ``plugins/modules`` ends the process. A text is one
line that names the option or object and what to do; neither text nor fields ever hold a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


class PlatformError(Exception):
    """What was asked cannot be done.

    Attributes:
        message: One line for a person.
        fields: Facts by name, added to the module's failure result.
    """

    def __init__(self, message: str, **fields: object) -> None:
        self.message = message
        self.fields = fields
        super().__init__(message)


class LibraryError(PlatformError):
    """A Python library is missing, too old, or cannot be imported."""


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


class NotThereError(PlatformError):
    """The path holds nothing, or nothing is mounted there.

    Attributes:
        answer: What the server sent all the same; for a deleted KV version, its metadata.
    """

    def __init__(self, message: str, answer: Mapping[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class DeniedError(PlatformError):
    """The identity in use is not valid any more, or may not do this."""


class RefusedError(PlatformError):
    """The server understood the request and refused it.

    Attributes:
        reasons: The server's own words.
    """

    def __init__(self, message: str, reasons: str, **fields: object) -> None:
        self.reasons = reasons
        super().__init__(f"{message}: {reasons}", **fields)
