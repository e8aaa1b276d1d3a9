"""A third service: the one of docs/sdk.md, added to a copied inventory and to its ACL."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

_PAGE = Path(__file__).resolve().parents[2] / "docs" / "sdk.md"
_PROCESS = """\
  - name: greeter-1
    service: greeter
    instance: "0"
    module: greeter
    environment: {{PYTHONPATH: "{path}"}}
    health_port: "{{{{ layout_port + 28 }}}}"
    gate: ready
    settings:
      nats:
        servers: "{{{{ layout_nats_urls }}}}"
"""


def _block(language: str, first: str) -> str:
    """Return the code block of the page that begins with ``first``."""
    for text in re.findall(
        rf"```{language}\n(.*?)```", _PAGE.read_text(encoding="utf-8"), re.DOTALL
    ):
        if text.startswith(first):
            return str(text)
    raise AssertionError(f"{_PAGE} has no block of {language} that begins with {first!r}")


def add_greeter(inventory: Path) -> None:
    """Write its module, its rights, and one process of it."""
    package = inventory.parent / "python" / "greeter"
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_block("python", '"""Answers'), encoding="utf-8")
    acl_file = inventory / "group_vars" / "acl.yml"
    acl = yaml.safe_load(acl_file.read_text(encoding="utf-8"))
    for section, entries in yaml.safe_load(_block("yaml", "streams:")).items():
        acl[section].update(entries)
    acl_file.write_text(yaml.safe_dump(acl, sort_keys=False), encoding="utf-8")
    services = inventory / "host_vars" / "services.yml"
    text = services.read_text(encoding="utf-8") + _PROCESS.format(path=package.parent)
    services.write_text(text, encoding="utf-8")


def remove_greeter(inventory: Path) -> None:
    """Say that the process must not run any more; its rights stay."""
    services = inventory / "host_vars" / "services.yml"
    text = services.read_text(encoding="utf-8")
    text = text[: text.index("  - name: greeter-1")] + "agent_absent: [greeter-1]\n"
    services.write_text(text, encoding="utf-8")
