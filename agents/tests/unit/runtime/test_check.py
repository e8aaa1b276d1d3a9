"""What ``--check-config`` looks into, because a start would."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from certificates import Issuer
from securetransport.core.base.errors import ConfigError
from securetransport.runtime.settings import AgentSettings, read_toml
from trust_scene import keys_json


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Files with which an agent starts."""
    (tmp_path / "ca.pem").write_text(Issuer.root("openbao").pem)
    (tmp_path / "keys.json").write_text(keys_json())
    return tmp_path


def settings(home: Path, **changes: object) -> AgentSettings:
    values: dict[str, dict[str, object]] = {
        "identity": {"service": "gatekeeper", "instance": "1"},
        "openbao": {
            "addresses": ["https://127.0.0.1:8200"],
            "ca_file": home / "ca.pem",
            "token_file": home / "token",
        },
        "authority": {"keys_file": home / "keys.json"},
        "health": {"port": 0},
        "paths": {"state_dir": home / "state"},
    }
    for name, value in changes.items():
        section, _, field = name.partition("__")
        values[section][field] = value
    path = home / "config.json"
    path.write_text(json.dumps(values, default=str))
    arguments = [f"--set={key}={json.dumps(part, default=str)}" for key, part in values.items()]
    return AgentSettings.load(arguments)


def problem(home: Path, **changes: object) -> str:
    with pytest.raises(ConfigError) as refused:
        settings(home, **changes).check()
    (line,) = refused.value.problems
    assert "\n" not in line
    return line


def test_files_as_a_start_wants_them_are_fine(home: Path) -> None:
    settings(home).check()


@pytest.mark.parametrize("content", [b"", b"no certificate", b"\xe4\xf6", b"-----BEGIN"])
def test_ca_file_without_a_certificate_is_found(home: Path, content: bytes) -> None:
    (home / "ca.pem").write_bytes(content)
    assert problem(home).startswith(f"openbao.ca_file: {home}/ca.pem ")


@pytest.mark.parametrize(
    "content",
    [b"", b"{}", b"[]", b'{"keys": []}', b"\xe4", b"[" * 100_000, b'{"keys": [{"key_id": 1}]}'],
)
def test_file_without_the_authoritys_keys_is_found(home: Path, content: bytes) -> None:
    (home / "keys.json").write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        settings(home).check()
    for line in refused.value.problems:
        assert line.startswith(f"authority.keys_file: {home}/keys.json") or "is not UTF-8" in line
        assert "\n" not in line


def test_something_else_in_place_of_the_state_directory_is_found(home: Path) -> None:
    (home / "state").touch()
    assert "is not a directory" in problem(home)
    assert "is not a directory" in problem(home, paths__state_dir=home / "state" / "deeper")


def test_every_wrong_file_is_named_at_once(home: Path) -> None:
    for name in ("ca.pem", "keys.json"):
        (home / name).write_text("x")
    with pytest.raises(ConfigError) as refused:
        settings(home).check()
    assert {line.split(":")[0] for line in refused.value.problems} == {
        "openbao.ca_file",
        "authority.keys_file",
    }


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("identity__instance", "web01.example.com"),
        ("identity__instance", "1/2"),
        ("identity__trust_domain", "Example.com"),
        ("openbao__addresses", ["https://localhost:0"]),
        ("openbao__addresses", ["https://localhost:65536"]),
        ("openbao__addresses", ["https://localhost:\u0664\u0664"]),
    ],
)
def test_value_that_a_start_would_refuse_is_refused_when_it_is_read(
    home: Path, field: str, value: object
) -> None:
    assert problem(home, **{field: value}).startswith(field.replace("__", "."))


@pytest.mark.parametrize(
    "content", [b"a = [\n", b"\xe4 = 1", b"a = " + b"[" * 50_000, b"a = 1\na = 2", b"\x00"]
)
def test_file_that_is_no_toml_is_one_line(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "config.toml"
    path.write_bytes(content)
    with pytest.raises(ConfigError) as refused:
        read_toml(path, "--config")
    (line,) = refused.value.problems
    assert line.startswith(f"{path}: not TOML: ")
    assert "\n" not in line


def test_directory_or_absent_file_is_named(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "absent"):
        with pytest.raises(ConfigError, match="--config: cannot read"):
            read_toml(path, "--config")


def test_argument_that_is_nested_too_deep_is_one_line() -> None:
    with pytest.raises(ConfigError, match="nested too deep"):
        AgentSettings.load(["--set", "a=" + "[" * 100_000])
