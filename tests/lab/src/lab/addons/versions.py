"""Which release of each add-on is installed, as the tool families pin them."""

from __future__ import annotations

import re

from lab.errors import LabError
from lab.paths import DATA

_MODULES = {
    "coredns": ("coredns", "github.com/coredns/coredns"),
    "metallb": ("metallb", "go.universe.tf/metallb"),
    "cert-manager": ("cert-manager", "github.com/cert-manager/cert-manager"),
    "local-path": ("local-path", "github.com/rancher/local-path-provisioner"),
    "gateway-api": ("gateway-api", "sigs.k8s.io/gateway-api"),
}
"""By add-on: the tool family, and the module whose version counts there."""


def versions() -> dict[str, str]:
    """Return the release of each add-on, without the ``v``.

    Raises:
        LabError: A family does not pin its module.
    """
    return {name: _pinned(family, module) for name, (family, module) in _MODULES.items()}


def _pinned(family: str, module: str) -> str:
    file = DATA / "families" / family / "go.mod"
    found = re.search(
        rf"^\s*(?:require\s+)?{re.escape(module)}\s+v(\S+)", file.read_text(), re.MULTILINE
    )
    if found is None:
        raise LabError(f"{file} does not pin {module}")
    return found[1]
