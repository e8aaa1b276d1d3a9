"""What the tests of the lab share: the command line, the clusters, namespaces of their own."""

from __future__ import annotations

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from string import Template

from lab import paths, toolchain
from lab.errors import LabError
from lab.kubectl import Kubectl
from lab.plan import Cluster
from lab.report import Report
from lab.waiting import wait_for

MANIFESTS = Path(__file__).parent / "manifests"
BUILD = Path(__file__).resolve().parents[3] / "build" / "lab"
KEEP = os.environ.get("LAB_KEEP") == "1"
"""Clusters stay up at the end; tests that need them down, or hurt one for good, do not run."""
STATE = paths.state()
C1, C2, C3 = CLUSTERS = tuple(Cluster(number) for number in (1, 2, 3))


def command(*arguments: str) -> list[str]:
    """Return the command line of a lab command."""
    return [sys.executable, "-m", "lab", *arguments]


def lab(*arguments: str, limit_seconds: float = 60.0) -> subprocess.CompletedProcess[str]:
    """Run a lab command to its end, whatever that is; its errors are in ``stdout``, too."""
    return subprocess.run(
        command(*arguments),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=limit_seconds,
        check=False,
    )


def done(*arguments: str, limit_seconds: float = 60.0) -> str:
    """Run a lab command that must succeed, and return what it said."""
    result = lab(*arguments, limit_seconds=limit_seconds)
    assert result.returncode == 0, result.stdout
    return result.stdout


def node_pid(cluster: Cluster) -> int:
    """Return the first process of a node; 0 when it does not run."""
    try:
        pid = int(STATE.of(cluster).pid.read_text())
    except (OSError, ValueError):
        return 0
    return pid if Path(f"/proc/{pid}/root").exists() else 0


def are_up() -> bool:
    """Tell whether any cluster runs."""
    return any(node_pid(cluster) for cluster in CLUSTERS)


def manifest(name: str, /, **values: str) -> str:
    """Return a manifest of these tests with its values filled in."""
    return Template((MANIFESTS / f"{name}.yaml").read_text(encoding="utf-8")).substitute(values)


@dataclass(frozen=True)
class Space:
    """One namespace of one cluster.

    Attributes:
        cluster: Where.
        kubectl: For the cluster.
        name: Of the namespace.
    """

    cluster: Cluster
    kubectl: Kubectl
    name: str

    def run(self, *arguments: str, given: str | None = None, limit_seconds: float = 60.0) -> str:
        """Run kubectl in this namespace."""
        told = ("--namespace", self.name, *arguments)
        return self.kubectl.run(*told, given=given, limit_seconds=limit_seconds)

    def apply(self, name: str, /, **values: str) -> None:
        """Apply a manifest of these tests; ``$namespace`` is this one."""
        text = manifest(name, namespace=self.name, **values)
        self.kubectl.apply(text, namespace=self.name)

    def look(self, kind_name: str, path: str) -> str:
        """Return what a JSON path finds in an object; empty when it finds nothing."""
        return self.run("get", kind_name, f"--output=jsonpath={path}")

    def python(self, pod: str, program: str, *, limit_seconds: float = 30.0) -> str:
        """Run a Python program in a pod and return what it prints."""
        told = ("exec", "--stdin", pod, "--", "python3", "-")
        return self.run(*told, given=program, limit_seconds=limit_seconds).strip()

    def wait(self, condition: str, *names: str, limit_seconds: float = 60.0) -> None:
        """Wait until objects, such as ``pod/web``, have a condition, such as ``Ready``."""
        told = (f"--for=condition={condition}", f"--timeout={limit_seconds:.0f}s", *names)
        try:
            self.run("wait", *told, limit_seconds=limit_seconds + 10)
        except LabError as error:
            raise LabError(error.what, log=self.kubectl.explain(self.name)) from error

    def until(
        self,
        what: str,
        kind_name: str,
        path: str,
        is_right: Callable[[str], bool],
        *,
        limit_seconds: float = 30.0,
    ) -> float:
        """Wait until what a JSON path finds is right; return the seconds."""

        def seen() -> bool | str:
            found = self.look(kind_name, path)
            return is_right(found) or f"{kind_name} has {found!r}"

        return wait_for(
            what,
            seen,
            limit_seconds=limit_seconds,
            every_seconds=0.3,
            explain=lambda: self.kubectl.explain(self.name),
        )

    def balancer(self, service: str) -> str:
        """Return the address of a load balancer, as soon as it has one."""
        path = "{.status.loadBalancer.ingress[0].ip}"
        what = f"an address for {service}"
        self.until(what, f"service/{service}", path, bool)
        return self.look(f"service/{service}", path)


def kubectl(cluster: Cluster) -> Kubectl:
    """Return kubectl for a cluster."""
    tools = toolchain.ensure(paths.cache(), ["kubernetes"], Report(sys.stderr))
    return Kubectl(STATE.of(cluster).kubeconfig, tools.program("kubectl"))


@contextmanager
def space(cluster: Cluster, purpose: str, labels: str = "") -> Iterator[Space]:
    """Make a namespace with a name of its own; its end is not waited for.

    Args:
        cluster: Where.
        purpose: Beginning of its name.
        labels: ``key=value`` of the namespace, separated by spaces.
    """
    here = Space(cluster, kubectl(cluster), f"{purpose}-{secrets.token_hex(2)}")
    here.kubectl.run("create", "namespace", here.name)
    if labels:
        here.kubectl.run("label", "namespace", here.name, *labels.split())
    # Pods need the default service account, which the controllers make a moment later.
    here.until("the service account", "namespace/" + here.name, "{.status.phase}", bool)
    wait_for(
        f"the service account of {here.name}",
        lambda: bool(here.run("get", "serviceaccount", "default", "--output=name")),
        limit_seconds=20,
    )
    try:
        yield here
    finally:
        # A cluster that was taken down meanwhile took its namespaces along.
        if here.kubectl.kubeconfig.exists():
            here.kubectl.run("delete", "namespace", here.name, "--wait=false")


class Notes:
    """What a run found out: lines for a person, numbers for ``build/lab/numbers.json``."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Keep lines for the end of the run."""
        self.lines.extend(lines)

    def number(self, **numbers: object) -> None:
        """Keep numbers; units are in their names."""
        file = BUILD / "numbers.json"
        BUILD.mkdir(parents=True, exist_ok=True)
        known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
        file.write_text(json.dumps(known | numbers, indent=2) + "\n", encoding="utf-8")


NOTES = Notes()


@contextmanager
def timed(what: str) -> Iterator[Callable[[], float]]:
    """Time something, and tell it at the end of the run."""
    begun = time.monotonic()
    took: list[float] = []
    yield lambda: took[0]
    took.append(time.monotonic() - begun)
    NOTES.say(f"{what}: {took[0]:.1f} s")
