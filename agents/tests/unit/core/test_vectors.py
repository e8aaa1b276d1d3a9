"""The committed vectors: the product and a second writing of the page agree, byte by byte."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import pytest
from message_scene import DIGEST, SENDER, TOPIC, acceptance

from securetransport.core.base import codec
from securetransport.core.base.epochs import UNIX_START
from securetransport.core.base.names import InstanceId, Topic
from securetransport.core.base.pae import pae
from securetransport.core.crypto import aead, signing
from securetransport.core.formats import documents, envelope
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.envelope.header import decode_header, encode_header
from securetransport.core.formats.envelope.sealing import derive_keys, signed_bytes
from securetransport.core.formats.service_bundle import TopicKey
from securetransport.core.trust.keyring import TopicKeyring, VerifyKeyring
from securetransport.core.trust.opening import Received, open_message

FOLDER: Final = Path(__file__).parents[2] / "vectors"
VECTORS: Final[dict[str, Any]] = json.loads((FOLDER / "vectors.json").read_text())
INSTANCE: Final = InstanceId("gatekeeper/1")


def _name(vector: dict[str, Any]) -> str:
    return str(vector["name"])


def _micros(number: int) -> Any:
    return UNIX_START + timedelta(microseconds=number)


def test_the_script_still_makes_the_committed_vectors() -> None:
    script = [sys.executable, str(FOLDER / "make.py"), "--check"]
    assert subprocess.run(script, check=False).returncode == 0  # our own script


def test_pae_vectors() -> None:
    for vector in VECTORS["pae"]:
        parts = [bytes.fromhex(part) for part in vector["parts"]]
        assert pae(vector["type"], *parts).hex() == vector["pae"]


def test_derived_id_vectors() -> None:
    for vector in VECTORS["derived_ids"]:
        derived = envelope.derive_message_id(vector["parent"], vector["topic"], vector["index"])
        assert derived == vector["derived"]


@pytest.mark.parametrize("suite", ["1", "2"])
def test_key_vectors(suite: str) -> None:
    facts = VECTORS["keys"][suite]
    key = signing.signing_key_from_seed(facts["algorithm"], bytes.fromhex(facts["seed"]))
    assert key.public_key == base64.b64decode(facts["public_key"])
    assert key.key_id == facts["key_id"]
    assert key.algorithm == envelope.SUITES[int(suite)].signature


@pytest.mark.parametrize("vector", VECTORS["documents"], ids=_name)
def test_document_vectors(vector: dict[str, Any]) -> None:
    given = vector["fields"]
    document = documents.unsigned(
        kind=DocumentKind(given["kind"]),
        audience=given["audience"],
        version=Version(incarnation=given["incarnation"], counter=given["counter"]),
        created_at=_micros(given["created_at"]),
        not_after=_micros(given["not_after"]),
        body=given["body"].encode(),
        signer=given["signer"],
        key_id=given["key_id"],
        algorithm=given["algorithm"],
    )
    encoded = base64.b64decode(vector["encoded"])
    read = documents.decode(encoded)
    assert documents.with_signature(document, read.signature) == read
    assert documents.encode(read) == encoded
    assert aead.sha256_hex(documents.to_be_signed(document)) == vector["signed_sha256"]
    public = {
        facts["algorithm"]: base64.b64decode(facts["public_key"])
        for facts in VECTORS["keys"].values()
    }
    body = documents.verify_document(
        read,
        lambda _: (given["algorithm"], public[given["algorithm"]]),
        kind=document.kind,
        audience=given["audience"],
        at=_micros(0),
    )
    assert body == given["body"].encode()


@pytest.mark.parametrize("vector", VECTORS["messages"], ids=_name)
def test_message_vectors(vector: dict[str, Any]) -> None:
    data = base64.b64decode(vector["encoded"])
    header_bytes = bytes.fromhex(vector["header"])
    header = decode_header(header_bytes)
    assert encode_header(header) == header_bytes
    suite = envelope.SUITES[header.suite]
    secret = bytes.fromhex(VECTORS["topic_key"])
    keys = derive_keys(suite, secret, header.salt, header_bytes)
    assert (keys.key + keys.nonce + keys.commitment).hex() == vector["okm"]
    sealed = aead.encrypt(keys.key, keys.nonce, vector["payload"].encode(), header_bytes)
    assert sealed.hex() == vector["ciphertext"]
    signed = signed_bytes(header_bytes, keys.commitment, sealed)
    assert aead.sha256_hex(signed) == vector["signed_sha256"]
    assert codec.encode("message", codec.decode("message", data)) == data

    opened = open_message(Received(TOPIC, header.message_id, header.sent_at, data), _judge(header))
    assert opened.payload.decode() == vector["payload"]
    assert opened.header == header


def _judge(header: envelope.MessageHeader) -> envelope.Acceptance:
    facts = VECTORS["keys"][str(header.suite)]
    verify_keys = VerifyKeyring()
    verify_keys.add(
        VerifyKey(
            key_id=facts["key_id"],
            service=SENDER,
            instance=INSTANCE,
            epoch=header.key_epoch,
            algorithm=facts["algorithm"],
            public_key=base64.b64decode(facts["public_key"]),
            created_at=header.sent_at,
        )
    )
    judge = acceptance(
        verify_keys=verify_keys,
        accepted_suites={header.suite},
        accepted_policy_digests={Topic(TOPIC): (DIGEST,)},
    )
    topic_keys = TopicKeyring(judge.schedule)
    secret = bytes.fromhex(VECTORS["topic_key"])
    topic_keys.replace([TopicKey(topic=TOPIC, epoch=header.key_epoch, generation=1, secret=secret)])
    judge.topic_keys = topic_keys
    return judge
