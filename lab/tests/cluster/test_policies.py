"""Network policies hold: what they forbid does not pass, and what they allow does."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from scene import C1, NOTES, Space, space

from lab.waiting import wait_for

ASK = (
    "import urllib.request as u\n"
    "try: print(u.urlopen('http://{host}/', timeout=0.5).status == 200)\n"
    "except OSError: print(False)"
)


@pytest.fixture(scope="module")
def web() -> Iterator[Space]:
    """Two web pods and a client that nothing forbids anything yet."""
    with space(C1, "policy") as here:
        here.apply("web")
        here.apply("client")
        here.kubectl.rollout("deployment/web", namespace=here.name)
        here.wait("Ready", "pod/client")
        yield here


pytestmark = pytest.mark.usefixtures("clusters", "web")


def until(web: Space, *, passes: bool) -> float:
    """Wait until the client reaches the web pods, or does not; return the seconds."""

    def seen() -> bool:
        return web.python("client", ASK.format(host="web")) == str(passes)

    what = f"a connection that is {'allowed' if passes else 'forbidden'}"
    return wait_for(what, seen, limit_seconds=15)


def policy(web: Space, name: str, spec: dict[str, object]) -> None:
    kind = {"apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy"}
    web.run(
        "apply",
        "--filename=-",
        given=json.dumps({**kind, "metadata": {"name": name}, "spec": spec}),
    )


def test_policies_forbid_allow_and_vanish(web: Space) -> None:
    until(web, passes=True)
    policy(web, "nothing", {"podSelector": {}, "policyTypes": ["Ingress"]})
    forbidden = until(web, passes=False)
    client = {"from": [{"podSelector": {"matchLabels": {"app": "client"}}}]}
    chosen = {"matchLabels": {"app": "web"}}
    policy(web, "client", {"podSelector": chosen, "ingress": [client]})
    allowed = until(web, passes=True)
    web.run("label", "pod", "client", "app=stranger", "--overwrite")
    until(web, passes=False)
    web.run("delete", "networkpolicy", "--all")
    until(web, passes=True)
    NOTES.number(
        policy_forbids_seconds=round(forbidden, 2), policy_allows_seconds=round(allowed, 2)
    )


def test_what_a_pod_may_ask_is_limited_too(web: Space) -> None:
    policy(
        web,
        "mute",
        {"podSelector": {"matchLabels": {"app": "stranger"}}, "policyTypes": ["Egress"]},
    )
    until(web, passes=False)
    web.run("delete", "networkpolicy", "mute")
    until(web, passes=True)
