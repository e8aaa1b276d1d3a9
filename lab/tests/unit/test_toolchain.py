"""The tool cache: what a key depends on, what counts as built, what is said when it cannot be."""

from __future__ import annotations

import io
import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from lab import toolchain
from lab.errors import LabError
from lab.paths import Cache
from lab.report import Report
from lab.toolchain import entries
from lab.toolchain.families import FAMILIES, REQUIRED, Data, Family, family_of

GO = "go version go1.26.0 linux/amd64"
MODULE = "example.invalid/parts"


def table(family: Family) -> Mapping[str, Family]:
    return {family.name: family}


def by_hand(cache: Cache, family: Family, go_version: str = GO) -> entries.Entry:
    """Make a complete entry without Go."""
    entry = entries.of(cache, family, go_version)
    entry.programs.mkdir(parents=True)
    for name in family.programs:
        (entry.programs / name).write_text("a program")
    entry.seal({"sources": entries.sources(family)})
    return entry


def edit(name: str, text: str) -> Callable[[Family], Family]:
    def change(family: Family) -> Family:
        (family.folder / name).write_text(text)
        return family

    return change


@pytest.mark.parametrize(
    "change",
    [
        edit("go.sum", "another checksum\n"),
        edit("main.go", "package main\n\nfunc main() { println() }\n"),
        edit("parts/parts.go", "package parts\n\nconst New = true\n"),
        edit("go.mod", f"module example.invalid/tiny\n\ngo 1.26.1\n\nrequire {MODULE} v1.2.3\n"),
        lambda family: replace(family, tags=("netgo",)),
        lambda family: replace(family, stamps={"main.version": "{version}"}),
        lambda family: replace(family, programs={"renamed": "."}),
        lambda family: replace(family, libraries=("libc6-dev",)),
        lambda family: replace(family, data=(Data(MODULE, "."),)),
    ],
    ids=["go.sum", "main.go", "module", "go.mod", "tags", "stamps", "name", "libraries", "data"],
)
def test_key_changes_with_all_that_a_family_is_made_from(
    tiny: Family, change: Callable[[Family], Family]
) -> None:
    before = entries.key(tiny, GO)
    assert entries.key(tiny, GO) == before
    assert entries.key(change(tiny), GO) != before


def test_key_changes_with_the_compiler(tiny: Family) -> None:
    assert entries.key(tiny, GO) != entries.key(tiny, GO.replace("1.26.0", "1.26.1"))


def test_stamps_carry_the_release_of_go_mod(tiny: Family) -> None:
    stamped = replace(tiny, stamps={"a.version": "{version}", "a.minor": "{minor}"})
    assert stamped.version() == "v1.2.3"
    assert stamped.flags()[-1] == "-ldflags=-s -w -X a.version=v1.2.3 -X a.minor=2"


def test_entry_counts_only_when_it_is_complete(cache: Cache, tiny: Family) -> None:
    assert by_hand(cache, tiny).lack(tiny) == ""


def test_entry_without_its_list_does_not_count(cache: Cache, tiny: Family) -> None:
    entry = by_hand(cache, tiny)
    (entry.folder / "made-from.json").unlink()
    assert entry.lack(tiny) == "no made-from.json"


def test_entry_with_a_broken_list_does_not_count(cache: Cache, tiny: Family) -> None:
    entry = by_hand(cache, tiny)
    (entry.folder / "made-from.json").write_text('{"files": ')
    assert entry.lack(tiny) == "no made-from.json"


def test_entry_without_a_program_does_not_count(cache: Cache, tiny: Family) -> None:
    entry = by_hand(cache, tiny)
    (entry.programs / "tiny").unlink()
    assert entry.lack(tiny) == "bin/tiny is not what was built"


def test_entry_with_half_a_program_does_not_count(cache: Cache, tiny: Family) -> None:
    entry = by_hand(cache, tiny)
    (entry.programs / "tiny").write_text("a pro")
    assert entry.lack(tiny) == "bin/tiny is not what was built"


def test_entry_of_fewer_programs_does_not_count(cache: Cache, tiny: Family) -> None:
    entry = by_hand(cache, tiny)
    assert entry.lack(replace(tiny, programs={"tiny": ".", "other": "."})) == "no program other"


def test_missing_go_is_one_line(
    cache: Cache, tiny: Family, said: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LabError) as caught:
        toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    assert str(caught.value) == "go is not on this machine; install Go 1.26 or newer"


def test_old_go_is_one_line(
    cache: Cache, tiny: Family, said: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    go = tmp_path / "bin" / "go"
    go.parent.mkdir()
    go.write_text("#!/bin/sh\necho go version go1.19.8 linux/amd64\n")
    go.chmod(0o755)
    monkeypatch.setenv("PATH", str(go.parent))
    with pytest.raises(LabError) as caught:
        toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    said_so = "go1.19.8 linux/amd64 is too old; install Go 1.26 or newer"
    assert str(caught.value) == said_so


def test_warm_cache_needs_no_go(
    cache: Cache, tiny: Family, said: io.StringIO, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    entry = by_hand(cache, tiny)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert toolchain.missing(cache, ["tiny"], table(tiny)) == []
    tools = toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    assert tools.folder("tiny") == entry.programs
    assert said.getvalue() == ""


def test_unknown_family_is_refused(cache: Cache, tiny: Family) -> None:
    with pytest.raises(LabError, match=r"^there is no tool family cobol; name one of: tiny$"):
        toolchain.missing(cache, ["cobol"], table(tiny))


def test_program_of_a_family_that_was_not_asked_for_is_refused() -> None:
    with pytest.raises(LabError, match=r"the tool family helm was not built; run `lab build helm`"):
        toolchain.Tools({}).program("helm")


def test_no_two_families_have_a_program_of_one_name() -> None:
    names = [name for family in FAMILIES.values() for name in family.programs]
    assert len(names) == len(set(names))
    assert family_of("kubelet").name == "kubernetes"


@pytest.mark.parametrize("name", FAMILIES)
def test_family_names_its_release(name: str) -> None:
    family = FAMILIES[name]
    assert family.version().startswith("v")
    assert (family.folder / "go.sum").stat().st_size
    assert family.programs or family.data


def test_required_families_exist() -> None:
    assert set(REQUIRED) <= set(FAMILIES)


def required(family: Family) -> dict[str, str]:
    lines = (family.folder / "go.mod").read_text().splitlines()
    found = (re.match(r"^(?:require |\t)(\S+) (v\S+)( //.*)?$", line) for line in lines)
    return {match[1]: match[2] for match in found if match}


def test_families_share_releases() -> None:
    """Libraries of one release are compiled once for all families; of two, twice."""
    apart = {"kubernetes", "metallb", "calico"}  # these come with their own, older ones
    compiled = {name for name in REQUIRED if FAMILIES[name].programs}
    seen: dict[str, dict[str, str]] = {}
    for name in compiled - apart:
        for module, release in required(FAMILIES[name]).items():
            seen.setdefault(module, {})[name] = release
    differing = {
        module: releases
        for module, releases in seen.items()
        # etcd's own release is the lab's choice; cert-manager's API server library brings another.
        if len(set(releases.values())) > 1 and not module.startswith("go.etcd.io/etcd/")
    }
    assert differing == {}
