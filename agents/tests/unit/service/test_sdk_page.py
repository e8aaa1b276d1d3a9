"""The service on docs/sdk.md is complete, runs, and is as short as the page says."""

from __future__ import annotations

import re
import sys
import types
from pathlib import Path
from typing import Any

import pytest
from prometheus_client import CollectorRegistry

from securetransport.core.acl import load_acl
from securetransport.core.crypto import signing
from securetransport.core.formats.authority_keys import AuthorityKeys

PAGE = Path(__file__).resolve().parents[4] / "docs" / "sdk.md"
MAX_LINES = 50


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    return found.group(1)


@pytest.fixture
def greeter(monkeypatch: pytest.MonkeyPatch) -> Any:
    module = types.ModuleType("greeter_of_the_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(compile(block("python"), str(PAGE), "exec"), module.__dict__)  # noqa: S102  # our page
    return module


def test_service_is_short() -> None:
    assert len(block("python").splitlines()) <= MAX_LINES


def test_acl_of_the_page_gives_its_rights() -> None:
    acl = load_acl("version: 1\ntrust_domain: securetransport.local\n" + block("yaml"))
    assert [topic for topic in acl.services if topic == "greeter"]


async def test_service_of_the_page_starts(greeter: Any, tmp_path: Path) -> None:
    key = signing.generate_signing_key()
    pinned = AuthorityKeys({"authority-signing:v1": (key.algorithm, key.public_key)})
    (tmp_path / "authority-keys.json").write_text(pinned.to_json())
    (tmp_path / "openbao-ca.crt").write_text("")
    text = block("toml").replace("/etc/securetransport", str(tmp_path))
    text = text.replace("/var/lib/securetransport", str(tmp_path))
    (tmp_path / "config.toml").write_text(text)
    settings = greeter.GreeterSettings.load(["--config", str(tmp_path / "config.toml")])
    service = greeter.Greeter(settings, CollectorRegistry())
    app = service.app()
    assert {"connection", "bundle", "publisher", "consumer hello.requests"} <= set(app.tasks)
    assert "no trust bundle" in app.ready()
    await service.close()
