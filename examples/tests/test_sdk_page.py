"""docs/sdk.md quotes the greeter as it is; it is complete, starts, and is as short as it says."""

from __future__ import annotations

import re
import sqlite3
from dataclasses import replace
from pathlib import Path

from prometheus_client import CollectorRegistry

from securetransport.core.acl import load_acl
from securetransport.core.crypto import signing
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.core.formats.envelope import MessageHeader
from securetransport.core.ports.bus import PublishAck
from securetransport.core.trust.opening import OpenedMessage
from securetransport.messages.consumer import Delivery
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


def settings_of_the_page(folder: Path) -> GreeterSettings:
    key = signing.generate_signing_key()
    pinned = AuthorityKeys({"authority-signing:v1": (key.algorithm, key.public_key)})
    (folder / "authority-keys.json").write_text(pinned.to_json())
    (folder / "openbao-ca.crt").write_text("")
    text = block("toml").replace("/etc/securetransport", str(folder))
    text = text.replace("/var/lib/securetransport", str(folder))
    (folder / "config.toml").write_text(text)
    return GreeterSettings.load(["--config", str(folder / "config.toml")])


async def test_service_of_the_page_starts(tmp_path: Path) -> None:
    service = Greeter(settings_of_the_page(tmp_path), CollectorRegistry())
    app = service.app()
    assert {"connection", "bundle", "publisher", "consumer hello.requests"} <= set(app.tasks)
    assert "no trust bundle" in app.ready()
    await service.close()


class GreeterWithoutBus(Greeter):
    """The service as it is; what it answers stays here."""

    def setup(self) -> None:
        super().setup()
        self.answers: list[tuple[str, str, str, bytes]] = []

    async def answer(
        self,
        delivery: Delivery,
        topic: str,
        payload: bytes,
        *,
        type: str,  # noqa: A002  # the SDK's own word
    ) -> PublishAck:
        parent = delivery.message.header.message_id
        self.answers.append((parent, topic, type, payload))
        return PublishAck("HELLO", 1, is_duplicate=False)


async def test_service_of_the_page_greets_once_and_answers_every_delivery(
    tmp_path: Path, a_header: MessageHeader
) -> None:
    service = GreeterWithoutBus(settings_of_the_page(tmp_path), CollectorRegistry())
    first = OpenedMessage(a_header, b"ada")
    another = OpenedMessage(replace(a_header, message_id="another"), b"grace")
    for message, deliveries in ((first, 1), (first, 2), (another, 1)):
        await service.greet(Delivery(message, sequence=1, deliveries=deliveries))
    await service.close()
    ada = (a_header.message_id, "hello.answers", "hello.answer", b"hello ada")
    assert service.answers == [ada, ada, ("another", *ada[1:3], b"hello grace")]
    db = sqlite3.connect(service.settings.ledger_file())
    assert db.execute("SELECT count(*) FROM effects").fetchone() == (2,)
    db.close()
