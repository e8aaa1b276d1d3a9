"""The default StorageClass ``local-path``: a volume is a folder of the node."""

from __future__ import annotations

from lab.addons.context import Context
from lab.addons.manifests import render


def install(context: Context) -> None:
    """Install the provisioner.

    Raises:
        LabError: It did not become ready.
    """
    context.kubectl.apply(render("storage", context.cluster))
    context.kubectl.rollout("deployment/local-path-provisioner", namespace="local-path-storage")
