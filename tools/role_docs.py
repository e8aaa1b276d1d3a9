"""Writes docs/roles.md from the roles' argument specifications, which are its only source.

``--check`` writes nothing and ends with 1 when the page is not what the roles say.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parent.parent
PAGE = ROOT / "docs" / "roles.md"
_HEAD = """\
# Roles

Written by `tools/role_docs.py` from `roles/*/meta/argument_specs.yml`. What the inventory of the
local platform sets is in `inventories/local/group_vars/all/platform.yml`, what follows from it in
`layout.yml` beside it. A role that has sections by platform follows `securetransport_platform`.
"""
# Ansible's markup, C(code) V(value) O(option), as Markdown.
_MARKUP = re.compile(r"\b[CVO]\(([^()]*)\)")


def text_of(value: str | list[str]) -> str:
    """Return a description, one or several sentences, as Markdown."""
    text = value if isinstance(value, str) else " ".join(value)
    return _MARKUP.sub(r"`\1`", " ".join(text.split()))


def default_of(option: dict[str, Any]) -> str:
    """Return what holds when the variable is not set."""
    if option.get("required"):
        return "required"
    if "default" not in option:
        return ""
    value = option["default"]
    return f"`{value}`" if value not in ("", [], {}) else "empty"


def rows(options: dict[str, Any], prefix: str = "") -> list[str]:
    """Return one table row per variable, those inside a list after it."""
    lines: list[str] = []
    for name, option in options.items():
        kind = option["type"] + (f" of {option['elements']}" if "elements" in option else "")
        choices = " ".join(f"`{choice}`" for choice in option.get("choices", []))
        description = text_of(option["description"]) + (f" One of {choices}." if choices else "")
        lines.append(f"| `{prefix}{name}` | {kind} | {default_of(option)} | {description} |")
        lines += rows(option.get("options", {}), f"{prefix}{name}[].")
    return lines


def entry_points(specs: dict[str, Any]) -> list[str]:
    """Return the text of one role: what holds on every platform, then each platform's own."""
    parts: list[str] = []
    for name, spec in specs.items():
        if name != "main":
            parts.append(f"\n### On platform `{name}`\n")
        parts.append(
            f"\n{text_of(spec['short_description'])}.\n\n{text_of(spec['description'])}\n\n"
            "| variable | type | default | what it is |\n|---|---|---|---|\n"
            + "\n".join(rows(spec["options"]))
            + "\n"
        )
    return parts


def render() -> str:
    """Return the page."""
    parts = [_HEAD]
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml")):
        specs = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
        parts += [f"\n## {path.parent.parent.name}\n", *entry_points(specs)]
    return "".join(parts)


def main() -> int:
    """Write the page, or say that it is old."""
    page = render()
    if "--check" in sys.argv[1:]:
        is_current = PAGE.is_file() and PAGE.read_text(encoding="utf-8") == page
        if not is_current:
            sys.stderr.write(f"{PAGE.relative_to(ROOT)} is old; run tools/role_docs.py\n")
        return 0 if is_current else 1
    PAGE.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
