from __future__ import annotations

from datetime import UTC, datetime

from acl_scene import acl, changed

from securetransport.core.acl import bus_rights, compile_broker, matrix, render_broker_conf
from securetransport.core.acl.subjects import contains, overlaps
from securetransport.core.base import names
from securetransport.core.base.names import ServiceId
from securetransport.core.formats.broker_policy import BrokerPolicy, UserPermissions
from securetransport.core.formats.deny_list import DenyList

NOW = datetime(2026, 1, 1, tzinfo=UTC)
GATEKEEPER = ServiceId("gatekeeper")


def _user(policy: BrokerPolicy, service: str) -> UserPermissions:
    return next(user for user in policy.users if user.service == service)


def test_only_admin_may_create_a_consumer() -> None:
    for user in compile_broker(acl()).users:
        may = any(
            overlaps(subject, creation)
            for subject in user.publish
            for creation in ("$JS.API.CONSUMER.CREATE.>", "$JS.API.CONSUMER.DURABLE.CREATE.*.*")
        )
        assert may is (user.service == names.ADMIN), user.service


def test_nobody_subscribes_to_the_inbox_of_another() -> None:
    users = compile_broker(acl()).users
    for user in users:
        for other in users:
            heard = any(overlaps(s, f"_INBOX.{other.service}.>") for s in user.subscribe)
            assert heard is (user is other), (user.service, other.service)


def test_service_may_publish_what_it_produces_and_not_what_it_consumes() -> None:
    user = _user(compile_broker(acl()), "gatekeeper")
    assert "auth.requests" in user.publish
    assert not any(contains(subject, "gatekeeper.responses") for subject in user.publish)
    assert not any(contains(subject, "auth.requests") for subject in user.subscribe)


def test_consumer_pulls_and_acknowledges_its_own_durable_only() -> None:
    user = _user(compile_broker(acl()), "gatekeeper")
    durable = [subject for subject in user.publish if "STREAM" in subject]
    assert durable == [
        "$JS.ACK.GATEKEEPER_STREAM.gatekeeper.>",
        "$JS.API.CONSUMER.MSG.NEXT.GATEKEEPER_STREAM.gatekeeper",
        "dlq.GATEKEEPER_STREAM.gatekeeper.*",
        "dlq.GATEKEEPER_STREAM.gatekeeper.*.large",
    ]


def test_watcher_alone_is_in_the_system_account() -> None:
    accounts = {user.service: user.account for user in compile_broker(acl()).users}
    assert [name for name, account in accounts.items() if account == "SYS"] == ["watcher"]


def test_keeper_server_and_probe_map_to_no_user() -> None:
    users = {user.service for user in compile_broker(acl()).users}
    assert not users & {names.KEEPER, names.NATS_SERVER, names.PROBE}


def test_denied_service_has_no_user() -> None:
    policy = compile_broker(acl(), DenyList(services={GATEKEEPER: NOW}))
    assert "gatekeeper" not in {user.service for user in policy.users}
    assert "spiffe://securetransport.test/gatekeeper" not in render_broker_conf(policy)


def test_empty_allow_list_is_written_as_deny_everything() -> None:
    user = UserPermissions(
        user="spiffe://td/x", service=ServiceId("x"), account="APP", publish=(), subscribe=("a.b",)
    )
    text = render_broker_conf(BrokerPolicy(acl_digest="0" * 64, users=(user,)))
    assert 'publish: {deny: ">"}' in text
    assert "allow: []" not in text


def test_equal_policies_give_equal_text() -> None:
    assert render_broker_conf(compile_broker(acl())) == render_broker_conf(compile_broker(acl()))


def test_policy_names_the_acl_it_was_compiled_from() -> None:
    assert compile_broker(acl()).acl_digest == acl().digest()


def test_every_grant_says_why() -> None:
    for rights in bus_rights(acl()).values():
        assert all(grant.why for grant in (*rights.publish, *rights.subscribe))


def test_matrix_has_every_identity_and_denies_what_nobody_granted() -> None:
    rows = matrix(acl())
    assert {row.service for row in rows} >= {*names.PLATFORM_SERVICES, "gatekeeper", "monitor"}
    assert not any(row.is_allowed for row in rows if row.subject == "unknown.subject")
    silent = {names.KEEPER, names.NATS_SERVER, names.PROBE}
    assert not any(row.is_allowed for row in rows if row.service in silent)


def test_new_producer_appears_in_the_matrix() -> None:
    wider = acl(
        changed(
            "produces: [gatekeeper.responses]", "produces: [gatekeeper.responses, auth.requests]"
        )
    )
    gained = set(matrix(wider)) - set(matrix(acl()))
    assert [(row.service, row.action, row.subject, row.is_allowed) for row in gained] == [
        ("auth-controller", "publish", "auth.requests", True)
    ]
