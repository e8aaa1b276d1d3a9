"""The kinds of the Gateway API: nothing in the lab acts on them, they check what is applied."""

from __future__ import annotations

from lab.addons.context import Context
from lab.addons.manifests import definitions, kinds
from lab.waiting import wait_for

_SERVED_SECONDS = 60.0


def install(context: Context) -> None:
    """Install the kinds and return when the API server serves them.

    Raises:
        LabError: It does not.
    """
    folder = context.tools.data("gateway-api")
    context.kubectl.apply(kinds(folder))
    names = definitions(folder)

    def served() -> bool:
        # A kind without any condition yet is an error to kubectl, no reason to wait.
        context.kubectl.wait("condition=Established", *names, limit_seconds=20)
        return True

    wait_for(
        f"the Gateway API of {context.cluster.name}",
        served,
        limit_seconds=_SERVED_SECONDS,
        every_seconds=0.5,
    )
