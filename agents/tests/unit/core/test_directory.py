"""The rules of core.trust.directory: what the directory lists, and how an entry is believed."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from securetransport.core.base.epochs import EpochNumber
from securetransport.core.base.errors import RejectedDocumentError
from securetransport.core.base.names import InstanceId, KeyId, ServiceId
from securetransport.core.base.profile import PROFILES
from securetransport.core.formats.deny_list import DenyList
from securetransport.core.formats.directory import VerifyKey
from securetransport.core.trust.directory import (
    BuiltDirectory,
    build_directory,
    check_entry,
    select_enrolled,
)

PROFILE = PROFILES["compressed"]
NOW = datetime(2026, 1, 1, tzinfo=UTC)
CURRENT = PROFILE.key_schedule.number_at(NOW)
SERVICES = frozenset({ServiceId("gatekeeper"), ServiceId("auth_controller")})


def key(mark: str, epoch: int = CURRENT, service: str = "gatekeeper") -> VerifyKey:
    return VerifyKey(
        key_id=KeyId(mark * 32),
        service=ServiceId(service),
        instance=InstanceId(f"{service}/1"),
        epoch=EpochNumber(epoch),
        algorithm="ML-DSA-65",
        public_key=mark.encode() * 8,
        created_at=NOW,
    )


def selected(*keys: VerifyKey, deny: DenyList | None = None) -> tuple[str, ...]:
    found = select_enrolled(keys, SERVICES, deny or DenyList(), PROFILE, NOW)
    return tuple(entry.key_id[0] for entry in found)


def built(*keys: VerifyKey) -> BuiltDirectory:
    return build_directory(keys, {}, [EpochNumber(CURRENT)])


def test_only_known_services_that_nobody_denied_are_listed() -> None:
    """Rule 1."""
    a, b, c = key("a"), key("b"), key("c", service="stranger")
    assert selected(a, b, c) == ("a", "b")
    assert selected(a, b, deny=DenyList(key_ids={a.key_id: NOW})) == ("b",)
    assert selected(a, b, deny=DenyList(services={ServiceId("gatekeeper"): NOW})) == ()


def test_keys_of_past_epochs_stay_and_those_of_far_ones_wait() -> None:
    """Rule 1: a waiting message may be old; an epoch beyond lead and skew is nobody's yet."""
    assert selected(key("b", CURRENT - 50), key("a"), key("c", CURRENT + 5)) == ("b", "a")


def test_a_new_key_changes_the_tree_of_its_own_epoch_only() -> None:
    """Rule 2."""
    past = key("a", CURRENT - 1)
    before, after = built(past, key("b")), built(past, key("b"), key("c"))
    assert before.directory.trees[past.epoch] == after.directory.trees[past.epoch]
    assert before.entries[past.key_id] == after.entries[past.key_id]
    current = EpochNumber(CURRENT)
    assert before.directory.trees[current] != after.directory.trees[current]
    assert after.directory.key_ids == (key("b").key_id, key("c").key_id)


def test_every_entry_proves_itself() -> None:
    found = built(*(key(mark) for mark in "abcde"))
    for key_id, entry in found.entries.items():
        assert check_entry(found.directory, entry).key_id == key_id


@pytest.mark.parametrize("change", ["key", "index", "proof", "epoch", "impossible"])
def test_an_entry_without_its_proof_is_refused(change: str) -> None:
    """Rule 3."""
    found = built(key("a"), key("b"), key("c"))
    entry = found.entries[key("a").key_id]
    changed = entry.model_copy(
        update={
            "key": {"key": key("d")},
            "index": {"index": 1},
            "proof": {"proof": entry.proof[::-1]},
            "epoch": {"key": key("a", CURRENT + 1)},
            "impossible": {"index": 99},
        }[change]
    )
    with pytest.raises(RejectedDocumentError):
        check_entry(found.directory, changed)


def test_a_directory_without_the_epoch_has_none_of_its_keys() -> None:
    entry = built(key("a")).entries[key("a").key_id]
    with pytest.raises(RejectedDocumentError, match="not in the directory"):
        check_entry(built().directory, entry)
