"""Every field of everything that others write to the authority, with values of no honest writer.

Each is refused by an error of ours that names the field, and the next honest statement is accepted.
The values are in ``hostile_values``; a field without a row fails the last test.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import pytest
import structlog
from authority_desk import GATEKEEPER, PROFILE, Desk
from authority_scene import SERVERS, Scene
from enrolments import Enrolled
from hostile_values import REFUSED

from securetransport.core.base import names
from securetransport.core.base.errors import SecureTransportError, UnknownKeyError
from securetransport.core.base.names import InstanceId
from securetransport.core.base.pae import pae
from securetransport.core.formats.attestation import Attestation, KeeperAttestation
from securetransport.core.formats.body import DocumentKind
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.formats.exchange import KeyRequest
from securetransport.core.formats.server_report import (
    RefusedRoute,
    ServerConnection,
    ServerObservation,
    ServerReport,
)
from securetransport.metadata.enrolled import ENROL_TYPE, EnrolledKeys
from securetransport.metadata.evidence import EvidenceStore
from securetransport.metadata.exchange import KeyExchange
from securetransport.metadata.keys import KeyRotation
from securetransport.metadata.policy import PolicyKeeper
from securetransport.testing import FakeSecretStore

NOW = "2026-01-01T00:00:00Z"
HASH = "00" * 32
BYTES = base64.b64encode(b"n" * 32).decode()
VERSION = {"incarnation": 0, "counter": 1}
WATCHER = InstanceId("watcher/1")

Fields = dict[str, str]

ENROLMENT: Fields = {
    "key_id": "text",
    "service": "text",
    "instance": "instance",
    "epoch": "epoch",
    "algorithm": "text",
    "public_key": "bytes",
    "created_at": "instant",
}
ATTESTATION: Fields = {
    "instance": "instance",
    "boot_id": "text",
    "digest": "text",
    "bundle_version": "version",
    "leafs": "list",
    "certificates": "list",
    "attested_at": "instant",
}
STATEMENT: Fields = {
    "server": "text",
    "digest": "text",
    "bundle_version": "version",
    "policy_version": "version",
    "leaf": "text",
    "leaf_epoch": "epoch",
    "leaf_not_after": "instant",
    "is_served": "flag",
    "attested_at": "instant",
}
REQUEST: Fields = {
    "instance": "instance",
    "kem": "text",
    "kem_public_key": "bytes",
    "nonce": "bytes",
    "requested_at": "instant",
}
REPORT: Fields = {"reported_at": "instant", "servers": "list"}
OBSERVATION: Fields = {
    "server": "text",
    "reachable": "flag",
    "client_names": "list",
    "route_names": "list",
    "connections": "list",
    "refused_routes": "list",
    "served_issuer": "text",
    "route_served_issuer": "text",
    "reload_error": "text",
    "seen_by_peers": "flag",
}
CONNECTION: Fields = {"cid": "number", "user": "text", "leaf": "text", "started_at": "instant"}
REFUSED_ROUTE: Fields = {"host": "text", "name": "text", "count": "number", "last_at": "instant"}

# ``null`` means "unknown" there, and these texts are other programs' words.
MAY_BE_NULL = {
    "client_names",
    "route_names",
    "connections",
    "served_issuer",
    "route_served_issuer",
    "reload_error",
    "seen_by_peers",
    "leaf",
}
MAY_HAVE_CONTROL_CHARACTERS = {"user", "reload_error"}


def cases(fields: Fields, *, nullable: bool = False) -> list[Any]:
    """Every field with every value that its kind refuses."""
    return [
        pytest.param(field, value, id=f"{field}-{label}")
        for field, kind in fields.items()
        for label, value in REFUSED[kind].items()
        if not (label == "null" and nullable and field in MAY_BE_NULL)
        and not (label == "control" and field in MAY_HAVE_CONTROL_CHARACTERS)
    ]


@dataclass
class Raw:
    """A body that no code of ours would make."""

    value: Any

    def to_bytes(self) -> bytes:
        return json.dumps(self.value).encode()


def attestation() -> dict[str, Any]:
    return {
        "instance": GATEKEEPER,
        "boot_id": "ab" * 16,
        "digest": HASH,
        "bundle_version": VERSION,
        "leafs": [],
        "certificates": [],
        "attested_at": NOW,
    }


def observation() -> dict[str, Any]:
    return {"server": "nats-1", "reachable": True, "connections": [connection()]}


def connection() -> dict[str, Any]:
    return {"cid": 1, "user": "u", "leaf": HASH, "started_at": NOW}


def refused_route() -> dict[str, Any]:
    return {"host": "127.0.0.1", "name": "N", "count": 1, "last_at": NOW}


def report(seen: dict[str, Any]) -> dict[str, Any]:
    return {"reported_at": NOW, "servers": [seen]}


@pytest.fixture
def evidence(desk: Desk) -> EvidenceStore:
    return EvidenceStore("example.test", PROFILE, EnrolledKeys(desk.store, PROFILE))


async def refusal(call: Callable[[], Awaitable[object]]) -> str:
    with pytest.raises(SecureTransportError) as caught:
        await call()
    return str(caught.value)


# --- over the bus -----------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), cases(ATTESTATION))
async def test_attestation(desk: Desk, evidence: EvidenceStore, field: str, value: Any) -> None:
    member = await enrolled(desk, GATEKEEPER)

    async def accept(body: dict[str, Any]) -> None:
        data = member.signed(DocumentKind.ATTESTATION, Raw(body))  # type: ignore[arg-type]
        await evidence.accept_attestation(data, desk.clock.now(), desk.clock.now())

    assert f"problem={field}" in await refusal(lambda: accept(attestation() | {field: value}))
    await accept(attestation())


@pytest.mark.parametrize(
    ("path", "value"),
    [
        *(pytest.param((c.values[0],), c.values[1], id=c.id) for c in cases(REPORT)),
        *(
            pytest.param(("servers", 0, c.values[0]), c.values[1], id=c.id)
            for c in cases(OBSERVATION, nullable=True)
        ),
        *(
            pytest.param(("servers", 0, "connections", 0, c.values[0]), c.values[1], id=c.id)
            for c in cases(CONNECTION, nullable=True)
        ),
        *(
            pytest.param(("servers", 0, "refused_routes", 0, c.values[0]), c.values[1], id=c.id)
            for c in cases(REFUSED_ROUTE)
        ),
    ],
)
async def test_report(
    desk: Desk, evidence: EvidenceStore, path: tuple[str | int, ...], value: Any
) -> None:
    watcher = await enrolled(desk, WATCHER)

    async def accept(body: dict[str, Any]) -> None:
        data = watcher.signed(DocumentKind.SERVER_REPORT, Raw(body))  # type: ignore[arg-type]
        await evidence.accept_report(data, desk.clock.now())

    wrong: Any = report(observation() | {"refused_routes": [refused_route()]})
    place = wrong
    for step in path[:-1]:
        place = place[step]
    place[path[-1]] = value
    expected = f"problem={'.'.join(str(step) for step in path)}"
    assert expected in await refusal(lambda: accept(wrong))
    await accept(report(observation()))


@pytest.mark.parametrize(("field", "value"), cases(REQUEST))
async def test_exchange_request(desk: Desk, field: str, value: Any) -> None:
    enrolments = EnrolledKeys(desk.store, PROFILE)
    authority = await desk.authority_keys()
    exchange = KeyExchange(
        store=desk.store,
        clock=desk.clock,
        profile=PROFILE,
        signer=desk.signer,
        enrolled=enrolments,
        keys=KeyRotation(
            store=desk.store,
            clock=desk.clock,
            profile=PROFILE,
            document_store=desk.documents,
            signer=desk.signer,
            enrolled=enrolments,
        ),
        policy=PolicyKeeper(desk.documents, desk.clock, PROFILE, authority, authority),
        metrics=desk.metrics,
    )
    member = await enrolled(desk, GATEKEEPER)
    body = {
        "instance": GATEKEEPER,
        "kem": "ML-KEM-768",
        "kem_public_key": BYTES,
        "nonce": BYTES,
        "requested_at": desk.clock.now().isoformat(),
        field: value,
    }
    data = member.signed(DocumentKind.KEY_REQUEST, Raw(body))  # type: ignore[arg-type]
    with structlog.testing.capture_logs() as lines:
        answer = json.loads(await exchange.answer(data))
    assert answer == {"error": "refused", "detail": "key request has an invalid body"}
    assert f"problem={field}" in lines[-1]["reason"]


# --- over OpenBao -----------------------------------------------------------------------------


@pytest.mark.parametrize(("field", "value"), cases(ENROLMENT))
async def test_enrolment(desk: Desk, field: str, value: Any) -> None:
    liar, honest = Enrolled(GATEKEEPER, desk.clock), Enrolled(GATEKEEPER, desk.clock)
    written = liar.value()
    written["key"][field] = value
    proof = liar.key.sign(pae(ENROL_TYPE, json.dumps(written["key"]).encode()))
    written["proof"] = base64.b64encode(proof).decode()
    await put(desk.store, names.kv_enrolled_key(GATEKEEPER, liar.key.key_id), written)
    await honest.enrol(desk.store)
    keys = EnrolledKeys(desk.store, PROFILE)
    with structlog.testing.capture_logs() as lines:
        await keys.refresh(desk.clock.now(), PROFILE.key_validity)
    assert [key.key_id for key in keys.keys] == [honest.key.key_id]
    refused = [line["reason"] for line in lines if line["event"] == "enrolment_refused"]
    assert len(refused) == 1
    assert f"problem={field}" in refused[0]


@pytest.mark.parametrize("proof", ["", "no base64!", "QUI", "x" * 100_000, 7, None, [[]], True])
async def test_proof_of_an_enrolment(desk: Desk, proof: Any) -> None:
    liar = Enrolled(GATEKEEPER, desk.clock)
    written = liar.value() | {"proof": proof}
    await put(desk.store, names.kv_enrolled_key(GATEKEEPER, liar.key.key_id), written)
    keys = EnrolledKeys(desk.store, PROFILE)
    with structlog.testing.capture_logs() as lines:
        await keys.refresh(desk.clock.now(), PROFILE.key_validity)
    assert keys.keys == ()
    assert [line["event"] for line in lines] == ["enrolment_refused"]


@pytest.mark.parametrize(("field", "value"), cases(STATEMENT))
async def test_keepers_statement(desk: Desk, field: str, value: Any) -> None:
    scene = Scene(desk)
    await scene.run(lambda: scene.rotation.state is not None)
    path = names.kv_keeper_attestation(SERVERS[0])
    body = {
        "server": SERVERS[0],
        "digest": HASH,
        "bundle_version": VERSION,
        "policy_version": VERSION,
        "leaf": HASH,
        "leaf_epoch": 1,
        "leaf_not_after": NOW,
        "is_served": True,
        "attested_at": NOW,
        field: value,
    }
    await put(desk.store, path, {"attestation": body})
    with structlog.testing.capture_logs() as lines:
        await scene.rotation.round()
    told = [line for line in lines if line["event"] == "keeper_attestation_malformed"]
    assert told
    assert field in told[0]["reason"]


# --- names that become paths ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("signer", "key_id"),
    [
        ("gatekeeper/1", "../../rotation/ca"),
        ("gatekeeper/1", "x" * 200),
        ("../sys/1", "0" * 32),
        ("gatekeeper/1/../../x", "0" * 32),
        ("/", "0" * 32),
        ("gatekeeper", "0" * 32),
    ],
)
async def test_name_that_is_none_is_not_looked_up(desk: Desk, signer: str, key_id: str) -> None:
    keys = EnrolledKeys(desk.store, PROFILE)
    with pytest.raises(UnknownKeyError):
        await keys.find(InstanceId(signer), key_id, desk.clock.now())
    assert not desk.store.calls


def test_every_field_has_its_row() -> None:
    tables = {
        VerifyKey: ENROLMENT,
        Attestation: ATTESTATION,
        KeeperAttestation: STATEMENT,
        KeyRequest: REQUEST | {"known_version": "version"},
        ServerReport: REPORT,
        ServerObservation: OBSERVATION,
        ServerConnection: CONNECTION,
        RefusedRoute: REFUSED_ROUTE,
    }
    for model, fields in tables.items():
        wire = {info.serialization_alias or own for own, info in model.model_fields.items()}
        assert wire == set(fields), model.__name__


async def enrolled(desk: Desk, instance: InstanceId) -> Enrolled:
    member = Enrolled(instance, desk.clock)
    await member.enrol(desk.store)
    return member


async def put(store: FakeSecretStore, path: str, value: Any) -> None:
    entry = await store.kv_get(path)
    await store.kv_put(path, value, cas=entry.cas if entry else 0)
