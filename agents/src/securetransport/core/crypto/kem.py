"""Key encapsulation: ML-KEM, for a bundle that one requester alone can open.

Source: FIPS 203; docs/wire-format.md, "Algorithms".
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import mlkem

from securetransport.core.base.errors import DecryptionError, MalformedMessageError

ML_KEM_768: Final = "ML-KEM-768"
ML_KEM_1024: Final = "ML-KEM-1024"

_PrivateKey = mlkem.MLKEM768PrivateKey | mlkem.MLKEM1024PrivateKey
_PublicKey = mlkem.MLKEM768PublicKey | mlkem.MLKEM1024PublicKey
_GENERATE: Final[dict[str, Callable[[], _PrivateKey]]] = {
    ML_KEM_768: mlkem.MLKEM768PrivateKey.generate,
    ML_KEM_1024: mlkem.MLKEM1024PrivateKey.generate,
}
_LOAD: Final[dict[str, Callable[[bytes], _PublicKey]]] = {
    ML_KEM_768: mlkem.MLKEM768PublicKey.from_public_bytes,
    ML_KEM_1024: mlkem.MLKEM1024PublicKey.from_public_bytes,
}


class KemKey:
    """A private decapsulation key, meant to be used once.

    Attributes:
        algorithm: ``ML-KEM-768`` or ``ML-KEM-1024``.
        public_key: Raw encapsulation key.
    """

    def __init__(self, algorithm: str, private: _PrivateKey) -> None:
        self.algorithm: Final = algorithm
        self.public_key: Final = private.public_key().public_bytes_raw()
        self._private: Final = private

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the 32-byte shared secret.

        A well-formed ciphertext for another key gives another secret and no error (FIPS 203,
        implicit rejection); what is encrypted under the secret must be authenticated.

        Raises:
            DecryptionError: The ciphertext has the wrong size.
        """
        try:
            return self._private.decapsulate(ciphertext)
        except ValueError as err:
            raise DecryptionError("kem ciphertext is malformed", algorithm=self.algorithm) from err

    def __repr__(self) -> str:
        """Return the algorithm; the key stays out of logs."""
        return f"KemKey({self.algorithm})"


def generate_kem_key(algorithm: str = ML_KEM_768) -> KemKey:
    """Return a fresh key.

    Raises:
        MalformedMessageError: The algorithm is unknown.
    """
    if algorithm not in _GENERATE:
        raise MalformedMessageError("unknown kem algorithm", algorithm=algorithm)
    return KemKey(algorithm, _GENERATE[algorithm]())


def encapsulate(algorithm: str, public_key: bytes) -> tuple[bytes, bytes]:
    """Return ``(ciphertext, shared secret)`` for the holder of ``public_key``.

    Raises:
        MalformedMessageError: The algorithm is unknown or the key is not one of it.
    """
    if algorithm not in _LOAD:
        raise MalformedMessageError("unknown kem algorithm", algorithm=algorithm)
    try:
        shared, ciphertext = _LOAD[algorithm](public_key).encapsulate()
    except (ValueError, UnsupportedAlgorithm) as err:
        raise MalformedMessageError("kem public key is malformed", algorithm=algorithm) from err
    return ciphertext, shared
