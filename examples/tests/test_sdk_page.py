"""docs/sdk.md quotes the greeter as it is; it is complete, starts, and is as short as it says."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry

from securetransport.core.acl import load_acl
from securetransport.core.crypto import signing
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport_examples import greeter
from securetransport_examples.greeter import Greeter, GreeterSettings

ROOT = Path(__file__).resolve().parents[2]
TEXT = (ROOT / "docs" / "sdk.md").read_text(encoding="utf-8")
FILE = Path(greeter.__file__)
MAX_LINES = 50


def block(language: str) -> str:
    found = re.search(rf"```{language}\n(.*?)```", TEXT, re.DOTALL)
    assert found is not None
    return found.group(1)


def test_the_page_quotes_the_file() -> None:
    assert block("python") == FILE.read_text(encoding="utf-8")
    assert f"`{FILE.relative_to(ROOT)}`, {len(block('python').splitlines())} lines:" in TEXT


def test_service_is_short() -> None:
    assert len(block("python").splitlines()) <= MAX_LINES


def test_acl_of_the_page_gives_its_rights() -> None:
    acl = load_acl("version: 1\ntrust_domain: securetransport.local\n" + block("yaml"))
    assert [topic for topic in acl.services if topic == "greeter"]


async def test_service_of_the_page_starts(tmp_path: Path) -> None:
    key = signing.generate_signing_key()
    pinned = AuthorityKeys({"authority-signing:v1": (key.algorithm, key.public_key)})
    (tmp_path / "authority-keys.json").write_text(pinned.to_json())
    (tmp_path / "openbao-ca.crt").write_text("")
    text = block("toml").replace("/etc/securetransport", str(tmp_path))
    text = text.replace("/var/lib/securetransport", str(tmp_path))
    (tmp_path / "config.toml").write_text(text)
    settings = GreeterSettings.load(["--config", str(tmp_path / "config.toml")])
    service = Greeter(settings, CollectorRegistry())
    app = service.app()
    assert {"connection", "bundle", "publisher", "consumer hello.requests"} <= set(app.tasks)
    assert "no trust bundle" in app.ready()
    await service.close()
