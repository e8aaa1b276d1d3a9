"""cert-manager: certificates from issuers of the kinds CA, self-signed and Vault (OpenBao)."""

from __future__ import annotations

from lab.addons.context import Context
from lab.addons.manifests import kinds, render
from lab.waiting import wait_for

_NAMESPACE = "cert-manager"
_PARTS = ("cert-manager", "cert-manager-cainjector", "cert-manager-webhook")
_ACCEPTED_SECONDS = 60.0


def install(context: Context) -> None:
    """Install cert-manager; it is ready when its webhook lets a Certificate pass.

    Raises:
        LabError: It did not become ready.
    """
    kubectl, cluster = context.kubectl, context.cluster
    definitions = kinds(context.tools.data("cert-manager"))
    kubectl.apply(definitions + "---\n" + render("cert-manager", cluster))
    for part in _PARTS:
        kubectl.rollout(f"deployment/{part}", namespace=_NAMESPACE)
    probe = render("certificate", cluster)

    def accepted() -> bool:
        kubectl.run("create", "--dry-run=server", "--filename=-", given=probe)
        return True

    # The webhook serves before the injector has told the API server whose certificate to trust.
    wait_for(
        f"the webhook of {cluster.name}'s cert-manager",
        accepted,
        limit_seconds=_ACCEPTED_SECONDS,
        every_seconds=0.5,
        explain=lambda: kubectl.explain(_NAMESPACE),
    )
