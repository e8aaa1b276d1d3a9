"""What servers answer; the answers are recorded from nats-server 2.15.1, shortened."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.base.errors import MalformedMessageError
from securetransport.watcher.answers import parse_connections, parse_reload, parse_route_names

SERVER = {"name": "nats-1", "host": "127.0.0.1", "id": "NC2YH3", "ver": "2.15.1"}
LEAF = "8aa3267b1961d6f02b773b1e47b4a2bb05149974f199eb9ff36822fe29d1b403"
CONNECTION = {
    "cid": 22,
    "kind": "Client",
    "start": "2026-11-23T14:50:39.80320865Z",
    "name": "watcher/1",
    "tls_peer_certs": [
        {"subject": "CN=watcher/1", "spki_sha256": "67f5", "cert_sha256": LEAF.upper()},
        {"subject": "CN=nats-int e1", "spki_sha256": "55e9", "cert_sha256": "3d" * 32},
    ],
    "authorized_user": "spiffe://securetransport.test/watcher",
    "account": "SYS",
}


def answer(data: dict[str, Any], server: dict[str, str] = SERVER) -> bytes:
    return json.dumps({"server": server, "data": data}).encode()


def connections(*listed: dict[str, Any]) -> bytes:
    count = len(listed)
    return answer({"total": count, "offset": 0, "limit": 2, "connections": list(listed)})


def test_connection_is_known_by_its_leaf_and_not_by_what_the_peer_says() -> None:
    page = parse_connections(connections(CONNECTION), "nats-1")
    assert page.server_id == "NC2YH3"
    (found,) = page.connections
    assert (found.cid, found.leaf) == (22, LEAF)
    assert found.user == "spiffe://securetransport.test/watcher"
    assert found.started_at.year == 2026


def test_connection_without_certificate_has_an_unknown_leaf() -> None:
    page = parse_connections(connections({**CONNECTION, "tls_peer_certs": []}), "nats-1")
    assert page.connections[0].leaf is None


def test_connection_that_has_not_authenticated_is_counted_in_the_page_only() -> None:
    half = {"cid": 23, "start": CONNECTION["start"]}
    page = parse_connections(connections(CONNECTION, half), "nats-1")
    assert (page.cids, page.total) == ((22, 23), 2)
    assert [found.cid for found in page.connections] == [22]


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"[]",
        b'{"server": {"id": "x", "name": "nats-1"}}',
        connections({**CONNECTION, "cid": None}),
        connections({**CONNECTION, "start": "yesterday"}),
        answer({"connections": []}),
    ],
)
def test_unreadable_answer_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError, match="cannot be read"):
        parse_connections(data, "nats-1")


def test_answer_of_another_server_is_refused() -> None:
    with pytest.raises(MalformedMessageError, match="another server"):
        parse_connections(connections(CONNECTION), "nats-2")
    with pytest.raises(MalformedMessageError, match="another server"):
        parse_route_names(answer({"routes": []}), "nats-2")
    with pytest.raises(MalformedMessageError, match="another server"):
        parse_reload(json.dumps({"server": SERVER}).encode(), "nats-2")


def test_routes_are_known_by_the_names_of_their_far_ends() -> None:
    routes = [{"remote_name": "nats-2"}, {"remote_name": "nats-2"}, {"remote_name": "nats-3"}]
    found = parse_route_names(answer({"num_routes": 3, "routes": routes}), "nats-1")
    assert found == {"nats-2", "nats-3"}


def test_accepted_reload_has_no_error() -> None:
    assert parse_reload(json.dumps({"server": SERVER}).encode(), "nats-1") is None


def test_refused_reload_says_why() -> None:
    error = {"code": 500, "description": "failed to parse root ca certificate\n"}
    data = json.dumps({"server": SERVER, "error": error}).encode()
    assert parse_reload(data, "nats-1") == "failed to parse root ca certificate"
    data = json.dumps({"server": SERVER, "error": {"code": 500}}).encode()
    assert parse_reload(data, "nats-1") == "error 500"


FIELDS = (
    *("server", "data", "id", "name", "total", "offset", "connections", "cid", "start"),
    *("tls_peer_certs", "cert_sha256", "authorized_user", "routes", "remote_name"),
    *("error", "code", "description"),
)
WORDS = ("nats-1", LEAF, str(CONNECTION["start"]), "9999-12-31T23:59:59Z")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20)
JSON = st.recursive(
    SCALARS | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(FIELDS), inner, max_size=6)
    ),
    max_leaves=12,
)


@given(st.one_of(JSON.map(lambda value: json.dumps(value).encode()), st.binary(max_size=60)))
def test_whatever_a_server_says_is_an_answer_or_refused(data: bytes) -> None:
    for parse in (parse_connections, parse_route_names, parse_reload):
        with contextlib.suppress(MalformedMessageError):
            parse(data, "nats-1")


@given(JSON, st.sampled_from(sorted(CONNECTION)))
def test_connection_with_one_absurd_field_is_read_or_refused(value: object, name: str) -> None:
    with contextlib.suppress(MalformedMessageError):
        page = parse_connections(connections({**CONNECTION, name: value}), "nats-1")
        assert len(page.cids) == 1
        assert all(len(found.user) <= 1024 for found in page.connections)


@pytest.mark.parametrize("data", [b"[" * 200_000, b'{"a":' * 100_000, b"9" * 100_000])
def test_answer_that_is_nested_or_long_beyond_reason_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedMessageError):
        parse_connections(data, "nats-1")


def test_server_id_that_would_be_another_subject_is_refused() -> None:
    for identity in ("", "a.b", "*", ">", "a b", "x" * 1000):
        with pytest.raises(MalformedMessageError):
            parse_reload(json.dumps({"server": {**SERVER, "id": identity}}).encode(), "nats-1")
