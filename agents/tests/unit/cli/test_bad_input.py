"""Whatever a person gives the command: one line that says what is wrong, an exit code, no trace."""

from __future__ import annotations

import io
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from certificates import Issuer
from securetransport.cli.__main__ import main
from securetransport.cli.view import render
from securetransport.core.base.errors import SecureTransportError
from trust_scene import keys_json

ACL = "version: 1\ntrust_domain: a.test\nstreams: {}\ntopics: {}\nservices: {}\nforeign: {}\n"


Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run the command; returns exit code, stdout and stderr."""

    def command(*argv: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["securetransport", *argv])
        with pytest.raises(SystemExit) as ended:
            main()
        said = capsys.readouterr()
        assert "Traceback" not in said.err
        return int(ended.value.code or 0), said.out, said.err

    return command


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A configuration of the command with all that it names."""
    (tmp_path / "ca.pem").write_text(Issuer.root("openbao").pem)
    (tmp_path / "keys.json").write_text(keys_json())
    for name in ("role-id", "secret-id"):
        (tmp_path / name).write_text("x")
    (tmp_path / "cli.toml").write_text(f"""
trust_domain = "a.test"
openbao_addresses = ["https://localhost:1"]
openbao_ca_file = "{tmp_path}/ca.pem"
role_id_file = "{tmp_path}/role-id"
secret_id_file = "{tmp_path}/secret-id"
authority_keys_file = "{tmp_path}/keys.json"
nats_servers = ["tls://localhost:1"]
""")
    return tmp_path


@pytest.mark.parametrize(
    "address",
    [
        "",
        ":",
        "x",
        "x:",
        ":4222",
        "x:y",
        "127.0.0.1:0",
        "127.0.0.1:99999",
        "127.0.0.1:65536",
        "127.0.0.1:123456789",
        "127.0.0.1:-1",
        "127.0.0.1:\u00b2",
        "127.0.0.1:\u0664\u0662\u0662\u0662",
        "::1:4222",
        "a b:4222",
        "ü:4222",
        "tls://127.0.0.1:4222",
        "x:4222\n",
    ],
)
def test_address_that_is_none_is_refused(run: Run, address: str) -> None:
    code, _out, err = run("probe", "--", address)
    assert code == 78
    assert err.startswith("securetransport: address: ")
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["status", "status --watch", "admin leaf --out=o"])
@pytest.mark.parametrize(
    "content",
    [b"", b"\xe4 = 'Latin-1'", b"a = [\n", b"a = " + b"[" * 50_000, b"\x00", b"trust_domain = 1"],
)
def test_configuration_that_is_none_is_refused(
    run: Run,
    tmp_path: Path,
    command: str,
    content: bytes,
) -> None:
    path = tmp_path / "cli.toml"
    path.write_bytes(content)
    code, _out, err = run(*command.split(), "--config", str(path))
    assert code == 78
    place = re.compile(rf"securetransport: {re.escape(str(path))}(:\d+)?: ")
    assert all(place.match(line) for line in err.splitlines())


@pytest.mark.parametrize("name", [".", "absent", "cli.toml/deeper"])
def test_configuration_that_cannot_be_read_is_refused_with_what_to_do(
    run: Run, home: Path, name: str
) -> None:
    code, _out, err = run("status", "--config", str(home / name))
    assert code == 78
    assert "give --config FILE" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        ('"a.test"', '"Ä.test"', "trust_domain"),
        ("https://localhost:1", "http://localhost:1", "openbao_addresses"),
        ("https://localhost:1", "https://localhost:70000", "openbao_addresses"),
        ("tls://localhost:1", "tls://localhost", "nats_servers"),
        ("ca.pem", "absent.pem", "openbao_ca_file"),
        ("ca.pem", "role-id", "openbao_ca_file"),
        ("keys.json", "role-id", "authority_keys_file"),
        ("secret-id", "absent", "secret_id_file"),
        ("nats_servers", "nats_server", "nats_servers"),
    ],
)
def test_wrong_value_of_the_configuration_is_named(
    run: Run,
    home: Path,
    old: str,
    new: str,
    named: str,
) -> None:
    path = home / "cli.toml"
    path.write_text(path.read_text().replace(old, new))
    code, _out, err = run("status", "--config", str(path))
    assert code == 78
    assert re.search(rf"{re.escape(str(path))}(:\d+)?: (unknown configuration key )?{named}", err)


@pytest.mark.parametrize("content", [b"", b"  \n", b"\xe4"])
def test_approle_file_without_its_half_is_named(
    run: Run,
    home: Path,
    content: bytes,
) -> None:
    (home / "secret-id").write_bytes(content)
    code, _out, err = run("status", "--config", str(home / "cli.toml"))
    assert code == 1
    assert f"path={home}/secret-id" in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("command", ["check", "matrix", "diff", "explain"])
@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\xe4: Latin-1",
        b"\x00",
        b"a: [",
        b"[" * 20_000,
        b"{a: " * 20_000,
        b"- " * 20_000,
        b"a:\n" + b"".join(b" " * level + b"a:\n" for level in range(1, 1_000)),
        b"a: &a [x,x,x,x,x,x,x,x,x]\n"
        + b"".join(
            b"%c: &%c [%s]\n" % (k, k, b",".join([b"*%c" % (k - 1)] * 9)) for k in b"bcdefghij"
        ),
        b"- a\n- b",
        b"a: &a [*a]",
        b"&a {x: *a}",
        b"a: 1\na: 2",
        b"!!python/object/apply:os.getcwd []",
        b"%YAML 9.9\n---\na: 1",
        b"--- a\n--- b",
        ACL.replace("version: 1", "version: 1e400").encode(),
        ACL.replace("services: {}", "services: {? [a] : b}").encode(),
        ACL.replace("services: {}", "services: {2026-01-01: {}}").encode(),
        ACL.replace("version: 1", "version: 2026-13-45").encode(),
        ACL.replace("version: 1", "version: 2026-01-01 99:99:99").encode(),
        ACL.replace("version: 1", "version: 0b2").encode(),
        ACL.replace("version: 1", "version: " + "9" * 5_000).encode(),
        ACL.replace("version: 1", "version: 0x" + "f" * 100_000).encode(),
        ACL.replace("version: 1", "version: 1:99:99:99").encode(),
        ACL.replace("version: 1", "version: !!binary x").encode(),
        ACL.replace("version: 1", "version: !!set {a}").encode(),
        ACL.replace("version: 1", "version: !!float x").encode(),
    ],
)
def test_acl_file_that_is_none_is_refused(
    run: Run,
    tmp_path: Path,
    command: str,
    content: bytes,
) -> None:
    file = tmp_path / "acl.yml"
    file.write_bytes(content)
    more = {"diff": [str(file)], "explain": ["a", "publish", "b"]}.get(command, [])
    code, _out, err = run("acl", command, str(file), *more)
    assert code in (1, 78)
    assert str(file) in err


@pytest.mark.parametrize(
    "argv",
    [
        ["acl", "explain", "{file}", "nobody", "publish", "a.b"],
        ["acl", "explain", "{file}", "admin", "fly", "a.b"],
        ["acl", "explain", "{file}", "admin", "publish", ""],
        ["acl", "explain", "{file}", "", "", ""],
        ["acl", "explain", "{file}", "admin", "read", "../.."],
        ["acl", "check", "{file}", "--profile", "no such"],
        ["acl", "check", "{file}/deeper"],
        ["acl", "matrix", "{file}", "--format", "xml"],
        ["acl", "diff", "{file}"],
        ["nothing"],
        ["status", "--nothing"],
        ["admin", "leaf"],
        ["--config"],
    ],
)
def test_argument_that_is_none_is_refused(
    run: Run,
    tmp_path: Path,
    argv: list[str],
) -> None:
    file = tmp_path / "acl.yml"
    file.write_text(ACL)
    code, out, err = run(*(part.format(file=file) for part in argv))
    assert code in (1, 2, 78)
    assert out or err


@pytest.mark.parametrize("status", [{}, {"ca": []}, {"ca": {}, "keys": 1, "census": None}])
def test_status_of_another_version_is_one_line(status: dict[str, object]) -> None:
    with pytest.raises(SecureTransportError, match="--json"):
        render(status)


def test_terminal_without_a_letter_is_no_reason_to_fail(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(raw, encoding="ascii"))
    monkeypatch.setattr(sys, "argv", ["securetransport", "acl", "check", str(tmp_path / "ü")])
    with pytest.raises(SystemExit):
        main()
    sys.stderr.flush()
    assert rb"\xfc: No such file" in raw.getvalue()
