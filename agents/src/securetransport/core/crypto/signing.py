"""Signatures: ML-DSA by a chosen provider.

A provider makes keys and verifies. ``cryptography`` is the default and the only one here; another
one registers itself with :func:`register_provider` and is chosen by configuration with
:func:`choose_provider`. Signatures of all providers are interchangeable (FIPS 204, empty context).

Source: FIPS 204; docs/wire-format.md, "Algorithms".
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from typing import Final, Protocol

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import mldsa

from securetransport.core.base.errors import ConfigError, SignatureError
from securetransport.core.base.names import KeyId

ML_DSA_65: Final = "ML-DSA-65"
ML_DSA_87: Final = "ML-DSA-87"

PUBLIC_KEY_BYTES: Final = {ML_DSA_65: 1952, ML_DSA_87: 2592}
SIGNATURE_BYTES: Final = {ML_DSA_65: 3309, ML_DSA_87: 4627}
SEED_BYTES: Final = 32
_KEY_ID_DIGITS: Final = 32
# A loaded key takes about 9 kB and 15 µs to load; 1024 of them cover 250 signers of four epochs.
_LOADED_KEYS: Final = 1024

_PrivateKey = mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey
_PublicKey = mldsa.MLDSA65PublicKey | mldsa.MLDSA87PublicKey


class SigningKey(Protocol):
    """A private signing key; its bytes stay inside.

    Attributes:
        algorithm: For example ``ML-DSA-65``.
        public_key: Raw public key.
        key_id: :func:`key_id_of` algorithm and public key.
    """

    @property
    def algorithm(self) -> str:
        """Name of the algorithm."""
        ...

    @property
    def public_key(self) -> bytes:
        """Raw public key."""
        ...

    @property
    def key_id(self) -> KeyId:
        """Digest of algorithm and public key."""
        ...

    def sign(self, message: bytes) -> bytes:
        """Return the signature over ``message`` as it is."""
        ...


class SignatureProvider(Protocol):
    """One implementation of the signature algorithms."""

    @property
    def name(self) -> str:
        """What configuration and metrics call it."""
        ...

    def generate(self, algorithm: str) -> SigningKey:
        """Return a fresh key.

        Raises:
            ConfigError: It does not know the algorithm.
        """
        ...

    def verify(self, algorithm: str, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Return when the signature is valid.

        Raises:
            SignatureError: It is not, or algorithm or key are not usable.
        """
        ...


def key_id_of(algorithm: str, public_key: bytes) -> KeyId:
    """Return the first 32 hex digits of ``SHA-256(algorithm || 0x00 || public key)``."""
    digest = hashlib.sha256(algorithm.encode() + b"\x00" + public_key).hexdigest()
    return KeyId(digest[:_KEY_ID_DIGITS])


class _SoftwareKey:
    """A private key held by ``cryptography`` in this process."""

    def __init__(self, algorithm: str, private: _PrivateKey) -> None:
        self.algorithm: Final = algorithm
        self.public_key: Final = private.public_key().public_bytes_raw()
        self.key_id: Final = key_id_of(algorithm, self.public_key)
        self.private: Final = private

    def sign(self, message: bytes) -> bytes:
        return self.private.sign(message)

    def __repr__(self) -> str:
        return f"SigningKey({self.algorithm}, {self.key_id})"


@lru_cache(maxsize=_LOADED_KEYS)
def _load_public(algorithm: str, public_key: bytes) -> _PublicKey:
    if algorithm == ML_DSA_65:
        return mldsa.MLDSA65PublicKey.from_public_bytes(public_key)
    if algorithm == ML_DSA_87:
        return mldsa.MLDSA87PublicKey.from_public_bytes(public_key)
    raise SignatureError("unknown signature algorithm", algorithm=algorithm)


class CryptographyProvider:
    """ML-DSA by the library ``cryptography``."""

    name: Final = "cryptography"

    def generate(self, algorithm: str) -> SigningKey:
        """Return a fresh key; see :class:`SignatureProvider`."""
        if algorithm == ML_DSA_65:
            return _SoftwareKey(algorithm, mldsa.MLDSA65PrivateKey.generate())
        if algorithm == ML_DSA_87:
            return _SoftwareKey(algorithm, mldsa.MLDSA87PrivateKey.generate())
        raise _unknown(algorithm)

    def verify(self, algorithm: str, public_key: bytes, message: bytes, signature: bytes) -> None:
        """Return when the signature is valid; see :class:`SignatureProvider`."""
        try:
            _load_public(algorithm, public_key).verify(signature, message)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm) as err:
            raise SignatureError("signature does not verify", algorithm=algorithm) from err


_providers: dict[str, SignatureProvider] = {CryptographyProvider.name: CryptographyProvider()}
_chosen: list[SignatureProvider] = [_providers[CryptographyProvider.name]]


def register_provider(provider: SignatureProvider) -> None:
    """Make a provider available under its name; it is not chosen by that."""
    _providers[provider.name] = provider


def choose_provider(name: str) -> None:
    """Use the named provider for all keys made and signatures verified from now on.

    Raises:
        ConfigError: No provider of that name is registered.
    """
    if name not in _providers:
        known = ", ".join(sorted(_providers))
        raise ConfigError([f"unknown signature provider {name!r}; known: {known}"])
    _chosen[0] = _providers[name]


def provider_name() -> str:
    """Return the name of the chosen provider, for metrics."""
    return _chosen[0].name


def generate_signing_key(algorithm: str = ML_DSA_65) -> SigningKey:
    """Return a fresh signing key of the chosen provider.

    Raises:
        ConfigError: The algorithm is unknown.
    """
    return _chosen[0].generate(algorithm)


def verify(algorithm: str, public_key: bytes, message: bytes, signature: bytes) -> None:
    """Return when ``signature`` over ``message`` is valid.

    Raises:
        SignatureError: It is not, or algorithm, key or sizes are wrong.
    """
    _chosen[0].verify(algorithm, public_key, message, signature)


def signing_key_from_seed(algorithm: str, seed: bytes) -> SigningKey:
    """Return the key of a 32-byte FIPS 204 seed; for test vectors.

    Raises:
        ConfigError: The algorithm is unknown or the seed is not 32 bytes.
    """
    if len(seed) != SEED_BYTES:
        raise ConfigError([f"a signing key's seed has {SEED_BYTES} bytes, not {len(seed)}"])
    if algorithm == ML_DSA_65:
        return _SoftwareKey(algorithm, mldsa.MLDSA65PrivateKey.from_seed_bytes(seed))
    if algorithm == ML_DSA_87:
        return _SoftwareKey(algorithm, mldsa.MLDSA87PrivateKey.from_seed_bytes(seed))
    raise _unknown(algorithm)


def generate_key_pem(algorithm: str = ML_DSA_65) -> str:
    """Return a fresh private key as unencrypted PKCS#8 PEM, for an administrator's key file.

    Services never use this: their keys do not leave the process. The caller writes the file with
    mode 0600.

    Raises:
        ConfigError: The algorithm is unknown.
    """
    key = CryptographyProvider().generate(algorithm)
    if not isinstance(key, _SoftwareKey):
        raise _unknown(algorithm)
    return key.private.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    ).decode("ascii")


def signing_key_from_pem(text: str) -> SigningKey:
    """Return the key of a PKCS#8 PEM, for example an administrator's.

    Raises:
        ConfigError: Not a PEM of an ML-DSA-65 or ML-DSA-87 private key. The text is not repeated.
    """
    try:
        key = serialization.load_pem_private_key(text.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as err:
        raise ConfigError(["the signing key file holds no readable PKCS#8 PEM key"]) from err
    if isinstance(key, mldsa.MLDSA65PrivateKey):
        return _SoftwareKey(ML_DSA_65, key)
    if isinstance(key, mldsa.MLDSA87PrivateKey):
        return _SoftwareKey(ML_DSA_87, key)
    raise ConfigError(["the signing key file holds a key that is not ML-DSA-65 or ML-DSA-87"])


def public_key_from_pem(text: str) -> tuple[str, bytes]:
    """Return algorithm and raw bytes of a SubjectPublicKeyInfo PEM.

    Raises:
        ConfigError: Not a PEM of an ML-DSA-65 or ML-DSA-87 public key.
    """
    try:
        key = serialization.load_pem_public_key(text.encode())
    except (ValueError, UnsupportedAlgorithm) as err:
        raise ConfigError(["the text holds no readable PEM public key"]) from err
    if isinstance(key, mldsa.MLDSA65PublicKey):
        return ML_DSA_65, key.public_bytes_raw()
    if isinstance(key, mldsa.MLDSA87PublicKey):
        return ML_DSA_87, key.public_bytes_raw()
    raise ConfigError(["the public key is not ML-DSA-65 or ML-DSA-87"])


def _unknown(algorithm: str) -> ConfigError:
    return ConfigError([f"unknown signature algorithm {algorithm!r}"])
