"""Tools built by the real Go: once, anew when broken, and what is said when it cannot be."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import replace

import pytest

from lab import toolchain
from lab.errors import LabError
from lab.paths import Cache
from lab.report import Report
from lab.toolchain import entries
from lab.toolchain.families import Family

MODULE = "example.invalid/parts"


def table(family: Family) -> Mapping[str, Family]:
    return {family.name: family}


def test_missing_compiler_is_one_line(
    cache: Cache, tiny: Family, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CC", "no-such-compiler")
    native = replace(tiny, libraries=("libseccomp-dev",))
    with pytest.raises(
        LabError, match=r"^tiny: .*no-such-compiler is not on this machine"
    ) as caught:
        toolchain.ensure(cache, ["tiny"], Report(said), table(native))
    assert "\n" not in str(caught.value)


def test_family_is_built_once_with_its_files(cache: Cache, tiny: Family, said: io.StringIO) -> None:
    assert toolchain.missing(cache, ["tiny"], table(tiny)) == ["tiny"]
    tools = toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    program = tools.folder("tiny") / "tiny"
    assert program.stat().st_mode & 0o111
    assert "tiny v1.2.3: " in said.getvalue()
    assert "MB in" in said.getvalue()
    facts = entries.Entry(program.parents[1]).made_from()
    assert facts["version"] == "v1.2.3"
    assert facts["build_seconds"] >= 0

    again = io.StringIO()
    assert toolchain.ensure(cache, ["tiny"], Report(again), table(tiny)) == tools
    assert again.getvalue() == ""
    assert [item.name for item in cache.tools.iterdir()] == [program.parents[1].name]
    assert not list(cache.work.glob("tiny-*"))


def test_broken_entry_is_built_again_and_said_so(
    cache: Cache, tiny: Family, said: io.StringIO
) -> None:
    tools = toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    program = tools.folder("tiny") / "tiny"
    program.unlink()
    toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    assert "tiny: the entry is broken (bin/tiny is not what was built), building it again" in (
        said.getvalue()
    )
    assert program.exists()


def test_failed_build_names_the_family_and_leaves_no_entry(
    cache: Cache, tiny: Family, said: io.StringIO
) -> None:
    (tiny.folder / "main.go").write_text("package main\n\nfunc main() { undefined() }\n")
    with pytest.raises(LabError, match=r"^tiny: it does not build: ") as caught:
        toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    assert "\n" not in str(caught.value)
    assert "undefined: undefined" in caught.value.log
    assert toolchain.missing(cache, ["tiny"], table(tiny)) == ["tiny"]
    assert not list(cache.work.glob("tiny-*"))


def test_failed_download_names_the_family(
    cache: Cache, tiny: Family, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GOPROXY", "off")
    (tiny.folder / "go.mod").write_text(
        f"module example.invalid/tiny\n\ngo 1.26.0\n\nrequire {MODULE} v1.2.3\n"
    )
    with pytest.raises(LabError, match=r"^tiny: its modules cannot be downloaded: ") as caught:
        toolchain.ensure(cache, ["tiny"], Report(said), table(tiny))
    assert MODULE in caught.value.log
