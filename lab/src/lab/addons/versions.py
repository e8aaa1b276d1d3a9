"""Which release of each add-on is installed."""

from __future__ import annotations

from lab.toolchain import FAMILIES

_FAMILIES = ("coredns", "metallb", "cert-manager", "local-path", "gateway-api")


def versions() -> dict[str, str]:
    """Return the release of each add-on, without the ``v``, as its tool family pins it.

    Raises:
        LabError: A family does not pin its module.
    """
    return {name: FAMILIES[name].version().removeprefix("v") for name in _FAMILIES}
