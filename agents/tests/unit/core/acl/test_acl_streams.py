from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from acl_scene import TEXT, acl, changed

from securetransport.core.acl import (
    compile_acl,
    compile_consumers,
    compile_streams,
    longest_wait,
    storage_bytes,
)
from securetransport.core.acl.compile.streams import LEAST_QUOTA
from securetransport.core.base.errors import ConfigError
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.formats.dead_letter import PARKING_ROOM_BYTES, SMALL_LETTER_BYTES

SECOND = 10**9


def streams(profile: str = "compressed", text: str = TEXT) -> dict[str, dict[str, Any]]:
    return {item["name"]: item for item in compile_streams(acl(text), PROFILES[profile])}


def test_platform_streams_are_always_there() -> None:
    assert list(streams()) == [
        "ATTESTATIONS",
        "AUTH_STREAM",
        "DEAD_LETTERS",
        "DEAD_LETTERS_LARGE",
        "GATEKEEPER_STREAM",
        "METADATA_CA_CLIENT",
        "ROTATION_LOG",
    ]


def test_every_stream_refuses_when_full_and_forbids_deletion() -> None:
    for name, stream in streams().items():
        assert stream["discard"] == "new"
        assert stream["deny_delete"] == (not name.startswith("DEAD_LETTERS"))
        assert stream["deny_purge"]
        assert stream["storage"] == "file"
        assert stream["max_bytes"] > 0
        assert stream["num_replicas"] == 3


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda profile: profile.name)
def test_duplicate_window_covers_the_freshness_limit(profile: Profile) -> None:
    for stream in compile_streams(acl(), profile):
        window = timedelta(microseconds=stream["duplicate_window"] // 1000)
        assert window >= profile.clock_skew + profile.retry_limit
        assert stream["duplicate_window"] <= stream["max_age"]


def test_stream_that_forgets_before_copies_are_stale_is_refused() -> None:
    text = TEXT.replace("max_age_seconds: 3600", "max_age_seconds: 600", 1)
    with pytest.raises(
        ConfigError, match=r"streams\.AUTH_STREAM\.max_age_seconds.*clock_skew"
    ) as caught:
        compile_streams(acl(text), PROFILES["test"])
    assert len(caught.value.problems) == 1


def test_dead_letters_that_forget_before_copies_are_stale_are_refused() -> None:
    text = f"{TEXT}dead_letters: {{max_age_seconds: 600}}\n"
    with pytest.raises(ConfigError, match=r"dead_letters\.max_age_seconds.*clock_skew"):
        compile_streams(acl(text), PROFILES["test"])


@pytest.mark.parametrize(
    ("stream", "dead_letters", "expected"),
    [
        (3600, None, timedelta(days=7)),
        (3600, 7200, timedelta(hours=2)),
        (864000, 7200, timedelta(days=10)),
        (864000, None, timedelta(days=10)),
    ],
)
def test_a_message_waits_as_long_as_the_longest_of_its_streams(
    stream: int, dead_letters: int | None, expected: timedelta
) -> None:
    """Rule 4: one place says it, and the stream is made of the same value."""
    text = TEXT.replace("max_age_seconds: 3600", f"max_age_seconds: {stream}", 1)
    if dead_letters is not None:
        text += f"dead_letters: {{max_age_seconds: {dead_letters}}}\n"
    compiled = compile_acl(acl(text), PROFILES["compressed"])
    assert compiled.longest_wait == longest_wait(acl(text)) == expected
    made = {
        item["name"]: timedelta(microseconds=item["max_age"] // 1000) for item in compiled.streams
    }
    assert max(made["DEAD_LETTERS"], made["AUTH_STREAM"]) == expected
    assert made["DEAD_LETTERS"] == timedelta(seconds=dead_letters or 604800)


def test_an_acl_that_says_nothing_of_dead_letters_keeps_its_canonical_form() -> None:
    assert b"dead_letters" not in acl().canonical()
    said = acl(f"{TEXT}dead_letters: {{max_age_seconds: 604800}}\n")
    assert said.digest() == acl().digest()
    other = acl(f"{TEXT}dead_letters: {{max_age_seconds: 3600}}\n")
    assert type(other).from_canonical(other.canonical()) == other


def test_compiled_once_is_what_each_part_compiles() -> None:
    profile = PROFILES["compressed"]
    made = compile_acl(acl(), profile, replicas=1)
    assert list(made.streams) == compile_streams(acl(), profile, replicas=1)
    assert list(made.consumers) == compile_consumers(acl(), replicas=1)
    assert made.digest == acl().digest() == made.broker.acl_digest
    assert made.storage_bytes == storage_bytes(acl())
    assert made.topics == {"auth.requests", "gatekeeper.responses"}


def test_attestations_keep_the_last_of_each_instance() -> None:
    assert streams()["ATTESTATIONS"]["max_msgs_per_subject"] == 1


def test_streams_read_without_a_consumer_allow_it() -> None:
    allowed = {name for name, stream in streams().items() if stream["allow_direct"]}
    assert allowed == {
        "ATTESTATIONS",
        "DEAD_LETTERS",
        "DEAD_LETTERS_LARGE",
        "METADATA_CA_CLIENT",
        "ROTATION_LOG",
    }


@pytest.mark.parametrize("size", [1024, 1 << 20, 8 << 20])
def test_quotas_of_all_dead_letters_fit_at_their_largest(size: int) -> None:
    many = "".join(f"  other{n}: {{produces: [auth.requests]}}\n" for n in range(40))
    text = TEXT.replace(", max_bytes", f", max_message_bytes: {size}, max_bytes")
    for told in (text, text.replace("services:\n", f"services:\n{many}")):
        made, parsed = streams(text=told), acl(told)
        accounts = {
            (parsed.topics[item.topic], item.durable, account)
            for spec in parsed.services.values()
            for item in spec.consumes
            for account in (
                *(name for name, other in parsed.services.items() if item.topic in other.produces),
                "_late",
                "_newer",
                "_unverified",
            )
        }
        for name, largest in (
            ("DEAD_LETTERS", SMALL_LETTER_BYTES),
            ("DEAD_LETTERS_LARGE", min(size, 1 << 20) + PARKING_ROOM_BYTES),
        ):
            stream = made[name]
            assert stream["discard_new_per_subject"]
            quota = stream["max_msgs_per_subject"]
            assert quota >= LEAST_QUOTA
            assert quota * len(accounts) * largest <= stream["max_bytes"]


def test_durable_acknowledges_explicitly_and_never_gives_up() -> None:
    found = compile_consumers(acl(), replicas=1)
    assert [(c["stream_name"], c["config"]["durable_name"]) for c in found] == [
        ("AUTH_STREAM", "auth-controller"),
        ("GATEKEEPER_STREAM", "gatekeeper"),
    ]
    config = found[0]["config"]
    assert config["ack_policy"] == "explicit"
    assert config["max_ack_pending"] == 1000
    assert config["num_replicas"] == 1
    assert config["ack_wait"] == 5 * SECOND
    assert "backoff" not in config, "when a message comes again is decided in one place"
    assert config["max_deliver"] == -1, "no message becomes nobody's while the stream keeps it"
    assert config["filter_subject"] == "auth.requests"


def test_two_topics_on_one_durable_become_two_filters() -> None:
    text = changed("  auth.requests: {", "  auth.more: {stream: AUTH_STREAM}\n  auth.requests: {")
    text = text.replace("produces: [auth.requests]", "produces: [auth.requests, auth.more]")
    text = text.replace(
        "- {topic: auth.requests,",
        "- {topic: auth.more, durable: auth-controller}\n      - {topic: auth.requests,",
    )
    config = compile_consumers(acl(text))[0]["config"]
    assert config["filter_subjects"] == ["auth.more", "auth.requests"]
    assert "filter_subject" not in config


def test_storage_is_the_sum_of_all_streams() -> None:
    assert storage_bytes(acl()) == sum(stream["max_bytes"] for stream in streams().values())
