from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from securetransport.core.base.errors import ConfigError, MalformedMessageError
from securetransport.core.formats.envelope import MessageHeader
from securetransport.core.trust.opening import OpenedMessage, refusal_code
from securetransport_examples.auth_controller.service import decide
from securetransport_examples.gatekeeper.service import (
    LoadOrder,
    Pacer,
    PendingRequests,
    make_request,
    read_order,
)
from securetransport_examples.payloads import (
    TYPE_REQUEST,
    AuthRequest,
    Outcome,
    RequestKind,
    read_payload,
)

DEFAULT = LoadOrder(10.0, stop=False)


def test_pace_is_kept_without_drift() -> None:
    pacer = Pacer()
    sent = sum(pacer.due(200.0, tick * 0.007) for tick in range(1001))
    assert abs(sent - 1400) <= 1


def test_stall_is_not_made_up_for_by_a_burst() -> None:
    pacer = Pacer(longest_seconds=0.25)
    pacer.due(200.0, 0.0)
    assert pacer.due(200.0, 60.0) == 50


def test_most_requests_are_otp() -> None:
    kinds = Counter(make_request(number, 0.8).kind for number in range(5000))
    assert 0.78 < kinds[RequestKind.OTP] / 5000 < 0.82
    assert min(kinds[RequestKind.PASSWORD], kinds[RequestKind.DEVICE]) > 300


def test_missing_control_file_leaves_the_configured_rate(tmp_path: Path) -> None:
    assert read_order(tmp_path / "none.json", DEFAULT) is DEFAULT


def test_control_file_sets_rate_and_stop(tmp_path: Path) -> None:
    path = tmp_path / "load.json"
    path.write_text('{"rate": 200}')
    assert read_order(path, DEFAULT).wanted == 200
    path.write_text('{"rate": 200, "stop": true}')
    assert read_order(path, DEFAULT).wanted == 0


@pytest.mark.parametrize("text", ["", "[]", '{"rate": -1}', '{"rate": "x"}', '{"stop": 1}'])
def test_wrong_control_file_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "load.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        read_order(path, DEFAULT)


def test_pending_requests_are_bounded() -> None:
    pending = PendingRequests(limit=2)
    for number, name in enumerate("abc"):
        pending.sent(name, float(number))
    assert len(pending) == 2
    assert pending.answered("a", 9.0) is None
    assert pending.answered("c", 9.0) == 7.0
    assert pending.answered("c", 9.0) is None


def test_same_request_gets_the_same_decision() -> None:
    requests = [make_request(number, 0.8) for number in range(2000)]
    outcomes = Counter(decide(request, 0.1)[0] for request in requests)
    assert 0.06 < outcomes[Outcome.DENIED] / 2000 < 0.14
    assert all(decide(request, 0.1) == decide(request, 0.1) for request in requests)


def test_request_without_evidence_is_denied() -> None:
    request = AuthRequest(kind=RequestKind.OTP, user="u", evidence="")
    assert decide(request, 0.0) == (Outcome.DENIED, "no_evidence")


def message(header: MessageHeader, payload: bytes) -> OpenedMessage:
    return OpenedMessage(header, payload)


@pytest.mark.parametrize(
    ("changes", "payload"),
    [
        ({"schema": "auth.request/2"}, b""),
        ({"type": "auth.response"}, b""),
        ({}, b'{"kind":"otp","user":"u","evidence":"e","more":1}'),
        ({}, b"\xff"),
    ],
)
def test_payload_of_another_schema_is_refused(
    a_header: MessageHeader, changes: dict[str, str], payload: bytes
) -> None:
    with pytest.raises(MalformedMessageError) as caught:
        read_payload(message(replace(a_header, **changes), payload), TYPE_REQUEST, AuthRequest)
    assert refusal_code(caught.value) == "schema"
