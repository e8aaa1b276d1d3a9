"""From signed ACL and deny list to the servers' users; what is not signed changes nothing."""

from __future__ import annotations

import base64
from datetime import datetime, timedelta
from typing import Any

import pytest
from authority_desk import PROFILE, Desk

from securetransport.core.acl import Acl, load_acl
from securetransport.core.base import names
from securetransport.core.base.errors import ConflictError, SecureTransportError
from securetransport.core.base.names import ServiceId
from securetransport.core.crypto.signing import SigningKey, generate_signing_key
from securetransport.core.formats import documents
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.core.formats.broker_policy import BrokerPolicy
from securetransport.core.formats.deny_list import DenyList
from securetransport.metadata.policy import PolicyKeeper

TEXT = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {{subjects: ["auth.>"], max_age_seconds: {age}, max_bytes: 1048576}}
topics:
  auth.requests: {{stream: AUTH_STREAM}}
services:
  gatekeeper: {{produces: [auth.requests]}}
foreign:
  reporter:
    subscribe: ["auth.requests"]
    reason: a tool
    trust_reload_seconds: 60
"""
GATEKEEPER = ServiceId("gatekeeper")


def acl(age: int = 3600) -> Acl:
    return load_acl(TEXT.format(age=age))


class Administrator:
    """Signs ACLs and puts them into KV."""

    def __init__(self, desk: Desk) -> None:
        self.desk = desk
        self.key = generate_signing_key()

    @property
    def keys(self) -> AuthorityKeys:
        return AuthorityKeys({self.key.key_id: (self.key.algorithm, self.key.public_key)})

    async def write(self, text: Acl, version: int = 1, key: SigningKey | None = None) -> None:
        now = self.desk.clock.now()
        document = documents.sign_with_key(
            kind=DocumentKind.ACL,
            audience=documents.AUTHORITY,
            version=Version(counter=version),
            created_at=now,
            not_after=now + timedelta(days=3650),
            body=text.canonical(),
            signer=documents.ADMINISTRATOR,
            key=key or self.key,
        )
        await put(self.desk, names.KV_ACL, documents.encode(document))


async def put(desk: Desk, path: str, data: bytes) -> None:
    entry = await desk.store.kv_get(path)
    value = {"document": base64.b64encode(data).decode()}
    await desk.store.kv_put(path, value, cas=entry.cas if entry else 0)


async def deny(desk: Desk, at: datetime, version: int = 1, **changes: Any) -> None:
    facts: dict[str, Any] = {
        "kind": DocumentKind.DENY_LIST,
        "audience": documents.EVERYBODY,
        "version": Version(counter=version),
        "body": DenyList(services={GATEKEEPER: at}).to_bytes(),
        "lifetime": timedelta(hours=1),
        **changes,
    }
    await put(desk, names.KV_DENY_LIST, documents.encode(await desk.signer.sign(**facts)))


@pytest.fixture
def administrator(desk: Desk) -> Administrator:
    return Administrator(desk)


@pytest.fixture
async def keeper(desk: Desk, administrator: Administrator) -> PolicyKeeper:
    return PolicyKeeper(
        desk.documents, desk.clock, PROFILE, administrator.keys, await desk.authority_keys()
    )


def users(keeper: PolicyKeeper) -> set[str]:
    assert keeper.published is not None
    return {user.user for user in BrokerPolicy.from_bytes(keeper.published.document.body).users}


async def test_a_signed_acl_becomes_the_servers_users(
    administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl())
    await keeper.round(may_write=True)
    assert "spiffe://example.test/gatekeeper" in users(keeper)
    assert keeper.foreign_users() == frozenset({"spiffe://example.test/reporter"})


async def test_a_standby_accepts_and_publishes_nothing(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    assert keeper.foreign_users() == frozenset()
    await administrator.write(acl())
    await keeper.round(may_write=False)
    assert keeper.acl is not None
    assert await desk.store.kv_get(names.KV_BROKER_POLICY) is None


async def test_an_acl_of_another_key_or_an_older_one_is_refused(
    administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl(), version=2)
    await keeper.round(may_write=True)
    first = keeper.acl
    await administrator.write(acl(7200), version=3, key=generate_signing_key())
    await keeper.round(may_write=True)
    assert keeper.acl == first
    await administrator.write(acl(7200), version=1)
    await keeper.round(may_write=True)
    assert keeper.acl == first
    await administrator.write(acl(7200), version=4)
    await keeper.round(may_write=True)
    assert keeper.acl == acl(7200)


async def test_a_signed_acl_that_is_none_is_refused(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    now = desk.clock.now()
    document = documents.sign_with_key(
        kind=DocumentKind.ACL,
        audience=documents.AUTHORITY,
        version=Version(counter=1),
        created_at=now,
        not_after=now + timedelta(days=1),
        body=b"{}",
        signer=documents.ADMINISTRATOR,
        key=administrator.key,
    )
    await put(desk, names.KV_ACL, documents.encode(document))
    await keeper.round(may_write=True)
    assert keeper.acl is None


async def test_a_denied_service_has_no_user(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl())
    await keeper.round(may_write=True)
    await deny(desk, desk.clock.now())
    await keeper.round(may_write=True)
    assert "spiffe://example.test/gatekeeper" not in users(keeper)


async def test_a_deny_list_that_is_over_or_vanished_still_denies(
    desk: Desk, keeper: PolicyKeeper
) -> None:
    await deny(desk, desk.clock.now())
    desk.clock.advance(timedelta(days=2))
    await keeper.round(may_write=False)
    assert GATEKEEPER in keeper.deny.services
    await desk.store.kv_destroy(names.KV_DENY_LIST)
    await keeper.round(may_write=False)
    assert GATEKEEPER in keeper.deny.services


@pytest.mark.parametrize(
    "changes",
    [
        {"kind": DocumentKind.BROKER_POLICY},
        {"audience": documents.AUTHORITY},
        {"version": Version(counter=1)},
        {"body": b"{]"},
    ],
    ids=["kind", "audience", "older", "damaged"],
)
async def test_a_wrong_deny_list_is_told_and_the_last_one_denies(
    desk: Desk, keeper: PolicyKeeper, changes: dict[str, Any]
) -> None:
    await deny(desk, desk.clock.now(), version=2)
    await keeper.round(may_write=False)
    empty = DenyList().to_bytes()
    await deny(desk, desk.clock.now(), **{"version": 3, "body": empty, **_versioned(changes)})
    with pytest.raises(SecureTransportError, match="deny list"):
        await keeper.round(may_write=False)
    assert GATEKEEPER in keeper.deny.services


def _versioned(changes: dict[str, Any]) -> dict[str, Any]:
    wanted = changes.get("version")
    return {**changes, "version": wanted.counter} if wanted else changes


async def test_an_unsigned_deny_list_is_refused(desk: Desk, keeper: PolicyKeeper) -> None:
    """B9: whoever can write the path must not be able to lift a denial."""
    await deny(desk, desk.clock.now(), version=2)
    await keeper.round(may_write=False)
    now, stranger = desk.clock.now(), generate_signing_key()
    forged = documents.sign_with_key(
        kind=DocumentKind.DENY_LIST,
        audience=documents.EVERYBODY,
        version=Version(counter=3),
        created_at=now,
        not_after=now + timedelta(hours=1),
        body=DenyList().to_bytes(),
        signer=documents.AUTHORITY,
        key=stranger,
    )
    await put(desk, names.KV_DENY_LIST, documents.encode(forged))
    with pytest.raises(SecureTransportError, match="refused"):
        await keeper.round(may_write=False)
    assert GATEKEEPER in keeper.deny.services


async def stored_list(desk: Desk) -> documents.SignedDocument:
    found = await desk.documents.read(names.KV_DENY_LIST)
    assert found is not None
    return found.document


async def test_the_authority_publishes_an_empty_deny_list_and_signs_it_anew_in_time(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl())
    await keeper.round(may_write=False)
    assert await desk.documents.read(names.KV_DENY_LIST) is None, "a standby writes nothing"
    await keeper.round(may_write=True)
    first = await stored_list(desk)
    assert DenyList.from_bytes(first.body) == DenyList()
    assert keeper.denials is not None
    desk.clock.advance(PROFILE.key_validity / 2 - timedelta(seconds=1))
    await keeper.round(may_write=True)
    assert await stored_list(desk) == first
    desk.clock.advance(1)
    await keeper.round(may_write=True)
    assert (await stored_list(desk)).version > first.version
    assert keeper.denials.document == await stored_list(desk)


async def test_what_is_denied_stays_denied_when_the_list_is_signed_anew_or_vanished(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl())
    await deny(desk, desk.clock.now(), version=7)
    desk.clock.advance(timedelta(days=2))
    await keeper.round(may_write=True)
    anew = await stored_list(desk)
    assert anew.version > Version(counter=7)
    assert GATEKEEPER in DenyList.from_bytes(anew.body).services
    await desk.store.kv_destroy(names.KV_DENY_LIST)
    await keeper.round(may_write=True)
    again = await stored_list(desk)
    assert again.version > anew.version, "no member takes a lower one"
    assert GATEKEEPER in DenyList.from_bytes(again.body).services


async def test_a_damaged_deny_list_is_an_alarm_and_is_not_overwritten(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    await administrator.write(acl())
    await put(desk, names.KV_DENY_LIST, b"no document")
    with pytest.raises(SecureTransportError, match="deny list"):
        await keeper.round(may_write=True)
    entry = await desk.store.kv_get(names.KV_DENY_LIST)
    assert entry is not None
    assert entry.cas == 1


async def test_a_deny_list_that_came_in_between_is_not_overwritten(
    desk: Desk, administrator: Administrator, keeper: PolicyKeeper
) -> None:
    """A denial between reading and signing anew would be lifted."""
    await administrator.write(acl())
    await keeper.round(may_write=True)
    before = await desk.documents.read(names.KV_DENY_LIST)
    await deny(desk, desk.clock.now(), version=9)
    desk.clock.advance(PROFILE.key_validity)
    with pytest.raises(ConflictError):
        await keeper._renew_deny_list(before)
    assert (await stored_list(desk)).version == Version(counter=9)
