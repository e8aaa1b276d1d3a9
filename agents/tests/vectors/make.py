"""Make ``vectors.json``: known answers for the wire format, from docs/wire-format.md alone.

Nothing of the product is imported: Avro, PAE, HKDF and Merkle trees are written here a second time,
straight from the page, so that a vector and the product agree only if both follow the page. The
primitives alone come from a library.

Signatures are randomised, so one that is already in the file and still verifies is kept; making the
file again changes nothing. All keys here are public and for tests only.

Usage: ``python make.py`` writes the file; ``python make.py --check`` fails if that would change it.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import mldsa
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

FILE = Path(__file__).with_name("vectors.json")
SENT_AT = 1_772_366_820_000_000  # 2026-03-01T12:07:00Z
SUITES = {1: ("ML-DSA-65", "sha256"), 2: ("ML-DSA-87", "sha384")}


# --- the page, a second time ------------------------------------------------------------------


def le64(number: int) -> bytes:
    """Return LE64; negative numbers as two's complement."""
    return (number % 2**64).to_bytes(8, "little")


def pae(kind: str, *parts: bytes) -> bytes:
    """Return PAE."""
    pieces = (kind.encode(), *parts)
    return le64(len(pieces)) + b"".join(le64(len(piece)) + piece for piece in pieces)


def long(number: int) -> bytes:
    """Return an Avro int or long: zig-zag, seven bits a byte, lowest first."""
    number = number << 1 if number >= 0 else (-number << 1) - 1
    result = b""
    while number > 0x7F:
        result += bytes((number & 0x7F | 0x80,))
        number >>= 7
    return result + bytes((number,))


def sized(data: bytes | str) -> bytes:
    """Return Avro bytes or string."""
    raw = data.encode() if isinstance(data, str) else data
    return long(len(raw)) + raw


def hkdf(secret: bytes, salt: bytes, info: bytes, length: int, name: str) -> bytes:
    """Return HKDF of RFC 5869."""
    extracted = hmac.digest(salt, secret, name)
    result = block = b""
    for counter in range(1, 256):
        if len(result) >= length:
            break
        block = hmac.digest(extracted, block + info + bytes((counter,)), name)
        result += block
    return result[:length]


def leaf_hash(data: bytes) -> bytes:
    """Return the hash of a leaf."""
    return hashlib.sha256(b"\x00" + data).digest()


def root_and_path(leaves: Sequence[bytes], index: int) -> tuple[bytes, list[bytes]]:
    """Return the root and the siblings of one leaf from the bottom upwards."""
    if len(leaves) == 1:
        return leaves[0], []
    middle = 1
    while middle * 2 < len(leaves):
        middle *= 2
    in_left = index < middle
    left, left_path = root_and_path(leaves[:middle], index if in_left else 0)
    right, right_path = root_and_path(leaves[middle:], 0 if in_left else index - middle)
    root = hashlib.sha256(b"\x01" + left + right).digest()
    return root, [*left_path, right] if in_left else [*right_path, left]


# --- keys and signatures ----------------------------------------------------------------------


PrivateKey = mldsa.MLDSA65PrivateKey | mldsa.MLDSA87PrivateKey


@dataclass
class Signer:
    """A key from a fixed seed, which prefers a signature that is already there.

    Attributes:
        algorithm: Its name.
        seed: 32 bytes.
        known: Signatures of the present file.
        used: Where every signature that goes into the new file is noted.
    """

    algorithm: str
    seed: bytes
    known: list[bytes]
    used: list[str]

    def __post_init__(self) -> None:
        """Load the key."""
        self.private: PrivateKey
        if self.algorithm == "ML-DSA-65":
            self.private = mldsa.MLDSA65PrivateKey.from_seed_bytes(self.seed)
        else:
            self.private = mldsa.MLDSA87PrivateKey.from_seed_bytes(self.seed)
        self.public = self.private.public_key().public_bytes_raw()
        digest = hashlib.sha256(self.algorithm.encode() + b"\x00" + self.public)
        self.key_id = digest.digest()[:16]

    def sign(self, message: bytes) -> bytes:
        """Return a signature."""
        signature = self._known_for(message) or self.private.sign(message)
        self.used.append(b64(signature))
        return signature

    def _known_for(self, message: bytes) -> bytes | None:
        for signature in self.known:
            try:
                self.private.public_key().verify(signature, message)
            except (InvalidSignature, ValueError):
                continue
            return signature
        return None

    def facts(self) -> dict[str, str]:
        """Return what the file says of the key."""
        return {
            "algorithm": self.algorithm,
            "seed": self.seed.hex(),
            "public_key": b64(self.public),
            "key_id": self.key_id.hex(),
        }


def b64(data: bytes) -> str:
    """Return base64 text."""
    return base64.b64encode(data).decode()


# --- vectors ----------------------------------------------------------------------------------


def document(signer: Signer, name: str, fields: dict[str, Any]) -> dict[str, Any]:
    """Return the vector of one SignedDocument; ``fields`` in the order of the page."""
    values = list(fields.values())
    signed = pae(
        "securetransport/document/v1",
        *(le64(value) if isinstance(value, int) else value.encode() for value in values),
    )
    signature = signer.sign(signed)
    encoded = b"ST\x01\x01" + b"".join(
        long(value) if isinstance(value, int) else sized(value) for value in values
    )
    return {
        "name": name,
        "fields": fields,
        "signed_sha256": hashlib.sha256(signed).hexdigest(),
        "encoded": b64(encoded + sized(signature)),
    }


def parts_of(signer: Signer, suite: int, sequence: int, payload: bytes) -> dict[str, Any]:
    """Return header, keys and ciphertext of one message."""
    salt = bytes((sequence,)) * 32
    message_id = bytes.fromhex("019a0000000070008000000000000000")[:-1] + bytes((sequence,))
    header = b"ST\x03\x01" + b"".join(
        (
            message_id,
            sized("auth.request"),
            sized("auth.request/1"),
            sized("auth.requests"),
            sized("gatekeeper"),
            sized("gatekeeper/1"),
            signer.key_id,
            bytes.fromhex("0123456789abcdef0123456789abcdef"),
            long(sequence),
            long(SENT_AT // 900_000_000),
            long(1),
            long(1_476_972),
            bytes.fromhex("ab" * 32),
            long(SENT_AT),
            long(suite),
            salt,
        )
    )
    name = SUITES[suite][1]
    info = pae(
        "securetransport/message-keys/v1",
        bytes((suite,)),
        hashlib.new(name, header).digest(),
    )
    okm = hkdf(TOPIC_KEY, salt, info, 76, name)
    ciphertext = AESGCM(okm[:32]).encrypt(okm[32:44], payload, header)
    return {"header": header, "okm": okm, "ciphertext": ciphertext, "payload": payload}


TOPIC_KEY = bytes(range(32))


def signed_bytes(parts: dict[str, Any]) -> bytes:
    """Return what a signature of one message covers."""
    return pae(
        "securetransport/message/v1", parts["header"], parts["okm"][44:], parts["ciphertext"]
    )


def message(name: str, parts: dict[str, Any], signature: bytes, batch: bytes) -> dict[str, Any]:
    """Return the vector of one message."""
    encoded = (
        b"ST\x02\x01"
        + sized(parts["header"])
        + parts["okm"][44:]
        + sized(parts["ciphertext"])
        + sized(signature)
        + batch
    )
    return {
        "name": name,
        "payload": parts["payload"].decode(),
        "header": parts["header"].hex(),
        "okm": parts["okm"].hex(),
        "ciphertext": parts["ciphertext"].hex(),
        "signed_sha256": hashlib.sha256(signed_bytes(parts)).hexdigest(),
        "encoded": b64(encoded),
    }


def batch_of(signer: Signer, count: int) -> list[dict[str, Any]]:
    """Return the vectors of one batch."""
    all_parts = [
        parts_of(signer, 1, 10 + number, b"batched %d" % number) for number in range(count)
    ]
    leaves = [leaf_hash(signed_bytes(parts)) for parts in all_parts]
    vectors = []
    for index, parts in enumerate(all_parts):
        root, path = root_and_path(leaves, index)
        signed = pae(
            "securetransport/batch/v1",
            b"\x01",
            b"gatekeeper",
            signer.key_id,
            b"auth.requests",
            le64(count),
            root,
        )
        batch = long(1) + long(index) + long(count) + sized(b"".join(path))
        if index == 0:
            signature = signer.sign(signed)
        vectors.append(message(f"batch {index} of {count}", parts, signature, batch))
    return vectors


def derived_id(parent: str, topic: str, index: int) -> dict[str, Any]:
    """Return the vector of one derived message id."""
    raw = bytes.fromhex(parent.replace("-", ""))
    digest = hashlib.sha256(
        pae("securetransport/derived-id/v1", raw, topic.encode(), le64(index))
    ).digest()
    octets = bytearray(digest[:16])
    octets[6] = octets[6] & 0x0F | 0x80
    octets[8] = octets[8] & 0x3F | 0x80
    text = octets.hex()
    uuid = "-".join((text[:8], text[8:12], text[12:16], text[16:20], text[20:]))
    return {"parent": parent, "topic": topic, "index": index, "derived": uuid}


def known_signatures() -> list[bytes]:
    """Return the signatures that the file already has."""
    if not FILE.exists():
        return []
    content = json.loads(FILE.read_text())
    return [base64.b64decode(text) for text in content["signatures"]]


def make() -> str:
    """Return the text of the file."""
    known = known_signatures()
    used: list[str] = []
    first = Signer("ML-DSA-65", bytes(range(1, 33)), known, used)
    strong = Signer("ML-DSA-87", bytes(range(2, 34)), known, used)
    common = {"incarnation": 1, "counter": 7, "created_at": SENT_AT, "not_after": SENT_AT + 10**9}
    content = {
        "about": "made by make.py from docs/wire-format.md; the keys are public test keys",
        "pae": [
            {"type": kind, "parts": [part.hex() for part in parts], "pae": pae(kind, *parts).hex()}
            for kind, parts in (("", ()), ("t", (b"",)), ("ab", (b"", b"xyz", bytes(70))))
        ],
        "derived_ids": [
            derived_id("019a0000-0000-7000-8000-000000000001", "gatekeeper.responses", index)
            for index in (0, 1)
        ],
        "keys": {str(suite): key.facts() for suite, key in ((1, first), (2, strong))},
        "topic_key": TOPIC_KEY.hex(),
        "documents": [
            document(
                first,
                "an authority's document",
                {
                    "kind": "trust-bundle",
                    "audience": "all",
                    **common,
                    "body": '{"issuers":[]}',
                    "signer": "authority",
                    "key_id": "authority-signing:v1",
                    "algorithm": "ML-DSA-65",
                },
            ),
            document(
                strong,
                "an instance's statement",
                {
                    "kind": "attestation",
                    "audience": "authority",
                    **common,
                    "created_at": -1,
                    "body": "",
                    "signer": "gatekeeper/1",
                    "key_id": strong.key_id.hex(),
                    "algorithm": "ML-DSA-87",
                },
            ),
        ],
        "messages": [
            *(
                message(f"suite {suite}", parts, signer.sign(signed_bytes(parts)), long(0))
                for suite, signer in ((1, first), (2, strong))
                for parts in [parts_of(signer, suite, suite, b"may alice enter?")]
            ),
            *batch_of(first, 3),
        ],
        "signatures": used,
    }
    return json.dumps(content, indent=1) + "\n"


def main() -> int:
    """Write or check the file."""
    text = make()
    if "--check" in sys.argv[1:]:
        return 0 if FILE.exists() and FILE.read_text() == text else 1
    FILE.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
