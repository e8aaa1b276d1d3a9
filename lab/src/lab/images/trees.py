"""The Debian trees of the lab: ``base`` for images, ``node`` for nodes, ``builder`` for builds.

A tree is named by the digest of its recipe, not of its content: Debian moves on, a cache stays as
it was made. ``roots/NAME-KEY.packages.txt`` says which versions are in it.
"""

from __future__ import annotations

import platform
from pathlib import Path

from lab.images import debian
from lab.images.making import key, making
from lab.images.trim import trim
from lab.paths import DATA, Cache
from lab.report import Report
from lab.run import run

_VERSION = "1"
"""Raise it when a change here, in ``debian`` or in ``trim`` makes other trees."""
_BASE = "base"


def node_root(cache: Cache, report: Report) -> Path:
    """Return the tree of a node; it is made when it is not there.

    Raises:
        LabError: It could not be made.
    """
    return root("node", cache, report)


def root(name: str, cache: Cache, report: Report) -> Path:
    """Return a tree: ``base``, ``node`` or ``builder``; it is made when it is not there.

    Raises:
        LabError: It could not be made.
    """
    place = cache.roots / f"{name}-{root_key(name)}"
    if place.is_dir():
        return place
    base = place if name == _BASE else root(_BASE, cache, report)
    with making(cache, f"tree-{name}", report) as work:
        if place.is_dir():
            return place
        with report.part(f"Debian tree {name}", announce=True):
            tree = work / "tree"
            if name == _BASE:
                debian.bootstrap(tree, packages(name), work)
            else:
                run(["cp", "--archive", base, tree])
                debian.add(tree, packages(name), work)
            trim(tree)
            (tree / "lab").mkdir(exist_ok=True)
            cache.roots.mkdir(exist_ok=True)
            place.with_name(f"{place.name}.packages.txt").write_text(debian.versions(tree))
            tree.rename(place)
    return place


def root_key(name: str) -> str:
    """Return the digest of a tree's recipe."""
    recipe = [_VERSION, debian.SUITE, platform.machine(), *packages(_BASE)]
    return key(recipe if name == _BASE else [*recipe, name, *packages(name)])


def packages(name: str) -> list[str]:
    """Return the packages that a tree has beside those of ``base`` and the essential ones."""
    lines = (DATA / "images" / "trees" / f"{name}.txt").read_text().splitlines()
    return [words[0] for line in lines if (words := line.split("#")[0].split())]
