"""What the enforcer of network policies is told, and what it may do."""

from __future__ import annotations

from typing import Any

import yaml

from lab.addons import policy
from lab.addons.manifests import render
from lab.plan import Cluster

CLUSTER = Cluster(2)


def part(kind: str) -> dict[str, Any]:
    (found,) = [
        part
        for part in yaml.safe_load_all(render("network-policy", CLUSTER))
        if part["kind"] == kind
    ]
    return dict(found)


def test_the_agent_tells_nobody_outside_that_it_runs() -> None:
    assert policy.environment(CLUSTER)["FELIX_USAGEREPORTINGENABLED"] == "false"


def test_the_agent_and_the_plugin_speak_of_the_same_node() -> None:
    names = {
        policy.environment(CLUSTER)["FELIX_FELIXHOSTNAME"],
        policy.network(CLUSTER)["nodename"],
    }
    assert names == {CLUSTER.name}


def test_the_enforcer_may_write_nothing_but_the_status_of_a_pod() -> None:
    writing = [
        rule["resources"]
        for rule in part("ClusterRole")["rules"]
        if not set(rule["verbs"]) <= {"get", "list", "watch"}
    ]
    assert writing == [["pods/status"]]


def test_its_rights_go_to_the_user_of_its_certificate() -> None:
    (subject,) = part("ClusterRoleBinding")["subjects"]
    assert (subject["kind"], subject["name"]) == ("User", policy.USER)


def test_what_leaves_the_range_of_the_pods_gets_the_address_of_the_node() -> None:
    pool = part("IPPool")["spec"]
    (((chosen,),)) = policy.network(CLUSTER)["ipam"]["ranges"]
    assert pool["cidr"] == chosen["subnet"] == str(CLUSTER.pods)
    assert pool["natOutgoing"] is True
