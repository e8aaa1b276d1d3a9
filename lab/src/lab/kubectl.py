"""kubectl of the same version as the clusters, bound to one of them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.run import run

_FIELD_MANAGER = "--field-manager=lab"


@dataclass(frozen=True)
class Kubectl:
    """One cluster as its administrator sees it.

    Attributes:
        kubeconfig: The administrator's.
        program: The program kubectl.
    """

    kubeconfig: Path
    program: Path

    def run(self, *arguments: str, given: str | None = None, limit_seconds: float = 60.0) -> str:
        """Run kubectl and return its standard output.

        Raises:
            LabError: It failed.
        """
        command: list[str | Path] = [self.program, f"--kubeconfig={self.kubeconfig}", *arguments]
        return run(command, given=given, limit_seconds=limit_seconds)

    def apply(self, manifest: str, *, namespace: str | None = None) -> None:
        """Apply a manifest by server-side apply.

        Raises:
            LabError: The API server refused a part of it; the other parts are applied.
        """
        chosen = [f"--namespace={namespace}"] if namespace else []
        told = ["--server-side", "--force-conflicts", _FIELD_MANAGER, "--filename=-"]
        self.run("apply", *told, *chosen, given=manifest)

    def wait(
        self, condition: str, *names: str, namespace: str | None = None, limit_seconds: float = 60.0
    ) -> None:
        """Return when objects have a condition; one watch, where asking again would cost a core.

        Args:
            condition: As after ``--for=``: ``create``, ``condition=Ready``, ``jsonpath={…}=…``.
            names: Such as ``node/c1``.
            namespace: Of them.
            limit_seconds: Longest wait.

        Raises:
            LabError: They do not have it in time.
        """
        chosen = [f"--namespace={namespace}"] if namespace else []
        told = (f"--for={condition}", f"--timeout={limit_seconds:.0f}s", *chosen, *names)
        self.run("wait", *told, limit_seconds=limit_seconds + 15)

    def rollout(self, kind_name: str, *, namespace: str, limit_seconds: float = 120.0) -> None:
        """Return when a Deployment, DaemonSet or StatefulSet is rolled out.

        Args:
            kind_name: Such as ``deployment/web``.
            namespace: Of it.
            limit_seconds: Longest wait.

        Raises:
            LabError: It is not; the log has its pods, their events and the ends of their logs.
        """
        told = (f"--namespace={namespace}", f"--timeout={limit_seconds:.0f}s")
        try:
            self.run("rollout", "status", kind_name, *told, limit_seconds=limit_seconds + 15)
        except LabError as error:
            what = f"{kind_name} in {namespace} was not ready after {limit_seconds:.0f} s"
            raise LabError(what, log=self.explain(namespace)) from error

    def explain(self, namespace: str) -> str:
        """Return what explains a namespace that is not ready: pods, warnings, ends of logs."""
        where = f"--namespace={namespace}"
        questions = [
            ("get", "pods", where, "--output=wide"),
            ("get", "events", where, "--field-selector=type=Warning", "--sort-by=.lastTimestamp"),
        ]
        told = []
        for question in questions:
            try:
                told.append("\n".join(self.run(*question).splitlines()[-12:]))
            except LabError as error:
                told.append(error.what)
        told.extend(self._logs(where))
        return "\n".join(told)

    def _logs(self, where: str) -> list[str]:
        ready = "{range .items[*]}{.metadata.name} {.status.containerStatuses[*].ready}{'\\n'}{end}"
        try:
            rows = self.run("get", "pods", where, f"--output=jsonpath={ready}").splitlines()
            names = [row.split()[0] for row in rows if "false" in row]
            return [
                f"-- {name}\n{self.run('logs', name, where, '--all-containers', '--tail=8')}"
                for name in names[:3]
            ]
        except LabError as error:
            return [error.what]
