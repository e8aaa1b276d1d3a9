"""Configuration: precedence, and every mistake named by its key."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import pydantic
import pytest

from securetransport.core.base.errors import ConfigError
from securetransport.runtime.sections import NatsSection, Section
from securetransport.runtime.settings import AgentSettings, merged


class ExtraSection(Section):
    password: pydantic.SecretStr = pydantic.SecretStr("")


class DemoSettings(AgentSettings):
    AGENT: ClassVar[str] = "demo-agent"

    nats: NatsSection
    extra: ExtraSection = ExtraSection()


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("ca.pem", "keys.json"):
        (tmp_path / name).touch()
    path = tmp_path / "config.toml"
    path.write_text(f"""
stop_grace_seconds = 3
[identity]
service = "gatekeeper"
instance = "1"
[openbao]
addresses = ["https://127.0.0.1:24200", "https://127.0.0.1:24201"]
ca_file = "{tmp_path}/ca.pem"
token_file = "{tmp_path}/not-there-yet"
[authority]
keys_file = "{tmp_path}/keys.json"
[nats]
servers = ["tls://127.0.0.1:24210"]
[health]
port = 24226
[paths]
state_dir = "{tmp_path}/state"
""")
    monkeypatch.setenv("ST_CONFIG_FILE", str(path))
    return path


def problems(*argv: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        DemoSettings.load(argv)
    return caught.value.problems


@pytest.mark.usefixtures("config")
def test_file_gives_values_and_the_rest_are_defaults() -> None:
    settings = DemoSettings.load()
    assert settings.identity.instance_id == "gatekeeper/1"
    assert settings.nats.servers == ("tls://127.0.0.1:24210",)
    assert settings.health.host == "127.0.0.1"
    assert settings.stop_grace_seconds == 3
    assert settings.profile_value().name == "test"


@pytest.mark.usefixtures("config")
def test_argument_beats_environment_beats_file_beats_default(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert DemoSettings.load().nats.connect_timeout_seconds == 2.0
    monkeypatch.setenv("ST_DEMO_AGENT_HEALTH__PORT", "1001")
    monkeypatch.setenv("ST_DEMO_AGENT_IDENTITY__INSTANCE", "7")
    settings = DemoSettings.load(["--set", "health.port=1002"])
    assert settings.health.port == 1002
    assert settings.identity.instance == "7", "digits stay text where text is wanted"
    assert DemoSettings.load().health.port == 1001


@pytest.mark.usefixtures("config")
def test_lists_and_tables_are_json_in_environment_and_arguments(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("ST_DEMO_AGENT_NATS__SERVERS", '["tls://a:1", "tls://b:2"]')
    settings = DemoSettings.load(["--set", 'profile={"name": "compressed"}'])
    assert settings.nats.servers == ("tls://a:1", "tls://b:2")
    assert settings.profile_value().name == "compressed"


def test_config_argument_beats_the_variable(config: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.toml"
    other.write_text(config.read_text().replace('instance = "1"', 'instance = "9"'))
    assert DemoSettings.load(["--config", str(other)]).identity.instance == "9"


@pytest.mark.parametrize("name", ["web01.example.com", "A", "1\\n", ""])
def test_an_instance_that_is_no_name_is_found_before_the_start(config: Path, name: str) -> None:
    config.write_text(config.read_text().replace('instance = "1"', f'instance = "{name}"'))
    (line,) = problems()
    assert f"{config}:" in line
    assert "identity.instance: instance " in line
    assert line.endswith("is not lower-case letters, digits and hyphens")


def test_unknown_key_in_the_file_is_named_with_the_nearest_known_one(config: Path) -> None:
    config.write_text(config.read_text().replace("servers =", "server ="))
    lines = config.read_text().splitlines()
    table, key = (
        lines.index("[nats]") + 1,
        next(n for n, t in enumerate(lines, 1) if "server =" in t),
    )
    assert problems() == [
        f"{config}:{table}: nats.servers: is missing",
        f"{config}:{key}: unknown configuration key nats.server (did you mean nats.servers?)",
    ]


@pytest.mark.usefixtures("config")
def test_unknown_group_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_DEMO_AGENT_HEALT__PORT", "1")
    assert problems() == [
        (
            "unknown configuration key ST_DEMO_AGENT_HEALT__PORT in the environment "
            "(did you mean ST_DEMO_AGENT_HEALTH__PORT?)"
        )
    ]


@pytest.mark.usefixtures("config")
def test_unknown_key_in_the_environment_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_DEMO_AGENT_HEALTH__PROT", "1")
    assert problems() == ["unknown configuration key health.prot (did you mean health.port?)"]


@pytest.mark.usefixtures("config")
def test_environment_of_another_agent_is_not_ours(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ST_OTHER_HEALTH__PROT", "1")
    DemoSettings.load()


def test_missing_file_is_named_by_its_field(config: Path, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").unlink()
    (line,) = problems()
    assert line.startswith(f"{config}:")
    assert line.endswith(f"openbao.ca_file: file {tmp_path}/ca.pem does not exist")


@pytest.mark.usefixtures("config")
def test_token_file_may_appear_later() -> None:
    assert not DemoSettings.load().openbao.token_file.exists()


@pytest.mark.parametrize(
    ("argument", "line"),
    [
        ("health.port=70000", "health.port: input should be less than or equal to 65535"),
        ("identity.service=Gate", "identity.service: service 'Gate' is not lower-case letters"),
        ('openbao.addresses=["http://a:1"]', "openbao.addresses.0: 'http://a:1' is not https"),
        ("openbao.addresses=[]", "openbao.addresses: is empty; name at least one"),
        ('nats.servers=["tls://u:p@a:1"]', "nats.servers.0: "),
        ("profile.name=tset", "profile.name: unknown profile 'tset'; known are burst"),
        ('profile.overrides={"ca_led": 1}', "profile 'test': unknown field ca_led"),
        ('profile.overrides={"ca_lead": 9999}', "profile 'test': ca_lead + 2 * clock_skew must"),
        ("nats.servers=[1", "nats.servers: not JSON"),
        ("nats", "arguments: --set 'nats' is not KEY=VALUE"),
        ("a..b=1", "arguments: --set 'a..b' is not KEY=VALUE"),
    ],
)
@pytest.mark.usefixtures("config")
def test_wrong_value_is_one_line_with_its_key(argument: str, line: str) -> None:
    (found,) = problems("--set", argument)
    assert found.startswith(line)


@pytest.mark.usefixtures("config")
def test_every_wrong_field_has_its_line() -> None:
    lines = problems("--set", "health.port=x", "--set", "stop_grace_seconds=0")
    assert {line.split(":")[0] for line in lines} == {"health.port", "stop_grace_seconds"}


def test_unreadable_file_and_broken_toml_are_named(tmp_path: Path, config: Path) -> None:
    assert problems("--config", str(tmp_path / "none.toml")) == [
        f"--config: cannot read {tmp_path}/none.toml: No such file or directory"
    ]
    config.write_text("[nats\n")
    assert problems()[0].startswith(f"{config}: not TOML: ")


@pytest.mark.usefixtures("config")
def test_unknown_argument_is_a_configuration_error() -> None:
    assert problems("--verbose") == ["arguments: unrecognized arguments: --verbose"]


@pytest.mark.usefixtures("config")
def test_settings_cannot_be_changed() -> None:
    settings = DemoSettings.load()
    with pytest.raises(pydantic.ValidationError):
        settings.stop_grace_seconds = 1
    with pytest.raises(pydantic.ValidationError):
        settings.health.port = 1


@pytest.mark.usefixtures("config")
def test_printed_configuration_masks_secrets() -> None:
    text = DemoSettings.load(["--set", "extra.password=hunter2"]).to_text()
    assert "hunter2" not in text
    assert '"port": 24226' in text


def test_tables_are_merged_key_by_key() -> None:
    low = {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
    assert merged(low, {"a": {"c": {"f": 3}}, "e": [2]}) == {
        "a": {"b": 1, "c": {"d": 2, "f": 3}},
        "e": [2],
    }
    assert low == {"a": {"b": 1, "c": {"d": 2}}, "e": [1]}
