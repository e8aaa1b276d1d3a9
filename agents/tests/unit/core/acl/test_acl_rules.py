"""Rules of the ACL file (numbers of ``check.py``): each breach is one line that says where."""

from __future__ import annotations

import pytest
from acl_scene import TEXT, acl, changed, complaints

from securetransport.core.acl import Acl
from securetransport.core.base.errors import ConfigError

STREAM = "max_age_seconds: 3600, max_bytes: 1048576"

BREACHES = {
    "1 platform name as service": (
        changed("  gatekeeper:\n", "  keeper:\n"),
        "acl.yml:16: services.keeper: 'keeper' is a name of the platform; choose another",
    ),
    "1 platform name as foreign client": (
        changed("  monitor:\n", "  admin:\n"),
        "acl.yml:25: foreign.admin: 'admin' is a name of the platform; choose another",
    ),
    "1 name of Ansible's own login": (
        changed("  gatekeeper:\n", "  ansible-admin:\n"),
        (
            "acl.yml:16: services.ansible-admin: "
            "'ansible-admin' is a name of the platform; choose another"
        ),
    ),
    "1 policy that OpenBao brings along": (
        changed("  monitor:\n", "  default:\n"),
        "acl.yml:25: foreign.default: 'default' is a name of the platform; choose another",
    ),
    "1 line feed in a durable": (
        changed("durable: auth-controller}", 'durable: "auth-controller\\n"}'),
        (
            "acl.yml:23: services.auth-controller.consumes[0].durable: durable "
            "'auth-controller\\n' is not 1 to 63 letters, digits, hyphens and underscores"
        ),
    ),
    "1 line feed in the trust domain": (
        changed("trust_domain: securetransport.test", 'trust_domain: "securetransport.test\\n"'),
        "acl.yml:2: trust_domain: 'securetransport.test\\n' is not a lower-case domain name",
    ),
    "number with an exponent": (
        TEXT.replace("max_bytes: 268435456", "max_bytes: 2.5e8", 1),
        (
            "acl.yml:7: streams.AUTH_STREAM.max_bytes: "
            "must be a whole number, not 250000000.0; write 250000000"
        ),
    ),
    "1 service and foreign client": (
        changed("  monitor:\n", "  gatekeeper:\n"),
        "acl.yml:25: foreign.gatekeeper: 'gatekeeper' is a service too; a name has one role",
    ),
    "1 platform stream": (
        changed("topics:\n", f"  DEAD_LETTERS: {{subjects: [x.y], {STREAM}}}\ntopics:\n"),
        "acl.yml:12: streams.DEAD_LETTERS: stream DEAD_LETTERS belongs to the platform",
    ),
    "1 wildcard in topic": (
        changed("  auth.requests: {", "  auth.*: {"),
        (
            "acl.yml:13: topics.auth.*: "
            "topic 'auth.*' is not two or more lower-case tokens joined by dots"
        ),
    ),
    "2 overlapping subjects": (
        changed('subjects: ["gatekeeper.>"]', 'subjects: ["gatekeeper.>", "auth.x.>"]'),
        (
            "acl.yml:9: streams.GATEKEEPER_STREAM.subjects[1]: "
            "subject 'auth.x.>' overlaps 'auth.>' of another entry"
        ),
    ),
    "2 platform subject": (
        changed('subjects: ["gatekeeper.>"]', 'subjects: ["gatekeeper.>", "metadata.client.x"]'),
        (
            "acl.yml:9: streams.GATEKEEPER_STREAM.subjects[1]: "
            "subject 'metadata.client.x' lies in the platform's subjects"
        ),
    ),
    "2 everything": (
        changed('subjects: ["gatekeeper.>"]', 'subjects: ["gatekeeper.>", ">"]'),
        (
            "acl.yml:9: streams.GATEKEEPER_STREAM.subjects[1]: "
            "subject '>' is not lower-case tokens joined by dots, beginning with a word"
        ),
    ),
    "2 server API": (
        changed('subjects: ["gatekeeper.>"]', 'subjects: ["gatekeeper.>", "$JS.API.>"]'),
        (
            "acl.yml:9: streams.GATEKEEPER_STREAM.subjects[1]: "
            "subject '$JS.API.>' is not lower-case tokens joined by dots, beginning with a word"
        ),
    ),
    "3 unknown stream": (
        changed("auth.requests: {stream: AUTH_STREAM}", "auth.requests: {stream: NONE}"),
        "acl.yml:13: topics.auth.requests.stream: stream 'NONE' is not defined under streams",
    ),
    "3 outside its stream": (
        changed(
            "auth.requests: {stream: AUTH_STREAM}", "auth.requests: {stream: GATEKEEPER_STREAM}"
        ),
        (
            "acl.yml:13: topics.auth.requests.stream: "
            "topic 'auth.requests' is outside the subjects of GATEKEEPER_STREAM (gatekeeper.>)"
        ),
    ),
    "4 unknown topic produced": (
        changed("produces: [auth.requests]", "produces: [auth.requests, auth.typo]"),
        (
            "acl.yml:17: services.gatekeeper.produces[1]: "
            "topic 'auth.typo' is not defined under topics"
        ),
    ),
    "4 unknown topic consumed": (
        changed("topic: gatekeeper.responses,", "topic: gatekeeper.typo,"),
        (
            "acl.yml:19: services.gatekeeper.consumes[0].topic: "
            "topic 'gatekeeper.typo' is not defined under topics"
        ),
    ),
    "4 twice": (
        changed("produces: [auth.requests]", "produces: [auth.requests, auth.requests]"),
        "acl.yml:17: services.gatekeeper.produces[1]: topic 'auth.requests' is listed twice",
    ),
    "5 two services on one durable": (
        changed(
            "foreign:\n",
            "  other:\n    consumes:\n"
            "      - {topic: auth.requests, durable: auth-controller}\nforeign:\n",
        ),
        (
            "acl.yml:26: services.other.consumes[0].durable: "
            "durable 'auth-controller' of AUTH_STREAM belongs to service 'auth-controller' already"
        ),
    ),
    "6 nobody may produce": (
        changed("produces: [auth.requests]", "produces: []"),
        "acl.yml:13: topics.auth.requests: nobody may produce topic 'auth.requests'",
    ),
    "7 two readers of a work queue": (
        changed(
            "foreign:\n",
            "  other:\n    consumes: [{topic: auth.requests, durable: other}]\nforeign:\n",
        ),
        (
            "acl.yml:25: services.other.consumes[0].durable: topic 'auth.requests' is read by "
            "durable 'auth-controller' already and AUTH_STREAM is a work queue; "
            "retention: interest would give each its copy"
        ),
    ),
    "8 foreign client on the server API": (
        changed("subscribe: [observe.servers]", 'publish: ["$JS.API.CONSUMER.CREATE.>"]'),
        (
            "acl.yml:28: foreign.monitor.publish[0]: subject '$JS.API.CONSUMER.CREATE.>' "
            "is not lower-case tokens joined by dots, beginning with a word"
        ),
    ),
    "8 foreign client publishes a report": (
        changed("subscribe: [observe.servers]", "publish: [observe.servers]"),
        (
            "acl.yml:28: foreign.monitor.publish[0]: "
            "subject 'observe.servers' lies in the platform's subjects"
        ),
    ),
    "shape: unknown key": (
        changed("trust_domain:", "trust_domian:"),
        "acl.yml:2: trust_domian: unknown key (did you mean trust_domain?)",
    ),
    "shape: missing key": (
        changed("    trust_reload_seconds: 60\n", ""),
        "acl.yml:25: foreign.monitor: key 'trust_reload_seconds' is missing",
    ),
    "shape: wrong type": (
        changed('subjects: ["auth.>"]', "subjects: auth.>"),
        "acl.yml:5: streams.AUTH_STREAM.subjects: must be a list, not 'auth.>'",
    ),
    "shape: version": (changed("version: 1", "version: 2"), "acl.yml:1: version: must be 1, not 2"),
    "yaml: key twice": (
        TEXT + "version: 1\n",
        'acl.yml:29: the file: found duplicate key "version"',
    ),
    "yaml: tab": (
        changed("version: 1", "version:\n\t1"),
        "acl.yml:2: the file: found character '\\t' that cannot start any token",
    ),
}


@pytest.mark.parametrize("name", BREACHES)
def test_breach_is_refused_with_file_line_and_field(name: str) -> None:
    text, expected = BREACHES[name]
    assert expected in complaints(text)


def test_the_file_itself_is_accepted() -> None:
    assert complaints(TEXT) == []


def test_every_problem_is_told_in_the_order_of_the_file() -> None:
    text = changed("produces: [auth.requests]", "produces: [auth.a, auth.b]").replace(
        "gatekeeper.responses: {stream: GATEKEEPER_STREAM}", "gatekeeper.responses: {stream: NONE}"
    )
    lines = [int(line.split(":")[1]) for line in complaints(text)]
    assert lines == [13, 14, 17, 17]


@pytest.mark.parametrize(
    "text", ["", "3", "[]", "a: [", "a: &x {b: *x}", "!!python/name:os.system"]
)
def test_what_is_no_acl_is_refused_without_a_stack_trace(text: str) -> None:
    assert complaints(text)


def test_interest_stream_may_have_two_readers() -> None:
    text = changed(
        "foreign:\n", "  other:\n    consumes: [{topic: auth.requests, durable: other}]\nforeign:\n"
    ).replace('subjects: ["auth.>"]', 'subjects: ["auth.>"]\n    retention: interest')
    assert complaints(text) == []


def test_signed_form_passes_the_same_rules() -> None:
    plain = (
        acl()
        .canonical()
        .replace(b'"auth.requests":{"stream":"AUTH_STREAM"}', b'"auth.*":{"stream":"AUTH_STREAM"}')
    )
    with pytest.raises(ConfigError, match=r"topics.auth.\*"):
        Acl.from_canonical(plain)


@pytest.mark.parametrize("data", [b"", b"\xff", b"[]", b"{}", b'{"version":1}'])
def test_what_is_no_signed_form_is_refused(data: bytes) -> None:
    with pytest.raises(ConfigError):
        Acl.from_canonical(data)


def test_other_bytes_for_the_same_acl_are_refused() -> None:
    with pytest.raises(ConfigError, match="canonical"):
        Acl.from_canonical(acl().canonical().replace(b",", b", ", 1))
