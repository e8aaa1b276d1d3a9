"""Manifests: YAML files with ``$name`` placeholders, filled from the address plan."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from string import Template
from threading import Lock
from typing import Any

import yaml

from lab.errors import LabError
from lab.paths import DATA
from lab.plan import Cluster

FOLDER = DATA / "manifests"
_DEFINITION = "\nkind: CustomResourceDefinition\n"
_READING = Lock()


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


def kinds(folder: Path, *names: str) -> str:
    """Return manifests of a folder, such as a release's custom resource definitions, as one.

    Definitions lose the prose of their schemas, which nobody reads here: with it, each API server
    spends seconds more on building its own description, and keeps tens of megabytes.

    Args:
        folder: Of the release.
        names: Of the files, without ``.yaml``; all if there is none.

    Raises:
        LabError: The folder has no manifest, or not that one.
    """
    with _READING:  # clusters that come up together ask for the same folders
        return _read(folder, names)


def definitions(folder: Path) -> list[str]:
    """Return what kubectl calls the custom resource definitions of a folder.

    Their files are named ``GROUP_PLURAL.yaml``; files with other things are left out.
    """
    files = [file for file in sorted(folder.glob("*_*.yaml")) if _DEFINITION in file.read_text()]
    names = [file.stem.rpartition("_") for file in files]
    return [f"customresourcedefinition/{plural}.{group}" for group, _, plural in names]


@cache
def _read(folder: Path, names: tuple[str, ...]) -> str:
    files = [folder / f"{name}.yaml" for name in names] or sorted(folder.glob("*.yaml"))
    try:
        texts = [file.read_text() for file in files]
    except OSError as error:
        what = f"{error.filename} cannot be read: {error.strerror}"
        raise LabError(what, "run `python -m lab build`") from error
    found = [part for text in texts for part in yaml.load_all(text, yaml.CSafeLoader) if part]
    if not found:
        raise LabError(f"{folder} has no manifest", "run `python -m lab build`")
    return "".join(f"---\n{json.dumps(_terse(part))}\n" for part in found)


def _terse(value: Any) -> Any:
    if isinstance(value, dict):
        # A field of the name "description" is a schema, not a text.
        left = {k: v for k, v in value.items() if not (k == "description" and isinstance(v, str))}
        return {key: _terse(inner) for key, inner in left.items()}
    if isinstance(value, list):
        return [_terse(inner) for inner in value]
    return value
