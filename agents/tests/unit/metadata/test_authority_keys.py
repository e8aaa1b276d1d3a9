"""Topic keys, directory and bundles in KV: made once, in time, kept as long as a message waits."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import timedelta

import pytest
from authority_desk import GATEKEEPER, PROFILE, Desk
from enrolments import SCHEDULE, Enrolled

from securetransport.core.acl import CompiledAcl, compile_acl, load_acl
from securetransport.core.base import names
from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import ConflictError, SecretStoreUnavailableError
from securetransport.core.base.names import InstanceId, ServiceId, Topic
from securetransport.core.decisions.agreed_time import dwell
from securetransport.core.decisions.topic_keys import wanted_epochs
from securetransport.core.formats import documents
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import Directory, DirectoryEntry
from securetransport.core.formats.service_bundle import ServiceBundle, TopicKey, TopicRule
from securetransport.core.trust.directory import check_entry
from securetransport.metadata.enrolled import EnrolledKeys
from securetransport.metadata.keys import KeyRotation
from securetransport.testing import FakeClock

TEXT = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>", "other.>"], max_age_seconds: 3600, max_bytes: 1048576}
dead_letters: {max_age_seconds: 3600}
topics:
  auth.requests: {stream: AUTH_STREAM}
  other.news: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests, other.news]}
  auth-controller:
    consumes: [{topic: auth.requests, durable: auth-controller}]
"""
TOPIC = Topic("auth.requests")
NEWS = Topic("other.news")
LONGEST_WAIT = timedelta(hours=1)
SERVICE = ServiceId("gatekeeper")


def acl(text: str = TEXT) -> CompiledAcl:
    return compile_acl(load_acl(text), PROFILE)


def rotation(desk: Desk, clock: FakeClock | None = None) -> KeyRotation:
    return KeyRotation(
        store=desk.store,
        clock=clock or desk.clock,
        profile=PROFILE,
        document_store=desk.documents,
        signer=desk.signer,
        enrolled=EnrolledKeys(desk.store, PROFILE),
    )


async def test_every_topic_has_keys_of_the_wanted_epochs(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    wanted = wanted_epochs(PROFILE, desk.clock.now())
    found = {(key.topic, key.epoch) for key in keys.topic_keys()}
    assert found == {(topic, epoch) for topic in (TOPIC, Topic("other.news")) for epoch in wanted}
    assert keys.completed == set(wanted)


async def test_the_next_epochs_key_is_there_from_its_lead_on(desk: Desk) -> None:
    keys = rotation(desk)
    following = SCHEDULE.number_at(desk.clock.now()) + 1
    begins = SCHEDULE.start_of(following) - PROFILE.key_lead
    desk.clock.advance(begins - desk.clock.now() - timedelta(seconds=1))
    await keys.ensure_topic_keys(acl())
    assert following not in {key.epoch for key in keys.topic_keys()}
    desk.clock.advance(1)
    await keys.ensure_topic_keys(acl())
    assert following in {key.epoch for key in keys.topic_keys()}


async def test_a_restart_keeps_the_bytes_of_every_key(desk: Desk) -> None:
    before = rotation(desk)
    await before.ensure_topic_keys(acl())
    desk.clock.advance(SCHEDULE.validity)
    after = rotation(desk)
    await after.ensure_topic_keys(acl())
    assert set(before.topic_keys()) <= set(after.topic_keys())


async def test_whoever_loses_the_race_for_a_key_reads_the_winners(desk: Desk) -> None:
    """Rule 1 of core.decisions.topic_keys."""
    first, second = rotation(desk), rotation(desk)
    await first.ensure_topic_keys(acl())
    get = desk.store.kv_get
    blind = {names.kv_topic_key(TOPIC, epoch) for epoch in wanted_epochs(PROFILE, desk.clock.now())}

    async def late(path: str) -> object:
        if path in blind:
            blind.discard(path)
            return None  # read before the other one wrote
        return await get(path)

    desk.store.kv_get = late  # type: ignore[method-assign,assignment]
    await second.ensure_topic_keys(acl())
    assert set(second.topic_keys()) == set(first.topic_keys())


async def test_a_key_is_destroyed_when_no_message_can_wait_for_it(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    oldest = min(key.epoch for key in keys.topic_keys())
    path = names.kv_topic_key(TOPIC, oldest)
    end = SCHEDULE.expiry_of(oldest) + LONGEST_WAIT
    desk.clock.advance(end - desk.clock.now() - timedelta(seconds=1))
    await keys.ensure_topic_keys(acl())
    assert await desk.store.kv_get(path)
    desk.clock.advance(1)
    await agreed_rounds(desk, keys)
    assert await desk.store.kv_get(path) is None
    assert oldest not in {key.epoch for key in keys.topic_keys()}


async def agreed_rounds(desk: Desk, keys: KeyRotation) -> None:
    """Two rounds, as far apart as both clocks must have agreed."""
    await keys.ensure_topic_keys(acl())
    desk.clock.advance(dwell(PROFILE.clock_skew))
    await keys.ensure_topic_keys(acl())


def secrets_of(keys: KeyRotation) -> dict[tuple[Topic, EpochNumber, int], bytes]:
    return {(key.topic, key.epoch, key.generation): key.secret for key in keys.topic_keys()}


@pytest.mark.parametrize("rounds", [1, 3])
async def test_a_clock_that_is_ahead_destroys_nothing(desk: Desk, rounds: int) -> None:
    """OpenBao's clock says otherwise, however long the authority's is wrong."""
    own = FakeClock(desk.clock.now())
    keys = rotation(desk, own)
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    await keys.ensure_topic_keys(acl())
    await keys.ensure_directory(acl(), DenyList())
    before = secrets_of(keys)
    ahead = LONGEST_WAIT + PROFILE.key_validity + timedelta(minutes=1)
    own.jump(ahead)
    for _ in range(rounds):
        await keys.ensure_topic_keys(acl())
        await keys.ensure_directory(acl(), DenyList())
        own.advance(dwell(PROFILE.clock_skew))
        desk.clock.advance(dwell(PROFILE.clock_skew))
    own.jump(-ahead)
    await keys.ensure_topic_keys(acl())
    assert before.items() <= secrets_of(keys).items()
    assert await desk.store.kv_get(names.kv_enrolled_key(GATEKEEPER, member.key.key_id))


async def test_one_round_on_a_machine_whose_clock_jumped_destroys_nothing(desk: Desk) -> None:
    """OpenBao on the same machine has jumped as well: it takes two rounds without a step."""
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    before = secrets_of(keys)
    ahead = LONGEST_WAIT + PROFILE.key_validity + timedelta(minutes=1)
    for _ in range(2):
        desk.clock.jump(ahead)
        await keys.ensure_topic_keys(acl())
        desk.clock.jump(-ahead)
        desk.clock.advance(dwell(PROFILE.clock_skew))
        await keys.ensure_topic_keys(acl())
    assert before.items() <= secrets_of(keys).items()


async def test_while_openbao_tells_no_time_nothing_is_destroyed(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    before = secrets_of(keys)
    desk.clock.advance(LONGEST_WAIT + 2 * PROFILE.key_validity)
    silent = desk.store.restricted(lambda operation, _path: operation != "server_time")
    blind = rotation(replace(desk, store=silent))
    for _ in range(3):
        await blind.ensure_topic_keys(acl())
        desk.clock.advance(dwell(PROFILE.clock_skew))
    assert before.items() <= secrets_of(blind).items()


async def test_a_destroyed_key_is_made_again_as_another_generation(desk: Desk) -> None:
    """Rule 5: whoever holds the destroyed bytes would else open nothing, and not know why."""
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    before = secrets_of(keys)
    wrong = LONGEST_WAIT + PROFILE.key_validity + timedelta(minutes=1)
    for times in (1, 2):
        desk.clock.jump(wrong)  # every clock is ahead, and stays so
        await agreed_rounds(desk, keys)
        desk.clock.jump(-wrong)
        keys = rotation(desk)
        await keys.ensure_topic_keys(acl())
        again = secrets_of(keys)
        assert not before.keys() & again.keys()
        epoch = SCHEDULE.number_at(desk.clock.now())
        assert (TOPIC, epoch, times) in again
    assert await rotation_reads(desk) == again


async def rotation_reads(desk: Desk) -> dict[tuple[Topic, EpochNumber, int], bytes]:
    """What a restarted process finds."""
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    return secrets_of(keys)


async def test_the_directory_proves_every_enrolled_key(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    assert keys.directory is not None
    directory = Directory.from_bytes(keys.directory.document.body)
    entry = await desk.store.kv_get(names.kv_directory_entry(member.key.key_id))
    assert entry is not None
    found = check_entry(directory, DirectoryEntry.model_validate(entry.value["entry"]))
    assert found.instance == GATEKEEPER
    assert directory.key_ids == (member.key.key_id,)


async def test_a_denied_services_key_leaves_the_directory(desk: Desk) -> None:
    member = Enrolled(GATEKEEPER, desk.clock)
    await member.enrol(desk.store)
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    await keys.ensure_directory(acl(), DenyList(services={SERVICE: desk.clock.now()}))
    assert await desk.store.kv_get(names.kv_directory_entry(member.key.key_id)) is None


async def test_an_unchanged_directory_writes_nothing(desk: Desk) -> None:
    await Enrolled(GATEKEEPER, desk.clock).enrol(desk.store)
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    seen = len(desk.store.calls)
    await keys.ensure_directory(acl(), DenyList())
    assert not {"kv_put", "transit_sign"} & {name for name, _ in desk.store.calls[seen:]}


async def test_digests_of_a_changed_rule_stay_accepted_and_survive_a_restart(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    changed = acl(TEXT.replace("durable: auth-controller", "durable: other"))
    await keys.ensure_directory(changed, DenyList())
    assert keys.directory is not None
    both = Directory.from_bytes(keys.directory.document.body).topic_policies[TOPIC]
    assert len(both) == 2
    after = rotation(desk)
    await after.recall_policies()
    await after.ensure_directory(changed, DenyList())
    assert after.directory is not None
    assert Directory.from_bytes(after.directory.document.body).topic_policies[TOPIC] == both
    desk.clock.advance(SCHEDULE.validity + SCHEDULE.period)
    await after.ensure_directory(changed, DenyList())
    later = Directory.from_bytes(after.directory.document.body).topic_policies[TOPIC]
    assert len(later) == 1


async def test_a_bundle_holds_the_keys_of_its_own_topics_only(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    changed = await keys.ensure_bundles(acl())
    assert {service for service, _ in changed} == {"gatekeeper", "auth-controller"}
    topics = {}
    for service in ("gatekeeper", "auth-controller"):
        data = keys.bundle_of(ServiceId(service))
        assert data is not None
        bundle = ServiceBundle.from_bytes(documents.decode(data).body)
        topics[service] = {key.topic for key in bundle.topic_keys}
    assert topics == {"gatekeeper": {"auth.requests", "other.news"}, "auth-controller": {TOPIC}}
    assert keys.bundle_of(ServiceId("stranger")) is None


async def test_the_copy_in_kv_opens_with_the_services_transit_key(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    await keys.ensure_bundles(acl())
    entry = await desk.store.kv_get(names.kv_service_bundle(SERVICE))
    assert entry is not None
    plain = await desk.store.transit_decrypt(
        names.service_transit_key(SERVICE), entry.value["ciphertext"]
    )
    assert plain == keys.bundle_of(SERVICE)


@pytest.mark.parametrize("fails", [1, 2])
async def test_whoever_has_a_new_bundle_is_told_though_another_ones_failed(
    desk: Desk, fails: int
) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    encrypt, count = desk.store.transit_encrypt, 0

    async def failing(key: str, plaintext: bytes) -> str:
        nonlocal count
        count += 1
        if count == fails:
            raise SecretStoreUnavailableError("gone for a moment")
        return await encrypt(key, plaintext)

    desk.store.transit_encrypt = failing  # type: ignore[method-assign]
    with pytest.raises(SecretStoreUnavailableError):
        await keys.ensure_bundles(acl())
    assert len(keys.owed) == 1
    await keys.ensure_bundles(acl())
    assert set(keys.owed) == {"gatekeeper", "auth-controller"}
    keys.told(SERVICE, keys.owed[SERVICE].next())
    assert SERVICE in keys.owed, "another version was told"
    keys.told(SERVICE, keys.owed[SERVICE])
    assert set(keys.owed) == {"auth-controller"}


async def test_an_unchanged_bundle_is_not_signed_again(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    await keys.ensure_bundles(acl())
    assert await keys.ensure_bundles(acl()) == []


async def test_a_restart_continues_the_versions_of_bundles(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    before = dict(await keys.ensure_bundles(acl()))
    after = rotation(desk)
    await after.ensure_topic_keys(acl())
    again = dict(await after.ensure_bundles(acl()))
    assert all(again[service] > version for service, version in before.items())


async def test_a_service_that_left_the_acl_has_no_bundle(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    await keys.ensure_bundles(acl())
    smaller = acl(TEXT.replace("gatekeeper", "porter"))
    await keys.ensure_bundles(smaller)
    assert keys.bundle_of(SERVICE) is None


async def test_two_authorities_that_write_one_bundle_do_not_overwrite(desk: Desk) -> None:
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    put = desk.store.kv_put
    path = names.kv_service_bundle(ServiceId("auth-controller"))

    async def overtaken(where: str, value: dict[str, object], *, cas: int) -> int:
        if where == path:
            await put(where, value, cas=cas)
        return await put(where, value, cas=cas)

    desk.store.kv_put = overtaken  # type: ignore[method-assign]
    with pytest.raises(ConflictError):
        await keys.ensure_bundles(acl())


async def test_a_key_of_an_instance_that_is_no_service_is_not_listed(desk: Desk) -> None:
    await Enrolled(InstanceId("stranger/1"), desk.clock).enrol(desk.store)
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    assert keys.directory is not None
    assert Directory.from_bytes(keys.directory.document.body).key_ids == ()


async def test_kept_keys_that_do_not_fit_are_left_out_oldest_first_and_named(desk: Desk) -> None:
    """Rule 4: what is kept grows with the time that messages may wait (B3)."""
    keys = rotation(desk)
    await keys.ensure_topic_keys(acl())
    newest = max(epoch for _, epoch in keys._topic_keys)
    for back in range(10, 6_000):
        epoch = EpochNumber(newest - back)
        key = TopicKey(topic=NEWS, epoch=epoch, generation=0, secret=b"k" * 32)
        keys._topic_keys[NEWS, epoch] = (key,)
    changed = await keys.ensure_bundles(acl())
    assert {service for service, _ in changed} == {"auth-controller", "gatekeeper"}
    assert keys.cut_short == {"gatekeeper"}
    data = keys.bundle_of(SERVICE)
    assert data is not None
    assert len(data) < documents.MAX_DOCUMENT_BYTES
    held = {key.epoch for key in ServiceBundle.from_bytes(documents.decode(data).body).topic_keys}
    assert newest in held
    assert min(held) > newest - 6_000
    assert {epoch for _, epoch in keys._topic_keys if epoch >= min(held)} == held, "no hole"
    for _topic, epoch in [place for place in keys._topic_keys if place[1] < newest - 9]:
        del keys._topic_keys[NEWS, epoch]
    await keys.ensure_bundles(acl())
    assert not keys.cut_short


class WideAcl(CompiledAcl):
    """An ACL that lets one service use more topics than a bundle has room for."""

    def bundle_rules(self, service: ServiceId) -> tuple[TopicRule, ...]:
        rules = super().bundle_rules(service)
        return rules * 5_000 if service == SERVICE else rules


async def test_a_bundle_that_outgrew_the_bus_is_named_and_others_get_theirs(desk: Desk) -> None:
    keys, compiled = rotation(desk), acl()
    wide = WideAcl(**{entry.name: getattr(compiled, entry.name) for entry in fields(compiled)})
    await keys.ensure_topic_keys(wide)
    changed = await keys.ensure_bundles(wide)
    assert [service for service, _ in changed] == ["auth-controller"]
    assert list(keys.too_large) == ["gatekeeper"]
    assert "audience=gatekeeper" in keys.too_large["gatekeeper"]
    await keys.ensure_bundles(compiled)
    assert not keys.too_large


async def test_a_directory_that_outgrew_the_bus_is_named_and_the_one_in_force_stays(
    desk: Desk,
) -> None:
    keys = rotation(desk)
    await keys.ensure_directory(acl(), DenyList())
    before = keys.directory
    epoch = SCHEDULE.number_at(desk.clock.now())
    digests = {f"{number:064x}": epoch for number in range(12_000)}
    keys._policies[TOPIC] = digests
    await keys.ensure_directory(acl(), DenyList())
    assert keys.directory is before
    assert list(keys.too_large) == ["the directory"]
    digests.clear()
    await keys.ensure_directory(acl(), DenyList())
    assert not keys.too_large
