"""Sealing: payload and header become the bytes that are published.

Layout: docs/wire-format.md, "Message". Every message is encrypted under keys of its own; what signs
it is either a signature of its own or one signature over a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from securetransport.core.base import codec, merkle
from securetransport.core.base.entropy import Entropy
from securetransport.core.base.pae import pae
from securetransport.core.crypto import aead
from securetransport.core.crypto.signing import SigningKey
from securetransport.core.formats.envelope.header import SALT_BYTES, MessageHeader, encode_header
from securetransport.core.formats.envelope.suites import SUITES, Suite
from securetransport.core.formats.service_bundle import TopicKey

MESSAGE_PAE_TYPE: Final = "securetransport/message/v1"
BATCH_PAE_TYPE: Final = "securetransport/batch/v1"
KEYS_PAE_TYPE: Final = "securetransport/message-keys/v1"
MAX_BATCH: Final = 1024
COMMITMENT_BYTES: Final = 32
_NONCE_END: Final = aead.KEY_BYTES + aead.NONCE_BYTES
_DERIVED_BYTES: Final = _NONCE_END + COMMITMENT_BYTES


@dataclass(frozen=True, slots=True)
class MessageKeys:
    """What HKDF gives for one message: AES key, nonce and commitment."""

    key: bytes
    nonce: bytes
    commitment: bytes

    def __repr__(self) -> str:
        """Return no key bytes."""
        return "MessageKeys()"


def derive_keys(suite: Suite, secret: bytes, salt: bytes, header: bytes) -> MessageKeys:
    """Return the keys of one message.

    Args:
        suite: Chooses the hash.
        secret: Topic key, 32 bytes.
        salt: The header's salt.
        header: The framed header.
    """
    info = pae(KEYS_PAE_TYPE, bytes((suite.number,)), suite.digest(header).digest())
    derived = aead.hkdf(
        secret, salt=salt, info=info, length=_DERIVED_BYTES, hash_name=suite.hash_name
    )
    return MessageKeys(
        derived[: aead.KEY_BYTES], derived[aead.KEY_BYTES : _NONCE_END], derived[_NONCE_END:]
    )


def signed_bytes(header: bytes, commitment: bytes, ciphertext: bytes) -> bytes:
    """Return what a single signature covers, and what a batch's leaf is the hash of."""
    return pae(MESSAGE_PAE_TYPE, header, commitment, ciphertext)


def batch_root_bytes(header: MessageHeader, size: int, root: bytes) -> bytes:
    """Return what the signature of a batch covers; ``header`` is that of any of its messages."""
    return pae(
        BATCH_PAE_TYPE,
        bytes((header.suite,)),
        header.signer.encode(),
        bytes.fromhex(header.key_id),
        header.topic.encode(),
        size.to_bytes(8, "little"),
        root,
    )


def seal(
    payload: bytes,
    header: MessageHeader,
    topic_key: TopicKey,
    signing_key: SigningKey,
    entropy: Entropy,
) -> bytes:
    """Return one message with a signature of its own, ready to publish.

    A retry publishes the same bytes again; it does not seal again.

    Args:
        payload: What to say; encrypted.
        header: What to say in the clear; without a salt.
        topic_key: The key that ``header`` names.
        signing_key: The key that ``header`` names.
        entropy: Where the salt is drawn from.

    Raises:
        ValueError: Header and keys do not belong together, or a field breaks its rule.
    """
    parts = _encrypt(payload, header, topic_key, signing_key, entropy)
    return _encode(parts, signing_key.sign(signed_bytes(*parts)), None)


def seal_batch(
    messages: Sequence[tuple[bytes, MessageHeader]],
    topic_key: TopicKey,
    signing_key: SigningKey,
    entropy: Entropy,
) -> list[bytes]:
    """Return messages that share one signature; each of them stands alone.

    Args:
        messages: Payloads and headers; 1 to 1024, of one signer, topic and suite.
        topic_key: The key that all headers name.
        signing_key: The key that all headers name.
        entropy: Where the salts are drawn from.

    Raises:
        ValueError: As :func:`seal`, or the batch is empty, too large or mixed.
    """
    if not 0 < len(messages) <= MAX_BATCH:
        raise ValueError(f"a batch holds 1 to {MAX_BATCH} messages, not {len(messages)}")
    first = messages[0][1]
    if any((item.signer, item.suite) != (first.signer, first.suite) for _, item in messages):
        raise ValueError("a batch holds messages of one signer and one suite")
    sealed = [
        _encrypt(payload, header, topic_key, signing_key, entropy) for payload, header in messages
    ]
    root, proofs = merkle.inclusion_proofs(
        [merkle.leaf_hash(signed_bytes(*parts)) for parts in sealed]
    )
    signature = signing_key.sign(batch_root_bytes(first, len(sealed), root))
    return [
        _encode(
            parts,
            signature,
            {"index": index, "size": len(sealed), "path": b"".join(proof)},
        )
        for index, (parts, proof) in enumerate(zip(sealed, proofs, strict=True))
    ]


_Parts = tuple[bytes, bytes, bytes]  # framed header, commitment, ciphertext


def _encrypt(
    payload: bytes,
    header: MessageHeader,
    topic_key: TopicKey,
    signing_key: SigningKey,
    entropy: Entropy,
) -> _Parts:
    if header.salt:
        # A second payload under the same salt and header would repeat an AES nonce.
        raise ValueError("a header with a salt was sealed already; make a new header")
    suite = SUITES.get(header.suite)
    if suite is None:
        raise ValueError(f"suite {header.suite} is unknown")
    named = (header.topic, header.key_epoch, header.generation)
    if named != (topic_key.topic, topic_key.epoch, topic_key.generation):
        raise ValueError(f"header names another topic key than {topic_key!r}")
    if (header.key_id, suite.signature) != (signing_key.key_id, signing_key.algorithm):
        raise ValueError("header names another signing key or algorithm than the one given")
    salt = entropy(SALT_BYTES)
    encoded = encode_header(replace(header, salt=salt))
    keys = derive_keys(suite, topic_key.secret, salt, encoded)
    return encoded, keys.commitment, aead.encrypt(keys.key, keys.nonce, payload, encoded)


def _encode(parts: _Parts, signature: bytes, batch: dict[str, object] | None) -> bytes:
    header, commitment, ciphertext = parts
    return codec.encode(
        "message",
        {
            "header": header,
            "commitment": commitment,
            "ciphertext": ciphertext,
            "signature": signature,
            "batch": batch,
        },
    )
