"""What pages say of the code and of each other: words, files, sections, quoted lines, news."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import fields
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
from pages import DOCS, GAP, ROOT, SOURCE, code_spans, rows, section, text_of

from securetransport.core.base.profile import PROFILES

PAGES = (*sorted(DOCS.rglob("*.md")), *sorted(ROOT.glob("*.md")), ROOT / "agents" / "README.md")
CODE_FOLDERS = ("agents/src", "plugins", "roles", "playbooks", "inventories", "demo", "tools")
CODE_SUFFIXES = {".py", ".yml", ".j2", ".hcl", ".avsc"}
TREES = (
    "agents|changelogs|demo|docs|inventories|meta|playbooks|plugins|requirements|roles|tests|tools"
)
OUR_WORDS = frozenset(
    {
        "acting",
        "admitted",
        "attestation",
        "census",
        "cold start",
        "dead letter",
        "demote",
        "deny list",
        "directory",
        "durable",
        "effect",
        "enrol",
        "epoch",
        "excuse",
        "foreign client",
        "gate",
        "hold",
        "incarnation",
        "instance",
        "issuer",
        "keeper",
        "lead",
        "leaf certificate",
        "lease",
        "ledger",
        "member",
        "metadata",
        "park",
        "period",
        "profile",
        "record",
        "renewal window",
        "service bundle",
        "topic key",
        "trust bundle",
        "trust set",
        "validity",
        "watcher",
    }
)
"""What a reader meets in logs, ``status`` and pages; a new word of ours is added here."""


@cache
def code() -> str:
    """Return all code as one text, each white space a blank, joined string literals as one."""
    paths = [
        path
        for folder in CODE_FOLDERS
        for path in sorted((ROOT / folder).rglob("*"))
        if path.suffix in CODE_SUFFIXES and "__pycache__" not in path.parts
    ]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in paths)
    return re.sub(r'" f?"', "", text)


# --- words -----------------------------------------------------------------------------------


def glossary() -> list[str]:
    return re.findall(r"^([A-Za-z][A-Za-z ]*)\n: ", text_of("glossary.md"), re.MULTILINE)


def test_glossary_has_our_words_in_order() -> None:
    assert set(glossary()) >= OUR_WORDS, OUR_WORDS - set(glossary())
    assert glossary() == sorted(glossary(), key=str.lower)


def test_every_word_of_the_glossary_is_used() -> None:
    elsewhere = [path for path in PAGES if path.name != "glossary.md"]
    text = " ".join(" ".join(path.read_text(encoding="utf-8").split()) for path in elsewhere)
    used = (code() + text).lower().replace("_", " ").replace("-", " ")
    unused = [word for word in glossary() if not re.search(rf"\b{word.lower()}", used)]
    assert not unused


# --- files and sections ----------------------------------------------------------------------


def test_sections_that_the_code_cites_exist() -> None:
    cited = set(re.findall(r'docs/([a-z0-9/-]+\.md)(?:, "([^"]+)")?', code()))
    assert cited
    for page, heading in sorted(cited):
        assert (DOCS / page).is_file(), f"code cites docs/{page}, which does not exist"
        if heading:
            section(text_of(page), heading.removesuffix(":"))


@pytest.mark.parametrize("page", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    named = [
        span
        for span in code_spans(text)
        if re.fullmatch(rf"({TREES})/[A-Za-z0-9_./-]*", span) and "NNNN" not in span
    ]
    base = ROOT / "tests" / "lab" if page.name == "lab.md" else ROOT
    missing = [span for span in named if not (ROOT / span).exists() and not (base / span).exists()]
    modules = re.findall(r"\bsecuretransport(?:\.[a-z_0-9]+)+", text)
    missing += [name for name in modules if not is_module(name)]
    assert not missing


def is_module(name: str) -> bool:
    """Tell whether a dotted name is a module or package, or an attribute of one."""
    parts = name.split(".")[1:]
    for count in (len(parts), len(parts) - 1):
        path = SOURCE.joinpath(*parts[:count])
        if count and (path.is_dir() or path.with_suffix(".py").is_file()):
            return True
    return name in {"securetransport.local", "securetransport.platform"}  # not Python


@pytest.mark.parametrize("name", ["CHANGELOG.md", "CODE_OF_CONDUCT.md", "SECURITY.md"])
def test_links_of_the_root_pages_lead_somewhere(name: str) -> None:
    """Mkdocs looks at docs/ only; README and CONTRIBUTING are in test_front_door.py."""
    page = ROOT / name
    text = page.read_text(encoding="utf-8")
    broken = []
    for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text):
        is_outside = target.startswith(("https://", "mailto:"))
        if not is_outside and not (page.parent / target).exists():
            broken.append(target)
    assert not broken


# --- quoted from the code --------------------------------------------------------------------


def test_lines_that_the_upgrading_page_quotes_are_said() -> None:
    table = rows(
        section(text_of("upgrading.md"), "What is refused by name, and the way out"), "the line"
    )
    said = re.sub(r"%[sd]|\{(?!%)[^{}]*\}+", GAP, code())  # Jinja's statements are code
    quoted = [span for row in table for span in code_spans(row[0])]
    parts = [part.strip() for span in quoted for part in span.split(GAP)]
    unsaid = [part for part in parts if len(part) > len(": ; by") and part not in said]
    assert not [part for part in unsaid if "<" not in part]


def test_names_on_pages_for_operators_are_those_of_the_code() -> None:
    pages = [*sorted((DOCS / "runbooks").glob("*.md")), DOCS / "upgrading.md", DOCS / "rotation.md"]
    spans = {span for page in pages for span in code_spans(page.read_text(encoding="utf-8"))}
    names = {span for span in spans if re.fullmatch(r"[a-z][a-z0-9]*(_[a-z0-9]+)+", span)}
    known = code() + text_of("telemetry.md")  # another test compares that page with the code
    assert names
    assert not sorted(name for name in names if name not in known)


def test_durations_of_the_profiles_are_those_of_the_code() -> None:
    table = rows(section(text_of("architecture.md"), "Constants"), "field")
    told = {row[0].strip("`"): row[1:] for row in table}
    names = [field.name for field in fields(PROFILES["test"]) if field.name != "name"]
    assert list(told) == names
    for name in names:
        wanted = [short(getattr(profile, name)) for profile in PROFILES.values()]
        assert told[name] == wanted, f"{name}: {wanted}"


def short(span: timedelta) -> str:
    """Return a duration as the page writes it, in the largest unit that fits."""
    seconds = round(span.total_seconds())
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds % size == 0:
            return f"{seconds // size} {unit}"
    return f"{seconds} s"


# --- news ------------------------------------------------------------------------------------


def changelog(root: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(root / "tools" / "changelog.py"), *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_changelog_is_what_the_fragments_say() -> None:
    done = changelog(ROOT, "--check")
    assert done.returncode == 0, done.stderr


def test_a_fragment_is_news_at_once(tmp_path: Path) -> None:
    for name in ("galaxy.yml", "CHANGELOG.md"):
        shutil.copy2(ROOT / name, tmp_path)
    for name in ("changelogs", "meta", "tools"):
        shutil.copytree(ROOT / name, tmp_path / name)
    fragment = tmp_path / "changelogs" / "fragments" / "9999-planted.yml"
    fragment.parent.mkdir(exist_ok=True)
    fragment.write_text("---\nbugfixes:\n  - A planted fault is gone.\n", encoding="utf-8")
    refused = changelog(tmp_path, "--check")
    assert refused.returncode == 1
    assert "run tools/changelog.py" in refused.stderr
    above = refused.stderr.split("A planted fault is gone")
    assert len(above) == 2
    assert "v0" not in above[0].rsplit("@@", 1)[1]  # it stands above the newest release
