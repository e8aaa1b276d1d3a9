# SPDX-License-Identifier: Apache-2.0
"""Streams and durables, against a real server over mTLS."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any

import pytest
from conftest import NatsLab
from module_lab import Ansible

HOUR = 3600 * 10**9
CONFIG = {
    "retention": "workqueue",
    "storage": "file",
    "discard": "new",
    "max_age": HOUR,
    "max_bytes": 1048576,
    "deny_delete": True,
}
DURABLE = {
    "ack_policy": "explicit",
    "ack_wait": 5 * 10**9,
    "backoff": [5 * 10**9, 10 * 10**9],
    "max_deliver": 5,
}


def stream(name: str, **fields: Any) -> dict[str, Any]:
    """Return a stream of the subjects below its name."""
    return {"name": name, "subjects": [f"{name.lower()}.>"], **CONFIG, **fields}


def durable(stream_name: str, **fields: Any) -> dict[str, Any]:
    """Return a durable that reads one subject of a stream."""
    subject = f"{stream_name.lower()}.answers"
    config = {"durable_name": "reader", "filter_subject": subject, **DURABLE, **fields}
    return {"stream_name": stream_name, "config": config}


def layout(
    nats: NatsLab, *streams: Mapping[str, Any], consumers: tuple[Mapping[str, Any], ...] = ()
) -> dict[str, Any]:
    """Return the module's options."""
    return {**nats.connection, "streams": list(streams), "consumers": list(consumers)}


def test_stream_is_made_and_changed(ansible: Ansible, nats: NatsLab) -> None:
    base = layout(nats, stream("WALK"))
    larger = layout(nats, stream("WALK", max_bytes=2097152, max_age=HOUR // 2))
    results = ansible.walk(
        "nats_layout", [(base, True), (base, False), (larger, True), (larger, False)]
    )
    assert results[2]["diff"] == {
        "before": {"stream WALK": {"max_age": HOUR, "max_bytes": 1048576}},
        "after": {"stream WALK": {"max_age": HOUR // 2, "max_bytes": 2097152}},
    }


def test_stream_field_set_by_hand_is_taken_back(ansible: Ansible, nats: NatsLab) -> None:
    plain = {"name": "DRIFT", "subjects": ["drift.>"], "storage": "memory"}
    by_hand = {**plain, "subjects": ["drift.>", "more.>"], "max_msgs": 7, "no_ack": True}
    base = layout(nats, plain)
    ansible.walk("nats_layout", [(base, True), (base, False), (layout(nats, by_hand), True)])
    results = ansible.walk("nats_layout", [(base, True), (base, False)])
    assert set(results[0]["diff"]["before"]["stream DRIFT"]) == {"subjects", "max_msgs", "no_ack"}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"storage": "memory"}, "storage is 'file' and cannot be changed to 'memory'"),
        ({"retention": "limits"}, "retention is 'workqueue' and cannot be changed to 'limits'"),
        ({"deny_delete": False}, "deny_delete is True and cannot be changed to False"),
    ],
)
def test_stream_field_that_cannot_change_is_an_error_before_anything_changes(
    ansible: Ansible, nats: NatsLab, change: dict[str, object], text: str
) -> None:
    ansible.one("nats_layout", layout(nats, stream("FIXED")))
    # The other stream comes first and could be made; it must not be.
    options = layout(nats, stream("BEFORE"), stream("FIXED", **change))
    for is_check in (True, False):
        failure = ansible.one("nats_layout", options, check=is_check)
        assert text in failure["msg"]
        assert failure["msg"].startswith("stream FIXED: ")
    left = ansible.one("nats_layout", layout(nats, stream("BEFORE")), check=True)
    assert left["changed_objects"] == ["stream BEFORE"]


def test_consumer_is_made_and_changed(ansible: Ansible, nats: NatsLab) -> None:
    def reader(**fields: Any) -> dict[str, Any]:
        return layout(nats, stream("DURABLE"), consumers=(durable("DURABLE", **fields),))

    several = durable("DURABLE", filter_subjects=["durable.answers", "durable.more"])
    del several["config"]["filter_subject"]
    wider = layout(nats, stream("DURABLE"), consumers=(several,))
    base, other = reader(), reader(max_deliver=9)
    results = ansible.walk(
        "nats_layout",
        [(base, True), (base, False), (other, True), (other, False), (wider, True), (wider, False)],
    )
    assert results[0]["changed_objects"] == ["consumer DURABLE.reader", "stream DURABLE"]
    assert results[2]["diff"] == {
        "before": {"consumer DURABLE.reader": {"max_deliver": 5}},
        "after": {"consumer DURABLE.reader": {"max_deliver": 9}},
    }
    assert "filter_subject" in results[4]["diff"]["before"]["consumer DURABLE.reader"]


def test_consumer_that_cannot_change_or_has_no_stream_is_an_error(
    ansible: Ansible, nats: NatsLab
) -> None:
    def refusal(consumer: Mapping[str, Any], *, check: bool) -> str:
        options = layout(nats, stream("RULES"), consumers=(consumer,))
        return str(ansible.one("nats_layout", options, check=check)["msg"])

    base = layout(nats, stream("RULES"), consumers=(durable("RULES"),))
    ansible.walk("nats_layout", [(base, True), (base, False)])
    fixed = durable("RULES", deliver_policy="new")
    assert "deliver_policy is 'all' and cannot" in refusal(fixed, check=True)
    push = durable("RULES", durable_name="p", deliver_subject="_INBOX.other.x")
    assert "only pull consumers are made" in refusal(push, check=True)
    assert "stream not found" in refusal(durable("NONE"), check=False)


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ca_file": "retired.crt", "timeout": 2}, "certificate verify failed"),
        ({"ca_file": "admin.key"}, "admin.key holds no certificates"),
        ({"client_key": "stranger.key"}, "do not belong together"),
        ({"client_cert": "none.crt"}, "none.crt does not exist"),
        ({"servers": ["tls://127.0.0.1:9"]}, "no NATS server of tls://127.0.0.1:9"),
        ({"servers": ["tls://127.0.0.1:99999"]}, "servers: 'tls://127.0.0.1:99999' is not tls://"),
        ({"servers": ["nats://127.0.0.1:4222"]}, "servers: 'nats://127.0.0.1:4222' is not tls://"),
        ({"inbox_prefix": "_INBOX.>"}, "inbox_prefix: '_INBOX.>' is not a plain subject"),
        ({"timeout": 0}, "timeout: 0 is not between 1 and 3600"),
    ],
)
def test_wrong_connections_are_told_in_one_line(
    ansible: Ansible, nats: NatsLab, change: dict[str, Any], text: str
) -> None:
    named = {
        key: str(nats.folder / value) if key in ("ca_file", "client_cert", "client_key") else value
        for key, value in change.items()
    }
    failure = ansible.one("nats_layout", {**layout(nats, stream("X")), **named})
    assert failure["failed"]
    assert text in failure["msg"], failure["msg"]
    assert "\n" not in failure["msg"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"name": "A.B"}, "is not a name"),
        ({"name": None}, "is not a name"),
        ({"max_age": "soon"}, "max_age: 'soon' is not a number of nanoseconds"),
        ({"max_bytes": 2.5e8}, "max_bytes: 250000000.0 is not a whole number"),
    ],
)
def test_stream_that_cannot_be_is_refused_in_check_mode_too(
    ansible: Ansible, nats: NatsLab, change: dict[str, Any], text: str
) -> None:
    for is_check in (True, False):
        failure = ansible.one(
            "nats_layout", layout(nats, {**stream("X"), **change}), check=is_check
        )
        assert text in failure["msg"], failure["msg"]
        assert "\n" not in failure["msg"]


def test_stream_that_jetstream_refuses_is_told_in_one_line(ansible: Ansible, nats: NatsLab) -> None:
    failure = ansible.one("nats_layout", layout(nats, stream("X", max_aeg=5)))
    assert "stream X: JetStream refused STREAM.CREATE.X" in failure["msg"]
    assert "\n" not in failure["msg"]


def test_user_that_the_server_does_not_know_is_refused(ansible: Ansible, nats: NatsLab) -> None:
    stranger = {
        **layout(nats, stream("X")),
        "client_cert": str(nats.folder / "stranger.crt"),
        "client_key": str(nats.folder / "stranger.key"),
    }
    failure = ansible.one("nats_layout", stranger)
    assert "accepts a connection" in failure["msg"]
    assert "uthorization" in failure["msg"]


# --- what is asked before anything changes (E11) ----------------------------------------------


def refused(ansible: Ansible, options: dict[str, Any]) -> str:
    """Return why both modes refuse."""
    said = [
        str(ansible.one("nats_layout", options, check=is_check)["msg"])
        for is_check in (True, False)
    ]
    ageless = {re.sub(r"oldest message, \d+ s", "oldest message", text) for text in said}
    assert len(ageless) == 1
    return said[0]


def test_renamed_stream_is_refused_while_the_former_keeps_its_subjects(
    ansible: Ansible, nats: NatsLab
) -> None:
    ansible.one("nats_layout", layout(nats, stream("FORMER")))
    said = refused(ansible, layout(nats, stream("LATTER", subjects=["former.a"])))
    assert said.startswith(
        "stream LATTER: its subject former.a is kept by stream FORMER (former.>)"
    )
    assert "holds 0 messages and is not in the ACL any more" in said


def test_stream_is_not_made_smaller_than_what_it_holds(ansible: Ansible, nats: NatsLab) -> None:
    ansible.one("nats_layout", layout(nats, stream("SHRINK", max_age=HOUR)))
    nats.publish("shrink.a", b"x" * 4000)
    assert "max_bytes 1000 is less than the" in refused(
        ansible, layout(nats, stream("SHRINK", max_bytes=1000))
    )
    time.sleep(2.1)
    said = refused(ansible, layout(nats, stream("SHRINK", max_age=10**9, duplicate_window=10**9)))
    assert "max_age 1 s is less than the age of its oldest message" in said
    larger = ansible.one("nats_layout", layout(nats, stream("SHRINK", max_bytes=4194304)))
    assert larger["changed_objects"] == ["stream SHRINK"]


def test_renamed_durable_of_a_work_queue_is_refused(ansible: Ansible, nats: NatsLab) -> None:
    ansible.one("nats_layout", layout(nats, stream("QUEUE"), consumers=(durable("QUEUE"),)))
    other = durable("QUEUE", durable_name="successor")
    said = refused(ansible, layout(nats, stream("QUEUE"), consumers=(other,)))
    assert said.startswith(
        "consumer QUEUE.successor: durable reader, which is not in the ACL any more"
    )
    apart = durable("QUEUE", durable_name="successor", filter_subject="queue.more")
    made = ansible.one("nats_layout", layout(nats, stream("QUEUE"), consumers=(apart,)))
    assert made["changed_objects"] == ["consumer QUEUE.successor"]
