# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The door to ``securetransport.core``: one guarded import, and its errors as ours."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from ansible.module_utils.basic import missing_required_lib
from ansible_collections.securetransport.platform.plugins.module_utils.errors import PlatformError

try:
    from securetransport.core.base import errors
    from securetransport.core.crypto import x509
    from securetransport.core.formats import documents
except ImportError:
    HAS_CORE = False
else:
    HAS_CORE = True


def require_core() -> None:
    """Check that the Python package is there.

    Raises:
        PlatformError: It is not; the text says what to install.
    """
    if not HAS_CORE:
        raise PlatformError(missing_required_lib("securetransport"))


@contextmanager
def core_errors(what: str) -> Iterator[None]:
    """Turn errors of the package into :class:`PlatformError`, with ``what`` in front."""
    require_core()
    try:
        yield
    except errors.ConfigError as err:
        raise PlatformError(
            f"{what}: {'; '.join(err.problems)}", problems=list(err.problems)
        ) from err
    except errors.SecureTransportError as err:
        raise PlatformError(f"{what}: {err}") from err


@dataclass(frozen=True, slots=True)
class Certificate:
    """What modules say about a certificate.

    Attributes:
        common_name: Subject common name.
        is_self_issued: Subject and issuer have the same common name.
        fingerprint: SHA-256 of the DER, hex.
        not_after: When it ends.
    """

    common_name: str
    is_self_issued: bool
    fingerprint: str
    not_after: datetime


def certificate_of(pem: str) -> Certificate:
    """Return the facts of one PEM certificate; nothing is verified."""
    with core_errors("certificate"):
        facts = x509.describe(x509.pem_to_der(pem))
    return Certificate(
        common_name=facts.common_name,
        is_self_issued=facts.common_name == facts.issuer_common_name,
        fingerprint=facts.fingerprint,
        not_after=facts.not_after,
    )


def merged_keys_text(
    text: str | None,
    keys: Sequence[Mapping[str, object]],
    *,
    is_replaced: Callable[[str], bool],
    what: str,
) -> str:
    """Return the text of a keys file with ``keys`` in it, in the form agents read.

    Raises:
        PlatformError: ``text`` is not such a file, or a key is not one that agents accept.
    """
    with core_errors(what):
        kept = documents.AuthorityKeys.from_json(text).keys if text else {}
        own = documents.AuthorityKeys.from_json(json.dumps({"keys": [dict(key) for key in keys]}))
        others = {
            key_id: key
            for key_id, key in kept.items()
            if key_id not in own.keys and not is_replaced(key_id)
        }
        return str(documents.AuthorityKeys({**others, **own.keys}).to_json())
