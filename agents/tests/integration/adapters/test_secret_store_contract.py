"""What every ``SecretStore`` does: the real adapter on a real OpenBao, and the fake, alike."""

from __future__ import annotations

import base64
import secrets
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from securetransport.core.base.errors import ConflictError, NotFoundError, SecureTransportError
from securetransport.core.crypto import signing
from securetransport.core.ports import SecretStore
from securetransport.testing import FakeSecretStore
from servers import OpenBao


@pytest.fixture(params=["fake", "openbao"])
def store(request: pytest.FixtureRequest) -> Iterator[SecretStore]:
    if request.param == "fake":
        yield FakeSecretStore()
        return
    bao: OpenBao = request.getfixturevalue("bao")
    yield bao.store()


@pytest.fixture
def folder() -> str:
    return f"contract/{secrets.token_hex(6)}"


async def test_what_was_put_is_got(store: SecretStore, folder: str) -> None:
    value = {"text": "ä", "number": 1, "nested": {"list": [1, "two", None]}}
    assert await store.kv_put(f"{folder}/a", value, cas=0) == 1
    entry = await store.kv_get(f"{folder}/a")
    assert entry is not None
    assert (entry.value, entry.cas) == (value, 1)


async def test_absent_entry_is_none(store: SecretStore, folder: str) -> None:
    assert await store.kv_get(f"{folder}/absent") is None


async def test_create_of_an_existing_entry_is_a_conflict(store: SecretStore, folder: str) -> None:
    await store.kv_put(f"{folder}/a", {"n": 1}, cas=0)
    with pytest.raises(ConflictError):
        await store.kv_put(f"{folder}/a", {"n": 2}, cas=0)
    entry = await store.kv_get(f"{folder}/a")
    assert entry is not None
    assert entry.value == {"n": 1}


async def test_write_over_a_version_that_is_not_current_is_a_conflict(
    store: SecretStore, folder: str
) -> None:
    path = f"{folder}/a"
    assert await store.kv_put(path, {"n": 1}, cas=0) == 1
    assert await store.kv_put(path, {"n": 2}, cas=1) == 2
    for stale in (0, 1, 3):
        with pytest.raises(ConflictError):
            await store.kv_put(path, {"n": 9}, cas=stale)


async def test_update_of_an_absent_entry_is_a_conflict(store: SecretStore, folder: str) -> None:
    with pytest.raises(ConflictError):
        await store.kv_put(f"{folder}/a", {"n": 1}, cas=1)
    assert await store.kv_get(f"{folder}/a") is None


async def test_list_names_entries_and_folders(store: SecretStore, folder: str) -> None:
    for name in ("b", "a", "deep/x", "deep/y"):
        await store.kv_put(f"{folder}/{name}", {}, cas=0)
    assert sorted(await store.kv_list(folder)) == ["a", "b", "deep/"]
    assert sorted(await store.kv_list(f"{folder}/deep")) == ["x", "y"]
    assert await store.kv_list(f"{folder}/absent") == []


async def test_destroyed_entry_may_be_created_again(store: SecretStore, folder: str) -> None:
    path = f"{folder}/a"
    await store.kv_put(path, {"n": 1}, cas=0)
    await store.kv_destroy(path)
    assert await store.kv_get(path) is None
    await store.kv_destroy(path)
    assert await store.kv_put(path, {"n": 2}, cas=0) == 1


async def test_signature_verifies_with_the_public_key_of_its_version(store: SecretStore) -> None:
    name = f"sign-{secrets.token_hex(4)}"
    await store.write(f"transit/keys/{name}", {"type": "mldsa-65"})
    message = b"\x00any bytes\xff" * 300
    version, signature = await store.transit_sign(name, message)
    described = await store.read(f"transit/keys/{name}")
    assert described is not None
    assert version == 1
    public_key = base64.b64decode(described["keys"]["1"]["public_key"])
    signing.verify(signing.ML_DSA_65, public_key, message, signature)
    with pytest.raises(SecureTransportError):
        signing.verify(signing.ML_DSA_65, public_key, message + b"x", signature)


async def test_rotated_key_signs_with_its_new_version(store: SecretStore) -> None:
    name = f"sign-{secrets.token_hex(4)}"
    await store.write(f"transit/keys/{name}", {"type": "mldsa-65"})
    await store.write(f"transit/keys/{name}/rotate", {})
    version, _signature = await store.transit_sign(name, b"message")
    assert version == 2


async def test_ciphertext_decrypts_to_its_plaintext(store: SecretStore) -> None:
    name = f"svc-{secrets.token_hex(4)}"
    await store.write(f"transit/keys/{name}", {"type": "aes256-gcm96"})
    ciphertext = await store.transit_encrypt(name, b"\x00secret\xff")
    assert ciphertext.startswith("vault:v1:")
    assert await store.transit_decrypt(name, ciphertext) == b"\x00secret\xff"


async def test_forged_ciphertext_is_refused(store: SecretStore) -> None:
    name = f"svc-{secrets.token_hex(4)}"
    await store.write(f"transit/keys/{name}", {"type": "aes256-gcm96"})
    forged = "vault:v1:" + base64.b64encode(bytes(60)).decode()
    with pytest.raises(SecureTransportError):
        await store.transit_decrypt(name, forged)


async def test_signing_with_an_absent_key_is_refused(store: SecretStore) -> None:
    with pytest.raises(SecureTransportError):
        await store.transit_sign("no-such-key", b"message")


async def test_absent_transit_key_reads_as_none(store: SecretStore) -> None:
    assert await store.read("transit/keys/no-such-key") is None


async def test_path_without_a_mount_is_not_found(store: SecretStore) -> None:
    with pytest.raises(NotFoundError):
        await store.read("no-such-mount/x")


async def test_server_time_is_aware_and_near(store: SecretStore) -> None:
    at = await store.server_time()
    assert abs((datetime.now(UTC) - at).total_seconds()) < 5
