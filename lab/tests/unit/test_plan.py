"""The address plan: nothing overlaps, and every name fits where it is used."""

from __future__ import annotations

from itertools import combinations

import pytest

from lab import plan
from lab.errors import LabError
from lab.names import MARK, OURS
from lab.plan import Cluster, clusters

ALL = [Cluster(number) for number in range(1, plan.LARGEST + 1)]


def test_ranges_of_the_lab_do_not_overlap() -> None:
    for one, other in combinations((plan.LAN, plan.PODS, plan.SERVICES), 2):
        assert not one.overlaps(other)


@pytest.mark.parametrize("cluster", ALL, ids=str)
def test_addresses_of_a_cluster_lie_in_their_ranges(cluster: Cluster) -> None:
    first, last = cluster.balancers
    for address in (cluster.node, first, last, cluster.dns_balancer):
        assert address in plan.LAN
    assert cluster.pods.subnet_of(plan.PODS)
    assert cluster.services.subnet_of(plan.SERVICES)
    assert cluster.dns_service in cluster.services
    assert cluster.api_service in cluster.services
    assert not first <= cluster.node <= last
    assert not first <= cluster.dns_balancer <= last


def test_no_two_clusters_share_anything() -> None:
    for one, other in combinations(ALL, 2):
        assert not one.pods.overlaps(other.pods)
        assert not one.services.overlaps(other.services)
        assert not one.balancers[0] <= other.node <= one.balancers[1]
        assert one.balancers[1] < other.balancers[0]
        assert OURS.link(one) != OURS.link(other)
        assert OURS.node_hardware(one) != OURS.node_hardware(other)


def test_the_machines_own_address_is_no_clusters() -> None:
    assert plan.HOST in plan.LAN
    assert plan.HOST not in {cluster.node for cluster in ALL}
    assert OURS.host.ip == plan.HOST


@pytest.mark.parametrize("cluster", ALL, ids=str)
def test_names_of_links_fit_into_the_kernel_and_bear_the_mark(cluster: Cluster) -> None:
    assert len(OURS.link(cluster)) <= 15
    assert OURS.link(cluster) == cluster.link
    assert OURS.node(cluster).ip == cluster.node
    marks = {OURS.link_hardware(cluster), OURS.node_hardware(cluster), OURS.bridge_hardware}
    assert len(marks) == 3
    assert all(mark.startswith(MARK) and len(mark) == 17 for mark in marks)


@pytest.mark.parametrize("number", [-1, 0, 10, 256])
def test_a_number_outside_the_plan_is_refused(number: int) -> None:
    with pytest.raises(LabError, match="1-9"):
        Cluster(number)


def test_clusters_are_in_order_and_each_once() -> None:
    assert [cluster.number for cluster in clusters([3, 1, 3])] == [1, 3]
