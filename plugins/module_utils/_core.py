# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The one guarded import of the Python package ``securetransport`` and its errors as ours.

Whoever needs the package calls :func:`require` before anything is changed, and then uses the names
below (``_core.documents``, ``_core.acl``, …). A collection that was installed without the wheel, or
beside an older one, says so in one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from ._errors import PlatformError
from ._libraries import require_library

_PROBLEM: ImportError | None = None
try:
    from securetransport.core import acl
    from securetransport.core.base import errors, names, profile, values
    from securetransport.core.crypto import signing, x509
    from securetransport.core.formats import body, deny_list, documents
    from securetransport.core.ports import bus
except ImportError as err:
    _PROBLEM = err

__all__ = [
    "acl",
    "body",
    "bus",
    "deny_list",
    "documents",
    "errors",
    "names",
    "profile",
    "require",
    "signing",
    "translated",
    "values",
    "x509",
]

# The collection and the wheel are released together; a later wheel serves an earlier collection.
_MINIMUM: Final = "0.1.0"


def require(problem: ImportError | None = None) -> None:
    """Check that the package is there and new enough.

    Args:
        problem: What the caller's own guarded import of another part of the package raised.

    Raises:
        LibraryError: It is not; the text says what to install.
    """
    require_library("securetransport", _MINIMUM, _PROBLEM or problem)


@contextmanager
def translated(what: str) -> Iterator[None]:
    """Turn errors of the package into :class:`PlatformError`, with ``what`` in front.

    Raises:
        LibraryError: The package is not there; nothing of the block is done.
        PlatformError: The block raised an error of the package.
    """
    require()
    try:
        yield
    except errors.ConfigError as err:
        raise PlatformError(
            f"{what}: {'; '.join(err.problems)}", problems=list(err.problems)
        ) from err
    except errors.SecureTransportError as err:
        raise PlatformError(f"{what}: {err}") from err
