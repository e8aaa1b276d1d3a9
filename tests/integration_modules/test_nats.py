# SPDX-License-Identifier: Apache-2.0
"""Modules for streams and durables, against a real server over mTLS."""

from __future__ import annotations

import pytest
from conftest import NatsLab
from module_lab import Ansible

CONFIG = {
    "subjects": ["walk.>"],
    "retention": "workqueue",
    "storage": "file",
    "discard": "new",
    "max_age": "1h",
    "max_bytes": 1048576,
    "deny_delete": True,
}
DURABLE = {
    "filter_subject": "walk.answers",
    "ack_policy": "explicit",
    "ack_wait": "5s",
    "backoff": ["5s", "10s"],
    "max_deliver": 5,
}


def test_stream_is_made_changed_and_removed(ansible: Ansible, nats: NatsLab) -> None:
    base = nats.options(name="WALK", config=CONFIG)
    larger = nats.options(name="WALK", config={**CONFIG, "max_bytes": 2097152, "max_age": "30m"})
    gone = nats.options(name="WALK", state="absent")
    results = ansible.walk(
        "nats_stream",
        [(base, True), (base, False), (larger, True), (larger, False), (gone, True), (gone, False)],
    )
    assert results[2]["diff"] == {
        "before": {"max_age": 3600000000000, "max_bytes": 1048576},
        "after": {"max_age": 1800000000000, "max_bytes": 2097152},
    }


def test_stream_field_set_by_hand_is_taken_back(ansible: Ansible, nats: NatsLab) -> None:
    base = nats.options(name="DRIFT", config={"subjects": ["drift.>"], "storage": "memory"})
    by_hand = {
        "subjects": ["drift.>", "more.>"],
        "storage": "memory",
        "max_msgs": 7,
        "no_ack": True,
    }
    ansible.walk("nats_stream", [(base, True), (base, False)])
    ansible.walk("nats_stream", [(nats.options(name="DRIFT", config=by_hand), True)])
    results = ansible.walk("nats_stream", [(base, True), (base, False)])
    assert set(results[0]["diff"]["before"]) == {"subjects", "max_msgs", "no_ack"}
    ansible.walk("nats_stream", [(nats.options(name="DRIFT", state="absent"), True)])


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"storage": "memory"}, "storage is 'file' and cannot be changed to 'memory'"),
        ({"retention": "limits"}, "retention is 'workqueue' and cannot be changed to 'limits'"),
        ({"deny_delete": False}, "deny_delete is True and cannot be changed to False"),
    ],
)
def test_stream_field_that_cannot_change_is_an_error_in_check_mode_too(
    ansible: Ansible, nats: NatsLab, change: dict[str, object], text: str
) -> None:
    ansible.one(
        "nats_stream", nats.options(name="FIXED", config={**CONFIG, "subjects": ["fixed.>"]})
    )
    options = nats.options(name="FIXED", config={**CONFIG, "subjects": ["fixed.>"], **change})
    for is_check in (True, False):
        failure = ansible.one("nats_stream", options, check=is_check)
        assert text in failure["msg"]


def test_consumer_is_made_changed_and_removed(ansible: Ansible, nats: NatsLab) -> None:
    stream = {**CONFIG, "subjects": ["durable.>"]}
    durable = {**DURABLE, "filter_subject": "durable.answers"}
    several = {key: value for key, value in durable.items() if key != "filter_subject"}
    several["filter_subjects"] = ["durable.answers", "durable.more"]
    ansible.one("nats_stream", nats.options(name="DURABLE", config=stream))
    base = nats.options(stream="DURABLE", name="reader", config=durable)
    other = nats.options(stream="DURABLE", name="reader", config={**durable, "max_deliver": 9})
    wider = nats.options(stream="DURABLE", name="reader", config=several)
    gone = nats.options(stream="DURABLE", name="reader", state="absent")
    results = ansible.walk(
        "nats_consumer",
        [
            (base, True), (base, False), (other, True), (other, False),
            (wider, True), (wider, False), (gone, True), (gone, False),
        ],
    )  # fmt: skip
    assert results[2]["diff"] == {"before": {"max_deliver": 5}, "after": {"max_deliver": 9}}
    assert "filter_subject" in results[4]["diff"]["before"]


def test_consumer_that_cannot_change_or_has_no_stream_is_an_error(
    ansible: Ansible, nats: NatsLab
) -> None:
    ansible.one(
        "nats_stream", nats.options(name="RULES", config={**CONFIG, "subjects": ["rules.>"]})
    )
    durable = {**DURABLE, "filter_subject": "rules.answers"}
    base = nats.options(stream="RULES", name="reader", config=durable)
    ansible.walk("nats_consumer", [(base, True), (base, False)])
    fixed = nats.options(stream="RULES", name="reader", config={**durable, "deliver_policy": "new"})
    assert (
        "deliver_policy is 'all' and cannot"
        in ansible.one("nats_consumer", fixed, check=True)["msg"]
    )
    push = {**durable, "deliver_subject": "_INBOX.other.x"}
    pushed = ansible.one("nats_consumer", nats.options(stream="RULES", name="p", config=push))
    assert "only pull consumers are made" in pushed["msg"]
    missing = ansible.one("nats_consumer", nats.options(stream="NONE", name="p", config=durable))
    assert "stream not found" in missing["msg"]


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"ca_file": "retired.crt"}, "certificate verify failed"),
        ({"client_key": "stranger.key"}, "do not belong together"),
        ({"client_cert": "none.crt"}, "none.crt does not exist"),
        ({"name": "A.B"}, "is not a name"),
        ({"servers": ["tls://127.0.0.1:9"]}, "no NATS server of tls://127.0.0.1:9"),
        ({"config": {"subjects": ["x.>"], "max_age": "soon"}}, "config.max_age: 'soon'"),
        ({"config": {"subjects": ["x.>"], "max_aeg": 5}}, "JetStream refused STREAM.CREATE.X"),
    ],
)
def test_mistakes_are_told_in_one_line(
    ansible: Ansible, nats: NatsLab, change: dict[str, object], text: str
) -> None:
    named = {
        key: str(nats.folder / value)
        if isinstance(value, str) and "." in value and key != "name"
        else value
        for key, value in change.items()
    }
    options = {**nats.options(name="X", config={"subjects": ["x.>"]}), **named}
    failure = ansible.one("nats_stream", options)
    assert failure["failed"]
    assert text in failure["msg"], failure["msg"]
    assert "\n" not in failure["msg"]


def test_user_that_the_server_does_not_know_is_refused(ansible: Ansible, nats: NatsLab) -> None:
    stranger = {
        **nats.options(name="X", config={"subjects": ["x.>"]}),
        "client_cert": str(nats.folder / "stranger.crt"),
        "client_key": str(nats.folder / "stranger.key"),
    }
    failure = ansible.one("nats_stream", stranger)
    assert "accepts a connection" in failure["msg"]
    assert "uthorization" in failure["msg"]
