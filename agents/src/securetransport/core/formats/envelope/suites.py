"""Suites: one number for all algorithms of a message (docs/wire-format.md, "Algorithms")."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from securetransport.core.crypto import kem, signing


@dataclass(frozen=True, slots=True)
class Suite:
    """The algorithms of one suite.

    Attributes:
        number: What the header carries.
        name: What people and metrics call it.
        signature: Signature algorithm.
        kem: Key encapsulation of bundles.
        hash_name: Hash of HKDF and of the header.
        digest: That hash, ready to call.
    """

    number: int
    name: str
    signature: str
    kem: str
    hash_name: str
    digest: Callable[[bytes], Any]


SUITE_DEFAULT: Final = 1
SUITE_CNSA2: Final = 2

SUITES: Final[dict[int, Suite]] = {
    SUITE_DEFAULT: Suite(
        SUITE_DEFAULT, "default", signing.ML_DSA_65, kem.ML_KEM_768, "sha256", hashlib.sha256
    ),
    SUITE_CNSA2: Suite(
        SUITE_CNSA2, "cnsa2", signing.ML_DSA_87, kem.ML_KEM_1024, "sha384", hashlib.sha384
    ),
}
