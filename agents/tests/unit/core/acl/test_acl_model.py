from __future__ import annotations

import pytest
from acl_scene import TEXT, acl, changed
from hypothesis import given
from hypothesis import strategies as st

from securetransport.core.acl import Acl, bundle_rules, topic_rules
from securetransport.core.acl.subjects import contains, overlaps
from securetransport.core.base.errors import NotFoundError
from securetransport.core.base.names import ServiceId, Topic

REQUESTS = Topic("auth.requests")
GATEKEEPER = ServiceId("gatekeeper")


def test_canonical_form_comes_back_as_the_same_acl() -> None:
    assert Acl.from_canonical(acl().canonical()) == acl()


def test_comments_order_and_spelled_out_defaults_do_not_change_the_digest() -> None:
    reordered = changed('subjects: ["auth.>"]', "retention: workqueue\n    subjects: [auth.>]  # x")
    head, tail = reordered.split("topics:\n")
    first, second, *rest = tail.splitlines()
    swapped = "\n".join((head + "topics:", second, first, *rest))
    assert acl(swapped).digest() == acl().digest()


def test_topic_rule_names_producers_consumers_and_stream() -> None:
    rule = topic_rules(acl())[REQUESTS]
    assert rule.producers == (GATEKEEPER,)
    assert rule.consumers == {"auth-controller": "auth-controller"}
    assert rule.stream == "AUTH_STREAM"


def test_topic_digest_changes_with_its_own_rules_only() -> None:
    before = topic_rules(acl())
    after = topic_rules(
        acl(
            changed(
                "produces: [gatekeeper.responses]",
                "produces: [gatekeeper.responses, auth.requests]",
            )
        )
    )
    assert before[REQUESTS].digest != after[REQUESTS].digest
    other = Topic("gatekeeper.responses")
    assert before[other].digest == after[other].digest


def test_bundle_has_the_rules_of_used_topics_only() -> None:
    text = TEXT.replace(
        "  gatekeeper.responses: {",
        "  auth.other: {stream: AUTH_STREAM}\n  gatekeeper.responses: {",
        1,
    )
    text = text.replace(
        "produces: [gatekeeper.responses]", "produces: [gatekeeper.responses, auth.other]"
    )
    topics = [rule.topic for rule in bundle_rules(acl(text), GATEKEEPER)]
    assert topics == ["auth.requests", "gatekeeper.responses"]


def test_bundle_of_an_unknown_service_is_refused() -> None:
    with pytest.raises(NotFoundError, match="nobody"):
        bundle_rules(acl(), ServiceId("nobody"))


TOKENS = st.sampled_from(["a", "b", "*"])
PATTERNS = st.builds(
    lambda tokens, rest: ".".join([*tokens, *([">"] if rest else [])]),
    st.lists(TOKENS, min_size=1, max_size=3),
    st.booleans(),
)
LITERALS = st.lists(st.sampled_from(["a", "b"]), min_size=1, max_size=5).map(".".join)


@given(PATTERNS, PATTERNS, LITERALS)
def test_containment_and_overlap_agree_with_membership(one: str, other: str, word: str) -> None:
    in_one, in_other = contains(one, word), contains(other, word)
    if in_one and in_other:
        assert overlaps(one, other)
    if contains(one, other) and in_other:
        assert in_one
    assert overlaps(one, other) == overlaps(other, one)
    if contains(one, other):
        assert overlaps(one, other)


@pytest.mark.parametrize(
    ("pattern", "subject", "is_inside"),
    [
        ("a.>", "a", False),
        ("a.>", "a.b.c", True),
        ("a.*", "a.b.c", False),
        ("a.*", "a.>", False),
        ("a.>", "a.*", True),
        (">", "a", True),
        ("a", "a.b", False),
    ],
)
def test_wildcards_match_as_in_nats(pattern: str, subject: str, is_inside: bool) -> None:
    assert contains(pattern, subject) is is_inside
