"""What the lab can do to a cluster on purpose, and that the cluster comes back."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator

import pytest
from scene import C1, C2, C3, NOTES, STATE, Space, done, kubectl, lab, space, timed

from lab.cluster import components
from lab.errors import LabError
from lab.waiting import wait_for

pytestmark = pytest.mark.usefixtures("clusters")
RESTART_SECONDS = 60
NOT_READY_SECONDS = 90
READY = '{.status.conditions[?(@.type=="Ready")].status}'


def row(cluster_name: str, component: str) -> dict[str, int]:
    """Return what the first process of a node says of a component."""
    cluster = {one.name: one for one in (C1, C2, C3)}[cluster_name]
    told = json.loads(STATE.of(cluster).status.read_text())
    found: dict[str, int] = told["components"][component]
    return found


def node_ready() -> str:
    """Return whether c3's node is ready, as its API tells."""
    return kubectl(C3).run("get", "node", "c3", f"--output=jsonpath={READY}")


@pytest.fixture(scope="module", autouse=True)
def stopped_at() -> Iterator[float]:
    """When the kubelet of c3 was stopped: before all else, for it takes long to be noticed."""
    done("stop", "3", "kubelet")
    yield time.monotonic()
    done("start", "3", "kubelet")


@pytest.fixture(scope="module")
def web() -> Iterator[Space]:
    """A web server behind a load balancer in c2."""
    with space(C2, "faults") as here:
        here.apply("web")
        here.kubectl.rollout("deployment/web", namespace=here.name)
        yield here


@pytest.fixture(scope="module")
def client() -> Iterator[Space]:
    """A pod in c1 to ask from."""
    with space(C1, "faults") as here:
        here.apply("client")
        here.wait("Ready", "pod/client")
        yield here


def test_a_partition_cuts_a_cluster_off_and_heal_brings_it_back(web: Space, client: Space) -> None:
    address = web.balancer("web-balanced")
    program = (
        "import urllib.request as u\n"
        f"try: print(u.urlopen('http://{address}/', timeout=2).status)\n"
        "except OSError as error: print(error)"
    )

    def says() -> str:
        return client.python("client", program)

    wait_for("an answer before", lambda: says() == "200", limit_seconds=20)
    done("partition", "2")
    try:
        during = says()
        assert any(word in during for word in ("timed out", "refused", "No route", "unreachable"))
        with pytest.raises(LabError):
            web.kubectl.run("--request-timeout=2s", "get", "namespaces")
    finally:
        done("heal", "2")
    took = wait_for("an answer after", lambda: says() == "200", limit_seconds=30)
    NOTES.say(f"partition: {during}; heal to answer: {took:.1f} s")


@pytest.mark.parametrize("component", components.NAMES)
def test_a_killed_component_is_started_again(component: str) -> None:
    before = row("c1", component)
    with timed(f"{component} killed to at work again"):
        done("kill", "1", component)

        def is_back() -> bool:
            now = row("c1", component)
            return bool(now["pid"]) and now["restarts"] > before["restarts"]

        wait_for(f"a new {component}", is_back, limit_seconds=RESTART_SECONDS)
        wait_for(
            "an answer of the API server",
            lambda: kubectl(C1).run("get", "--raw=/readyz", limit_seconds=5) == "ok",
            limit_seconds=RESTART_SECONDS,
        )
    assert row("c1", component)["pid"] != before["pid"]


def test_after_all_that_a_new_pod_starts(client: Space) -> None:
    image = ("--image=lab.local/base:1", "--image-pull-policy=Never")
    client.run("run", "after", *image, "--restart=Never", "--command", "--", "true")
    client.until(
        "the end of the new pod",
        "pod/after",
        "{.status.phase}",
        lambda seen: seen == "Succeeded",
        limit_seconds=60,
    )


def test_a_stranger_of_a_component_is_refused() -> None:
    for words in (("kill", "1", "systemd"), ("stop", "1", "systemd")):
        result = lab(*words)
        assert result.returncode == 1
        assert "systemd" in result.stdout
        assert len(result.stdout.strip().splitlines()) == 1


def test_the_lab_tells_what_was_done_to_a_cluster() -> None:
    told = done("events", "2")
    assert "partition" in told
    assert "heal" in told
    assert "kubelet" in done("events", "3")


def test_a_node_without_kubelet_is_noticed_and_comes_back(stopped_at: float) -> None:
    limit = NOT_READY_SECONDS - (time.monotonic() - stopped_at)
    wait_for("c3 to be not ready", lambda: node_ready() == "Unknown", limit_seconds=limit)
    noticed = time.monotonic() - stopped_at
    done("start", "3", "kubelet")
    took = wait_for("c3 to be ready", lambda: node_ready() == "True", limit_seconds=60)
    NOTES.say(
        f"kubelet stopped to NotReady: at most {noticed:.0f} s; started to Ready: {took:.1f} s"
    )
