"""Install every add-on of a cluster side by side."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor

from lab.addons import cert_manager, coredns, gateway, metallb, storage
from lab.addons.context import Context
from lab.errors import LabError

ADDONS: Mapping[str, Callable[[Context], None]] = {
    # The longest first, so that it begins first.
    "cert-manager": cert_manager.install,
    "coredns": coredns.install,
    "metallb": metallb.install,
    "storage": storage.install,
    "gateway-api": gateway.install,
}


def install(context: Context) -> None:
    """Install all add-ons and return when all are ready.

    The API server must answer; the node need not be ready yet, pods wait for it. Installing again
    changes nothing.

    Raises:
        LabError: At least one did not become ready; it names all that did not, and its log has what
            explains each.
    """

    def one(name: str) -> None:
        with context.report.part(f"{context.cluster.name}: {name}"):
            ADDONS[name](context)

    with ThreadPoolExecutor(len(ADDONS), thread_name_prefix=context.cluster.name) as pool:
        begun = {name: pool.submit(one, name) for name in ADDONS}
    failed = {name: error for name, future in begun.items() if (error := _failure(future))}
    if not failed:
        return
    told = "; ".join(f"{name}: {error.what}" for name, error in failed.items())
    logs = [f"== {name}\n{error.log}" for name, error in failed.items() if error.log]
    raise LabError(f"{context.cluster.name} lacks {told}", log="\n".join(logs))


def _failure(future: Future[None]) -> LabError | None:
    try:
        future.result()
    except LabError as error:
        return error
    return None
