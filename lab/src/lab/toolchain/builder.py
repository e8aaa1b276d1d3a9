"""Builds tool families into the cache: one after the other, what is there already not again.

Go uses all cores for one family, so families are not built at once; but while one is built, the
modules of the next are downloaded. A family is made in a work folder and takes its place by one
rename.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lab.errors import LabError
from lab.lock import in_turn
from lab.paths import Cache
from lab.report import Report
from lab.toolchain import entries, golang, native
from lab.toolchain.entries import Entry, Tools
from lab.toolchain.families import FAMILIES, Family

_MEGABYTE = 1_000_000


def missing(
    cache: Cache, names: Sequence[str], families: Mapping[str, Family] = FAMILIES
) -> list[str]:
    """Return the families of which the cache has no complete entry, in the order of their builds.

    Raises:
        LabError: There is no such family, or no Go to say which entry is the right one.
    """
    found = _entries(cache, _named(names, families))
    return [name for name, entry in found.items() if entry is None]


def ensure(
    cache: Cache,
    names: Sequence[str],
    report: Report,
    families: Mapping[str, Family] = FAMILIES,
) -> Tools:
    """Return these families, after building what is missing.

    Args:
        cache: Where they are kept.
        names: Families; the order does not matter.
        report: Gets a line for each family that is built, with its seconds and size.
        families: All families, by name, in the order of their builds.

    Raises:
        LabError: Go is missing, a download or a build failed: the log's end is with it.
    """
    wanted = _named(names, families)
    found = _entries(cache, wanted)
    if None in found.values():
        waits = "tools: waiting for another process that builds them"
        with in_turn(cache.work / "toolchain.lock", lambda: report.say(waits)):
            # Asked again, because another process may have built them meanwhile.
            if still := missing(cache, names, families):
                _build_all(cache, _named(still, families), report)
        found = _entries(cache, wanted)
    return Tools({name: entry for name, entry in found.items() if entry is not None})


def _named(names: Sequence[str], families: Mapping[str, Family]) -> list[Family]:
    """Return families, each once, in the order of their builds."""
    for name in names:
        if name not in families:
            raise LabError(f"there is no tool family {name}", f"name one of: {', '.join(families)}")
    return [family for name, family in families.items() if name in names]


def _entries(cache: Cache, families: Sequence[Family]) -> dict[str, Entry | None]:
    """Return each family's complete entry, in the order given; ``None`` where it has none."""
    go_version = _go_version(cache, families)
    return {family.name: _complete(cache, family, go_version) for family in families}


def _go_version(cache: Cache, families: Sequence[Family]) -> str:
    """Return what ``go version`` says; empty if there is no Go and none is needed."""
    try:
        return golang.version()
    except LabError:
        if all(entries.made_by_any(cache, family) for family in families):
            return ""
        raise


def _complete(cache: Cache, family: Family, go_version: str) -> Entry | None:
    if not go_version:
        return entries.made_by_any(cache, family)
    entry = entries.of(cache, family, go_version)
    return None if entry.lack(family) else entry


def _build_all(cache: Cache, families: Sequence[Family], report: Report) -> None:
    go_version = golang.version()
    report.say(f"tools: {len(families)} families to build: {', '.join(f.name for f in families)}")
    downloads = ThreadPoolExecutor(max_workers=1, thread_name_prefix="modules")
    try:
        coming = {family.name: downloads.submit(_download, cache, family) for family in families}
        for family in families:
            _build(cache, family, go_version, coming[family.name], report)
    finally:
        downloads.shutdown(cancel_futures=True)


def _download(cache: Cache, family: Family) -> None:
    log = _log(cache, family)
    log.unlink(missing_ok=True)
    with _explained(family, "its modules cannot be downloaded", log):
        golang.download(family, log)


def _build(
    cache: Cache, family: Family, go_version: str, modules: Future[None], report: Report
) -> None:
    entry = entries.of(cache, family, go_version)
    if entry.folder.exists():
        report.say(f"{family.name}: the entry is broken ({entry.lack(family)}), building it again")
        shutil.rmtree(entry.folder)
    begun = time.monotonic()
    with (
        report.part(f"{family.name} {family.version()}", announce=True),
        tempfile.TemporaryDirectory(dir=cache.work, prefix=f"{family.name}-") as name,
    ):
        modules.result()
        downloaded = time.monotonic()
        work = Path(name)
        made = Entry(work / "entry")
        made.programs.mkdir(parents=True)
        made.data.mkdir()
        log = _log(cache, family)
        with _explained(family, "it does not build", log):
            environment = native.environment(family, work)
            if family.programs:
                golang.build(family, made.programs, log, environment)
        _keep_data(family, made.data)
        size = made.seal(
            {
                "family": family.name,
                "version": family.version(),
                "go": go_version,
                "flags": family.flags(),
                "sources": entries.sources(family),
                "download_seconds": round(downloaded - begun, 1),
                "build_seconds": round(time.monotonic() - downloaded, 1),
            }
        )
        cache.tools.mkdir(parents=True, exist_ok=True)
        made.folder.rename(entry.folder)
    report.say(f"{family.name}: {size / _MEGABYTE:.0f} MB in {entry.folder}")


def _keep_data(family: Family, to: Path) -> None:
    for data in family.data:
        files = sorted((golang.module_folder(family, data.module) / data.folder).glob(data.pattern))
        if not files:
            raise LabError(f"{family.name}: {data.module} has no {data.folder}/{data.pattern}")
        for file in files:
            shutil.copyfile(file, to / file.name)  # not the mode: the module cache is read-only


@contextmanager
def _explained(family: Family, what: str, log: Path) -> Iterator[None]:
    """Say of which family an error is."""
    try:
        yield
    except LabError as error:
        where = f"its log is {log}" if log.exists() else error.remedy
        raise LabError(f"{family.name}: {what}: {error.what}", where, error.log) from error


def _log(cache: Cache, family: Family) -> Path:
    return cache.work / f"{family.name}.log"
