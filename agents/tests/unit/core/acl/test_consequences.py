"""What becomes of a change of the ACL on a running platform, as ``acl diff`` says it."""

from __future__ import annotations

import pytest

from securetransport.core.acl import Answer, consequences, load_acl

BEFORE = """
version: 1
trust_domain: example.test
streams:
  AUTH_STREAM: {subjects: ["auth.>"], max_age_seconds: 3600, max_bytes: 2097152}
topics:
  auth.requests: {stream: AUTH_STREAM}
  auth.events: {stream: AUTH_STREAM}
services:
  gatekeeper: {produces: [auth.requests, auth.events]}
  auth-controller:
    consumes: [{topic: auth.requests, durable: reader}]
"""


def answers(*changes: tuple[str, str]) -> list[str]:
    """Return the lines for a file with some of its texts replaced."""
    text = BEFORE
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return [str(entry) for entry in consequences(load_acl(BEFORE), load_acl(text))]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        pytest.param(
            ("AUTH_STREAM", "LOGIN_STREAM"),
            "stream LOGIN_STREAM: refused: AUTH_STREAM keeps these subjects; keep its name, or"
            " empty and delete it",
            id="stream renamed",
        ),
        pytest.param(
            ("max_bytes: 2097152", "max_bytes: 2097152, retention: limits"),
            "stream AUTH_STREAM: retention: refused: JetStream changes no retention; use another"
            " stream with other subjects",
            id="retention",
        ),
        pytest.param(
            ("2097152", "4194304"),
            "stream AUTH_STREAM: max_bytes: carried out: 2097152 -> 4194304",
            id="larger",
        ),
        pytest.param(
            ("2097152", "1048576"),
            "stream AUTH_STREAM: max_bytes: asked of the servers: refused while it holds what"
            " 2097152 -> 1048576 would delete",
            id="smaller",
        ),
        pytest.param(
            ("3600", "1800"),
            "stream AUTH_STREAM: max_age_seconds: asked of the servers: refused while it holds what"
            " 3600 -> 1800 would delete",
            id="shorter",
        ),
        pytest.param(
            ("durable: reader", "durable: successor"),
            "durable successor of AUTH_STREAM: refused: durable reader reads the same of this work"
            " queue; keep it, or delete it",
            id="durable renamed",
        ),
        pytest.param(
            ("services:", "services:\n  auditor: {consumes: [{topic: auth.events, durable: a}]}"),
            "service auditor: carried out: others are not interrupted",
            id="service added",
        ),
        pytest.param(
            (
                "  auth-controller:\n    consumes: [{topic: auth.requests, durable: reader}]\n",
                "",
            ),
            "service auth-controller removed: carried out: its user goes, messages for it wait"
            " until their age ends",
            id="service removed",
        ),
    ],
)
def test_each_change_has_its_answer(change: tuple[str, str], expected: str) -> None:
    assert expected in answers(change)


def test_unchanged_file_says_nothing() -> None:
    assert answers() == []


def test_service_that_is_added_again_is_carried_out() -> None:
    without = load_acl(BEFORE.split("  auth-controller:", maxsplit=1)[0])
    found = consequences(without, load_acl(BEFORE))
    assert {entry.answer for entry in found} == {Answer.CARRIED_OUT}
