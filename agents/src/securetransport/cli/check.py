"""``securetransport check``: what is wrong with a platform, the cause first, and what to do next.

Exit codes: 0 nothing is wrong, 1 something is, 78 the arguments are wrong.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel, ValidationError

from securetransport.check.gather import Eyes, Target, gather
from securetransport.check.layout import CONFIG
from securetransport.cli import session
from securetransport.cli.settings import load_settings
from securetransport.cli.visitor import AdminVisitor
from securetransport.core.base.errors import ConfigError
from securetransport.core.decisions.check import CATALOGUE, Finding, decide
from securetransport.runtime import sections
from securetransport.runtime.settings import problem_lines

_DEPTH: Final = CONFIG.count("/")
_SECTIONS: Final[dict[str, type[BaseModel]]] = {
    "identity": sections.IdentitySection,
    "openbao": sections.OpenBaoSection,
    "authority": sections.AuthoritySection,
    "nats": sections.NatsSection,
    "health": sections.HealthSection,
    "profile": sections.ProfileSection,
    "paths": sections.PathsSection,
    "logs": sections.LogsSection,
}
_NEEDED: Final = ("identity", "openbao", "authority", "health", "paths")


def look(config: Path) -> list[Finding]:
    """Look at the platform of a configuration and return what is wrong with it.

    Raises:
        ConfigError: The path is not that of a platform's configuration.
    """
    path = config.absolute()
    if len(path.parents) <= _DEPTH or not str(path).endswith(f"/{CONFIG}"):
        raise ConfigError([f"--config: {config} is not <state directory>/{CONFIG}"])
    state_dir = path.parents[_DEPTH]
    problems: tuple[str, ...] = ()
    visitor = None
    try:
        settings = load_settings(path)
        visitor = AdminVisitor(settings, path.with_name("administrator-keys.json"))
    except ConfigError as error:
        problems = tuple(line.removeprefix(f"{path}: ") for line in error.problems)
    eyes = Eyes(
        session.files(), session.machine(), session.tls_probe(), session.server_of, session.clock()
    )
    target = Target(state_dir, CONFIG, problems, agent_problems, visitor)
    return decide(asyncio.run(gather(eyes, target)))


def agent_problems(values: Mapping[str, Any]) -> list[str]:
    """Return what is wrong with the tables that every agent has, one line each.

    The tables of an agent's own are known to that agent only: its ``--check-config`` says more.
    """
    found = [f"{name}: is missing" for name in _NEEDED if name not in values]
    for name, section in _SECTIONS.items():
        if name in values:
            try:
                section.model_validate(values[name])
            except ValidationError as error:
                found += [f"{name}.{line}" if not line.startswith("unknown") else
                          line.replace("key ", f"key {name}.", 1)
                          for line in problem_lines(section, error)]  # fmt: skip
    return found


def write(findings: list[Finding], config: Path, *, as_json: bool) -> None:
    """Print them; nothing when there is none, unless as JSON."""
    state = str(config.absolute().parents[_DEPTH])
    rows = [_row(finding, state) for finding in findings]
    if as_json:
        sys.stdout.write(json.dumps({"checks": len(CATALOGUE), "findings": rows}, indent=2) + "\n")
        return
    for row in rows:
        sys.stdout.write(f"{row['subject']}: {row['what']}\n")
        sys.stdout.write(f"  why:  {row['why']}\n  next: {row['next']}\n")


def _row(finding: Finding, state: str) -> dict[str, str]:
    advice = CATALOGUE[finding.check]
    return {
        "check": finding.check,
        "area": advice.area,
        "subject": finding.subject,
        "what": finding.what,
        "why": advice.why,
        "next": advice.next_for(finding, state),
    }
