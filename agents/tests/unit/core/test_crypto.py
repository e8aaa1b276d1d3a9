"""The cryptographic functions: known answers, sizes, and errors in our words."""

from __future__ import annotations

import hashlib

import pytest

from securetransport.core.base.errors import (
    ConfigError,
    DecryptionError,
    MalformedMessageError,
    SignatureError,
)
from securetransport.core.crypto import aead, kem, signing

KEY = signing.generate_signing_key()


@pytest.mark.parametrize("algorithm", [signing.ML_DSA_65, signing.ML_DSA_87])
def test_signatures_verify_and_have_the_published_sizes(algorithm: str) -> None:
    key = signing.generate_signing_key(algorithm)
    signature = key.sign(b"message")
    signing.verify(algorithm, key.public_key, b"message", signature)
    assert len(key.public_key) == signing.PUBLIC_KEY_BYTES[algorithm]
    assert len(signature) == signing.SIGNATURE_BYTES[algorithm]
    assert key.key_id == signing.key_id_of(algorithm, key.public_key)


@pytest.mark.parametrize(
    ("algorithm", "public_key", "message", "signature"),
    [
        (signing.ML_DSA_65, KEY.public_key, b"other", KEY.sign(b"message")),
        (signing.ML_DSA_65, KEY.public_key, b"message", b""),
        (signing.ML_DSA_65, KEY.public_key, b"message", KEY.sign(b"message") + b"\x00"),
        (signing.ML_DSA_65, b"short", b"message", KEY.sign(b"message")),
        (signing.ML_DSA_87, KEY.public_key, b"message", KEY.sign(b"message")),
        ("ML-DSA-44", KEY.public_key, b"message", KEY.sign(b"message")),
    ],
)
def test_wrong_signatures_keys_and_algorithms_are_refused(
    algorithm: str, public_key: bytes, message: bytes, signature: bytes
) -> None:
    with pytest.raises(SignatureError):
        signing.verify(algorithm, public_key, message, signature)


def test_the_key_id_is_the_documented_digest() -> None:
    digest = hashlib.sha256(b"ML-DSA-65\x00" + KEY.public_key).hexdigest()
    assert KEY.key_id == digest[:32]


def test_a_key_survives_its_pem_and_a_wrong_pem_is_not_repeated() -> None:
    text = signing.generate_key_pem()
    key = signing.signing_key_from_pem(text)
    assert signing.signing_key_from_pem(text).key_id == key.key_id
    for wrong in ("", "secret words", text.replace("M", "N", 1)):
        with pytest.raises(ConfigError) as caught:
            signing.signing_key_from_pem(wrong)
        assert "secret words" not in str(caught.value)
    with pytest.raises(ConfigError):
        signing.public_key_from_pem(text)


def test_the_same_seed_is_the_same_key() -> None:
    seed = bytes(range(32))
    one = signing.signing_key_from_seed(signing.ML_DSA_65, seed)
    two = signing.signing_key_from_seed(signing.ML_DSA_65, seed)
    assert one.key_id == two.key_id
    with pytest.raises(ConfigError):
        signing.signing_key_from_seed(signing.ML_DSA_65, seed[:31])


def test_unknown_algorithms_and_providers_are_refused_by_name() -> None:
    with pytest.raises(ConfigError, match="ML-DSA-44"):
        signing.generate_signing_key("ML-DSA-44")
    with pytest.raises(ConfigError, match="liboqs"):
        signing.choose_provider("liboqs")
    assert signing.provider_name() == "cryptography"


class _Counting(signing.CryptographyProvider):
    """The default provider under another name, which counts."""

    name = "counting"  # type: ignore[misc]  # another provider has another name

    def __init__(self) -> None:
        self.verified = 0

    def verify(self, algorithm: str, public_key: bytes, message: bytes, signature: bytes) -> None:
        self.verified += 1
        super().verify(algorithm, public_key, message, signature)


def test_a_registered_provider_can_be_chosen() -> None:
    provider = _Counting()
    signing.register_provider(provider)
    try:
        signing.choose_provider("counting")
        signing.verify(KEY.algorithm, KEY.public_key, b"m", KEY.sign(b"m"))
        assert (signing.provider_name(), provider.verified) == ("counting", 1)
    finally:
        signing.choose_provider("cryptography")


@pytest.mark.parametrize("algorithm", [kem.ML_KEM_768, kem.ML_KEM_1024])
def test_both_sides_of_a_kem_get_the_same_secret(algorithm: str) -> None:
    key = kem.generate_kem_key(algorithm)
    ciphertext, shared = kem.encapsulate(algorithm, key.public_key)
    assert key.decapsulate(ciphertext) == shared
    assert len(shared) == 32
    assert kem.generate_kem_key(algorithm).decapsulate(ciphertext) != shared
    with pytest.raises(DecryptionError):
        key.decapsulate(ciphertext[:-1])
    with pytest.raises(MalformedMessageError):
        kem.encapsulate(algorithm, key.public_key[:-1])


def test_unknown_kems_are_refused() -> None:
    with pytest.raises(MalformedMessageError, match="ML-KEM-512"):
        kem.generate_kem_key("ML-KEM-512")
    with pytest.raises(MalformedMessageError, match="ML-KEM-512"):
        kem.encapsulate("ML-KEM-512", b"")


def test_hkdf_gives_the_answers_of_rfc_5869() -> None:
    # Appendix A.1 and A.3.
    okm = aead.hkdf(
        b"\x0b" * 22,
        salt=bytes(range(13)),
        info=bytes(range(0xF0, 0xFA)),
        length=42,
    )
    assert okm.hex() == (
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"
    )
    okm = aead.hkdf(b"\x0b" * 22, salt=b"", info=b"", length=42)
    assert okm.hex() == (
        "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"
    )
    with pytest.raises(ValueError, match="sha512"):
        aead.hkdf(b"k", salt=b"", info=b"", length=1, hash_name="sha512")


def test_aes_gcm_gives_the_published_answer() -> None:
    # Test case 14 of the GCM specification: AES-256, zero key and nonce, 16 zero bytes.
    sealed = aead.encrypt(bytes(32), bytes(12), bytes(16), b"")
    assert sealed.hex() == "cea7403d4d606b6e074ec5d3baf39d18d0d1c8a799996bf0265b98b5d48ab919"
    assert aead.decrypt(bytes(32), bytes(12), sealed, b"") == bytes(16)


def test_aes_gcm_refuses_what_was_changed() -> None:
    sealed = aead.encrypt(bytes(32), bytes(12), b"text", b"aad")
    for ciphertext, aad in ((sealed, b""), (b"\x00" + sealed[1:], b"aad"), (b"", b"aad")):
        with pytest.raises(DecryptionError):
            aead.decrypt(bytes(32), bytes(12), ciphertext, aad)
    for key, nonce in ((bytes(16), bytes(12)), (bytes(32), bytes(8))):
        with pytest.raises(ValueError, match="aes-256-gcm"):
            aead.encrypt(key, nonce, b"", b"")


def test_small_helpers() -> None:
    assert aead.sha256_hex(b"") == hashlib.sha256(b"").hexdigest()
    assert aead.sha256(b"").hex() == aead.sha256_hex(b"")
    assert aead.constant_time_equal(b"a", b"a")
    assert not aead.constant_time_equal(b"a", b"ab")
