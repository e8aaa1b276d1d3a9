"""What a kubelet does to pods: probes, limits, volumes, admission; and a clock of its own."""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from scene import C1, Space, manifest, space

from lab.errors import LabError

pytestmark = pytest.mark.usefixtures("clusters")
READY_ADDRESSES = "{.items[*].endpoints[?(@.conditions.ready==true)].addresses[0]}"


@pytest.fixture(scope="module")
def pods() -> Iterator[Space]:
    """One pod for each rule, all started at once."""
    with space(C1, "pods") as here:
        here.apply("pods")
        yield here


def test_a_pod_gets_traffic_only_while_it_is_ready(pods: Space) -> None:
    def ready_addresses() -> str:
        told = (
            "--selector=kubernetes.io/service-name=moody",
            f"--output=jsonpath={READY_ADDRESSES}",
        )
        return pods.run("get", "endpointslices", *told)

    def becomes(what: str, *, ready: bool) -> None:
        pods.until(
            what,
            "pod/moody",
            '{.status.conditions[?(@.type=="Ready")].status}',
            lambda seen: seen == str(ready),
        )
        deadline = time.monotonic() + 10
        while bool(ready_addresses()) is not ready:
            assert time.monotonic() < deadline, what
            time.sleep(0.2)

    becomes("moody to be ready", ready=True)
    pods.run("exec", "moody", "--", "rm", "/ready")
    becomes("moody to be taken out", ready=False)
    pods.run("exec", "moody", "--", "touch", "/ready")
    becomes("moody to be back", ready=True)
    assert pods.look("pod/moody", "{.status.containerStatuses[0].restartCount}") == "0"


def test_a_pod_that_is_not_alive_is_restarted(pods: Space) -> None:
    path = "{.status.containerStatuses[0].restartCount}"
    pods.until("a restart of mortal", "pod/mortal", path, lambda seen: seen not in {"", "0"})


def test_a_pod_over_its_memory_limit_is_killed_and_the_reason_told(pods: Space) -> None:
    path = "{.status.containerStatuses[0].state.terminated.reason}"
    pods.until("the end of greedy", "pod/greedy", path, lambda seen: seen == "OOMKilled")
    assert "never said" not in pods.run("logs", "greedy")


def test_a_pod_can_live_in_another_time(pods: Space) -> None:
    pods.until("the end of late", "pod/late", "{.status.phase}", lambda seen: seen == "Succeeded")
    started = "{.status.containerStatuses[0].state.terminated.startedAt}"
    assert pods.look("pod/late", started)
    behind = time.time() - float(pods.run("logs", "late"))
    assert 7190 < behind < 7500


def test_a_volume_outlives_its_pod(pods: Space) -> None:
    pods.wait("Ready", "pod/writer")
    pods.run("delete", "pod", "writer")
    pods.apply("reader")
    pods.until(
        "the end of reader", "pod/reader", "{.status.phase}", lambda seen: seen == "Succeeded"
    )
    assert pods.run("logs", "reader") == "what was kept\n"


def test_a_privileged_pod_is_refused_where_pods_are_restricted() -> None:
    with space(C1, "restricted", "pod-security.kubernetes.io/enforce=restricted") as here:
        with pytest.raises(LabError) as refused:
            here.run("create", "--filename=-", given=manifest("privileged"))
        reason = f"{refused.value} {refused.value.log}"
        assert 'violates PodSecurity "restricted' in reason
        assert "privileged" in reason
        assert here.run("get", "pods", "--output=name") == ""
