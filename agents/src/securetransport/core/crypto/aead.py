"""AES-256-GCM, HKDF, hashes and constant-time comparison.

Cipher objects are made per call: they are not safe to share between threads.

Source: NIST SP 800-38D; RFC 5869.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from securetransport.core.base.errors import DecryptionError

KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
TAG_BYTES: Final = 16
_HASHES: Final = {"sha256": hashes.SHA256(), "sha384": hashes.SHA384()}


def encrypt(key: bytes, nonce: bytes, plaintext: bytes, aad: bytes) -> bytes:
    """Return ciphertext followed by the 16-byte tag.

    Args:
        key: 32 bytes.
        nonce: 12 bytes; never twice under one key.
        plaintext: What to hide.
        aad: What is authenticated along with it.

    Raises:
        ValueError: Key or nonce have the wrong size.
    """
    _check_sizes(key, nonce)
    return AESGCM(key).encrypt(nonce, plaintext, aad)


def decrypt(key: bytes, nonce: bytes, ciphertext: bytes, aad: bytes) -> bytes:
    """Return the plaintext.

    Raises:
        DecryptionError: The tag does not match, or the ciphertext is shorter than a tag.
        ValueError: Key or nonce have the wrong size.
    """
    _check_sizes(key, nonce)
    if len(ciphertext) < TAG_BYTES:
        raise DecryptionError("ciphertext is shorter than its tag")
    try:
        return AESGCM(key).decrypt(nonce, ciphertext, aad)
    except InvalidTag as err:
        raise DecryptionError("authentication tag does not match") from err


def _check_sizes(key: bytes, nonce: bytes) -> None:
    if len(key) != KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError(f"aes-256-gcm takes a key of {KEY_BYTES} and a nonce of {NONCE_BYTES}")


def hkdf(
    secret: bytes, *, salt: bytes, info: bytes, length: int, hash_name: str = "sha256"
) -> bytes:
    """Return ``length`` bytes derived from ``secret`` (RFC 5869, extract and expand).

    Args:
        secret: Input keying material.
        salt: Public randomness; may be empty.
        info: What the output is for.
        length: Bytes wanted, at most 255 hash lengths.
        hash_name: ``sha256`` or ``sha384``.

    Raises:
        ValueError: Too many bytes wanted, or another hash.
    """
    if hash_name not in _HASHES:
        raise ValueError(f"hkdf knows {', '.join(_HASHES)}, not {hash_name}")
    return HKDF(_HASHES[hash_name], length, salt, info).derive(secret)


def sha256(data: bytes) -> bytes:
    """Return the SHA-256 of ``data``."""
    return hashlib.sha256(data).digest()


def sha256_hex(data: bytes) -> str:
    """Return the SHA-256 of ``data`` as 64 hex digits."""
    return hashlib.sha256(data).hexdigest()


def constant_time_equal(left: bytes, right: bytes) -> bool:
    """Tell whether two byte strings are equal, in a time that does not tell where they differ."""
    return hmac.compare_digest(left, right)
