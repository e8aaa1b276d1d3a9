"""Bring several clusters up side by side, with everything in them."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor

from lab import addons, events, host
from lab.addons import policy
from lab.cluster.site import Site
from lab.cluster.start import start
from lab.errors import LabError
from lab.inside import first_process
from lab.kubectl import Kubectl
from lab.paths import State
from lab.plan import Cluster


def is_up(state: State, cluster: Cluster) -> bool:
    """Tell whether a cluster was brought up completely and its node still runs.

    Raises:
        LabError: It is half up: it was stopped in the middle, or its node died.
    """
    here = state.of(cluster)
    if not here.root.exists():
        return False
    remedy = f"`python -m lab down {cluster.number}` removes it"
    try:
        first_process(state, cluster)
    except LabError as error:
        raise LabError(f"{cluster.name} is there, but its node does not run", remedy) from error
    if not here.complete.exists():
        raise LabError(f"{cluster.name} was left half up", remedy)
    return True


def up(wanted: Sequence[Cluster], site: Site) -> None:
    """Bring up the clusters that are not up; return when all of them are complete.

    Args:
        wanted: Which clusters.
        site: What they are made from.

    Raises:
        LabError: One was half up before, or did not come; it tells all that did not.
    """
    state, report = site.state, site.report
    new = [cluster for cluster in wanted if not is_up(state, cluster)]
    for cluster in wanted:
        if cluster not in new:
            report.say(f"{cluster.name}: is up already")
    if not new:
        return
    host.prepare(state)

    def one(cluster: Cluster) -> None:
        installing: list[Future[None]] = []

        def install(kubectl: Kubectl) -> None:
            context = addons.Context(cluster, kubectl, site.made.tools, report)
            installing.append(side.submit(addons.install, context))
            with report.part(f"{cluster.name}: network policies"):
                policy.install(context)

        events.record(state, cluster, "up begun")
        start(cluster, site, on_api=install)
        with report.part(f"{cluster.name}: addons"):
            for future in installing:
                future.result()
        state.of(cluster).complete.touch()
        events.record(state, cluster, "up")
        report.say(f"{cluster.name}: up")

    with ThreadPoolExecutor(len(new)) as side, ThreadPoolExecutor(len(new)) as pool:
        begun = [pool.submit(one, cluster) for cluster in new]
    _raise_all([error for future in begun if (error := future.exception())])


def _raise_all(errors: list[BaseException]) -> None:
    """Raise what went wrong, as one error when all of it was foreseen."""
    if not errors:
        return
    foreseen = [error for error in errors if isinstance(error, LabError)]
    if len(foreseen) < len(errors):
        raise next(error for error in errors if not isinstance(error, LabError))
    raise LabError(
        "; ".join(error.what for error in foreseen),
        foreseen[0].remedy,
        "\n".join(f"== {error.what}\n{error.log}" for error in foreseen if error.log),
    )
