"""Manifests: YAML files with ``$name`` placeholders, filled from the address plan."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from string import Template

from lab.errors import LabError
from lab.paths import DATA
from lab.plan import Cluster

FOLDER = DATA / "manifests"
_DEFINITION = "\nkind: CustomResourceDefinition\n"


def render(name: str, cluster: Cluster, more: Mapping[str, str] | None = None) -> str:
    """Return a manifest of one cluster.

    Args:
        name: Of the file in ``manifests/``, without ``.yaml``. A dollar sign of its own is written
            ``$$`` there.
        cluster: Whose addresses are filled in.
        more: Further values, by placeholder.

    Raises:
        LabError: The file is missing, or has a placeholder without a value.
    """
    file = FOLDER / f"{name}.yaml"
    try:
        return Template(file.read_text()).substitute(values(cluster) | dict(more or {}))
    except OSError as error:
        raise LabError(f"manifest {file} cannot be read: {error.strerror}") from error
    except KeyError as error:
        raise LabError(
            f"manifest {file.name} asks for ${error.args[0]}, which has no value"
        ) from error
    except ValueError as error:
        raise LabError(f"manifest {file.name}: {error}", "write $$ for a dollar sign") from error


def values(cluster: Cluster) -> dict[str, str]:
    """Return the values that every manifest may ask for."""
    first, last = cluster.balancers
    return {
        "domain": cluster.domain,
        "pods": str(cluster.pods),
        "dns_service": str(cluster.dns_service),
        "dns_balancer": str(cluster.dns_balancer),
        "balancers_first": str(first),
        "balancers_last": str(last),
    }


def joined(folder: Path) -> str:
    """Return all YAML files of a folder as one manifest.

    Raises:
        LabError: It has none.
    """
    texts = [file.read_text() for file in sorted(folder.glob("*.yaml"))]
    if not texts:
        raise LabError(f"{folder} has no manifest", "run `python -m lab build`")
    return "\n---\n".join(text.strip().removeprefix("---") for text in texts)


def definitions(folder: Path) -> list[str]:
    """Return what kubectl calls the custom resource definitions of a folder.

    Their files are named ``GROUP_PLURAL.yaml``; files with other things are left out.
    """
    files = [file for file in sorted(folder.glob("*_*.yaml")) if _DEFINITION in file.read_text()]
    names = [file.stem.rpartition("_") for file in files]
    return [f"customresourcedefinition/{plural}.{group}" for group, _, plural in names]
