"""Names, services of every kind, and what kubectl does with pods."""

from __future__ import annotations

import socket
import subprocess
import urllib.request
from collections.abc import Iterator

import pytest
from scene import C1, C2, STATE, Space, space

from lab.errors import LabError
from lab.waiting import wait_for

FETCH = "import urllib.request as u; print(u.urlopen({url!r}, timeout=3).read().decode())"


@pytest.fixture(scope="module")
def web() -> Iterator[Space]:
    """Two web pods and a client in c1."""
    with space(C1, "web") as here:
        here.apply("web")
        here.apply("client")
        yield here


@pytest.fixture(scope="module")
def there(web: Space) -> Iterator[Space]:
    """The same in c2."""
    with space(C2, "web") as other:
        other.apply("web")
        for one in (web, other):
            one.kubectl.rollout("deployment/web", namespace=one.name)
        web.wait("Ready", "pod/client")
        yield other


pytestmark = pytest.mark.usefixtures("clusters", "there")


def fetch(web: Space, host: str) -> str:
    return web.python("client", FETCH.format(url=f"http://{host}/"))


def test_a_pod_finds_a_service_by_its_name(web: Space) -> None:
    address = web.look("service/web", "{.spec.clusterIP}")
    names = ["web", f"web.{web.name}", f"web.{web.name}.svc.cluster.local"]
    program = f"import socket; print({{socket.gethostbyname(name) for name in {names}}})"
    assert web.python("client", program) == str({address})


def test_a_name_that_nobody_has_is_refused_at_once(web: Space) -> None:
    # There is no way out of the lab; a resolver that waits for one would cost seconds each time.
    program = (
        "import socket, time\n"
        "begun = time.monotonic()\n"
        "try: socket.getaddrinfo('registry.example', 443)\n"
        "except socket.gaierror as error: print(error.errno == socket.EAI_NONAME)\n"
        "print(time.monotonic() - begun < 2)"
    )
    assert web.python("client", program).split() == ["True", "True"]


def test_a_service_spreads_over_its_pods(web: Space) -> None:
    names = web.look("pods", "{.items[*].metadata.name}").split()
    program = (
        "import urllib.request as u\n"
        "print(len({u.urlopen('http://web/', timeout=3).read() for _ in range(40)}))"
    )
    assert len([name for name in names if name.startswith("web-")]) == 2
    assert web.python("client", program) == "2"


def test_the_host_reaches_a_node_port(web: Space) -> None:
    port = web.look("service/web-node", "{.spec.ports[0].nodePort}")
    with urllib.request.urlopen(f"http://{C1.node}:{port}/", timeout=5) as answer:
        assert answer.read().startswith(b"web-")


def test_the_host_reaches_a_load_balancer_in_its_range(web: Space) -> None:
    address = web.balancer("web-balanced")
    first, last = (tuple(end.packed) for end in C1.balancers)
    assert first <= tuple(socket.inet_aton(address)) <= last

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://{address}/", timeout=3) as answer:
                return bool(answer.read().startswith(b"web-"))
        except OSError:
            return False

    wait_for(f"an answer of {address}", answers, limit_seconds=15)


def test_a_pod_reaches_a_load_balancer_of_another_cluster_by_its_name(
    web: Space, there: Space
) -> None:
    there.balancer("web-balanced")
    theirs = there.look("pods", "{.items[*].metadata.name}").split()
    name = f"web-balanced.{there.name}.{C2.domain}"

    def answers() -> bool | str:
        said = fetch(web, name)
        return said in theirs or said

    wait_for(f"an answer of {name}", answers, limit_seconds=30)


def test_a_pod_reaches_the_api_with_its_account(web: Space) -> None:
    program = (
        "import ssl, urllib.request as u\n"
        "here = '/var/run/secrets/kubernetes.io/serviceaccount'\n"
        "trust = ssl.create_default_context(cafile=f'{here}/ca.crt')\n"
        "ask = u.Request('https://kubernetes.default.svc/api',\n"
        "    headers={'Authorization': 'Bearer ' + open(f'{here}/token').read()})\n"
        "print(u.urlopen(ask, context=trust, timeout=5).status)"
    )
    assert web.python("client", program) == "200"


def test_exec_tells_output_and_failure(web: Space) -> None:
    assert web.run("exec", "client", "--", "uname", "-n") == "client\n"
    with pytest.raises(LabError, match="exit code 7"):
        web.run("exec", "client", "--", "sh", "-c", "exit 7")


def test_logs_are_there(web: Space) -> None:
    assert "serving\n" in web.run("logs", "deployment/web")


def test_a_port_is_forwarded(web: Space) -> None:
    command = [str(web.kubectl.program), f"--kubeconfig={STATE.of(C1).kubeconfig}"]
    command += ["--namespace", web.name, "port-forward", "deployment/web", ":8080"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as forward:
        try:
            assert forward.stdout is not None
            # Its first line ends with the address here, an arrow, and the port there.
            port = forward.stdout.readline().split(" -> ")[0].rsplit(":", 1)[1]
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5) as answer:
                assert answer.read().startswith(b"web-")
        finally:
            forward.terminate()
