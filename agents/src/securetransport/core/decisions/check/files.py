"""Machine and files: what must be there, be readable, and be what it is called."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Final

from securetransport.core.base.errors import (
    ConfigError,
    MalformedMessageError,
    SecureTransportError,
)
from securetransport.core.crypto import signing, x509
from securetransport.core.decisions.check.finding import Finding, words
from securetransport.core.decisions.check.observation import FileSeen, Observation
from securetransport.core.formats.authority_keys import AuthorityKeys

_MIB: Final = 1 << 20
_LEAST_FREE_BYTES: Final = 256 * _MIB
_LEAST_FREE_FILES: Final = 10_000
_LEAST_OPEN_FILES: Final = 1024
_OTHERS: Final = 0o077
_UNSEAL_KEY_BYTES: Final = 32
_SOON: Final = timedelta(days=7)
_PROGRAM_SETTINGS: Final = (
    b"command",
    b"directory",
    b"environment",
    b"autostart",
    b"autorestart",
    b"killasgroup",
    b"redirect_stderr",
    b"stdout_logfile",
)
_ROLE_PART: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\s*")
_TLS: Final = "authority/tls"
_ADMIN: Final = "authority/admin"
_SECRETS: Final = re.compile(r".*(/secret-id|/role-id|\.key|unseal\.key|recovery-keys\.json)")

# Which check tells that a file of this name is missing; the first pattern that fits.
_MISSING: Final = (
    (re.compile(r".*/supervisord\.conf"), "supervisor-config"),
    (re.compile(r".*/conf\.d/[^/]*\.conf"), "program-file"),
    (re.compile(r".*/config\.toml"), "agent-config-missing"),
    (re.compile(r".*/agent\.hcl"), "login-config-missing"),
    (re.compile(r".*/config\.hcl"), "node-config-missing"),
    (re.compile(r".*/nats\.conf"), "server-config-missing"),
    (re.compile(r".*/role-id"), "role-id"),
    (re.compile(r".*/secret-id"), "secret-id"),
    (re.compile(r".*/unseal\.key"), "unseal-key"),
    (re.compile(r".*/recovery-keys\.json"), "recovery-keys"),
    (re.compile(r".*/authority-keys\.json"), "authority-keys"),
    (re.compile(r".*/administrator-keys\.json"), "administrator-keys"),
    (re.compile(r".*/administrator\.key"), "administrator-key"),
    (re.compile(r".*/tls/ca\.crt"), "ca-missing"),
    (re.compile(r".*/tls/ca\.key"), "authority-ca-key"),
    (re.compile(r".*/tls/.*\.crt"), "node-certificate-missing"),
    (re.compile(r".*/tls/.*\.key"), "node-key"),
    (re.compile(r".*/cli\.toml"), "config-missing"),
)


def machine(seen: Observation) -> Iterator[Finding]:
    """What all processes share."""
    held = seen.machine
    needs = words("disk")
    if held.free_bytes < _LEAST_FREE_BYTES:
        text = f"{held.free_bytes // _MIB} MiB are free, {_LEAST_FREE_BYTES // _MIB} are needed"
        yield Finding("disk-space", "the disk of the state directory", text, words("disk"), needs)
    if held.free_files < _LEAST_FREE_FILES:
        text = f"{held.free_files} files may still be made, {_LEAST_FREE_FILES} are needed"
        yield Finding("disk-files", "the disk of the state directory", text, words("disk"), needs)
    if held.open_files < _LEAST_OPEN_FILES:
        text = f"a process may open {held.open_files} files, {_LEAST_OPEN_FILES} are needed"
        yield Finding("open-files", "this session", text)
    if held.run_dir_mode is None:
        subject = f"run directory {held.run_dir}"
        needs = words("tokens")
        yield Finding("run-dir", subject, "is missing", words("tokens", "members"), needs)
    elif held.run_dir_mode & _OTHERS or not held.is_run_dir_own:
        yield Finding("run-dir-private", held.run_dir, "others may look into it")


def presence(seen: Observation) -> Iterator[Finding]:
    """Files that must be there and are not, or cannot be read."""
    if seen.files and all(
        file.content is None and not file.problem for file in seen.files.values()
    ):
        everything = words("login", "openbao", "tokens", "members", "bus", "authority")
        clusters = words(*(f"supervisor {name}" for name in seen.daemons), "supervisors", "disk")
        what = "no platform is here: nothing that belongs to one"
        yield Finding("config-missing", seen.config, what, everything | clusters)
        return
    for path, file in seen.files.items():
        if file.content is None:
            check = next(name for pattern, name in _MISSING if pattern.fullmatch(path))
            what = f"cannot be read: {file.problem}" if file.problem else "is missing"
            yield Finding(check, path, what, _broken_by(path))


def contents(seen: Observation) -> Iterator[Finding]:
    """Files that are not what they are called."""
    if seen.config_problems and (seen.files.get(seen.config) or FileSeen()).content is not None:
        yield Finding("config-wrong", seen.config, seen.config_problems[0], words("login"))
    for path, file in seen.files.items():
        if file.content is None:
            continue
        look = _look_of(path)
        if look is not None:
            problem = look(file.content)
            if problem:
                yield Finding(_check_of(path), path, problem, _broken_by(path))
    yield from _administrator(seen)


def secrets(seen: Observation) -> Iterator[Finding]:
    """Secrets that others may read."""
    for path, file in seen.files.items():
        if file.mode is not None and _SECRETS.fullmatch(path):
            if file.mode & _OTHERS:
                yield Finding("secret-mode", path, f"others may read it (mode {file.mode:04o})")
            elif not file.is_own:
                yield Finding("secret-owner", path, "belongs to another user")
    for process, file in seen.tokens.items():
        if file.mode is not None and file.mode & _OTHERS:
            yield Finding("token-mode", f"token of {process}", "others may read it")


def tokens(seen: Observation) -> Iterator[Finding]:
    """Tokens that are not there, or are none."""
    for process, file in seen.tokens.items():
        if file.content is None or not file.content.strip():
            what = "its token is missing" if file.content is None else "its token is empty"
            needs = words("tokens", "openbao", f"process {process}-bao")
            yield Finding("token-missing", process, what, words(f"member {process}"), needs)


def certificates(seen: Observation) -> Iterator[Finding]:
    """Certificates of OpenBao's listeners."""
    ca_der: bytes | None = None
    for path in sorted(seen.files, key=lambda name: (name != f"{_TLS}/ca.crt", name)):
        if not path.startswith(f"{_TLS}/") or not path.endswith(".crt"):
            continue
        if seen.files[path].content is None:
            continue
        is_ca = path.endswith("/ca.crt")
        kind = "ca" if is_ca else "node-certificate"
        try:
            der = x509.pem_to_der(seen.text(path) or "")
            facts = x509.describe(der)
        except MalformedMessageError:
            yield Finding(f"{kind}-wrong", path, "is not a PEM certificate", words("openbao"))
            continue
        ca_der = der if is_ca else ca_der
        if facts.not_after <= seen.now:
            ended = f"ended at {facts.not_after.isoformat()}"
            yield Finding(f"{kind}-ended", path, ended, words("openbao"))
        elif facts.not_after <= seen.now + _SOON:
            yield Finding(f"{kind}-ended", path, f"is over soon, at {facts.not_after.isoformat()}")
        elif facts.not_before > seen.now:
            begins = f"begins in the future, at {facts.not_before.isoformat()}"
            yield Finding("clock-behind", path, begins, words("openbao"))
        elif not is_ca and ca_der is not None and not _is_signed_by(der, ca_der):
            other = f"is not signed by {_TLS}/ca.crt"
            yield Finding("node-certificate-issuer", path, other, words("openbao"))


def digests(seen: Observation) -> Iterator[Finding]:
    """Configurations that are not the ones that their processes were given."""
    for process in seen.programs:
        told = seen.configuration_digest(process)
        path = configuration_of(process)
        content = (seen.files.get(path) or FileSeen()).content
        if told and content is not None and x509.fingerprint(content) != told:
            what = f"differs from what {process} was started with"
            yield Finding("digest", path, what, _broken_by(path))


def configuration_of(process: str) -> str:
    """Return the configuration that a process reads."""
    cluster, _, name = process.partition("/")
    if name.endswith("-bao"):
        return f"{cluster}/{name.removesuffix('-bao')}/agent.hcl"
    if name.startswith("openbao-"):
        return f"{cluster}/{name}/config.hcl"
    return f"{cluster}/{name}/{'nats.conf' if name.startswith('nats-') else 'config.toml'}"


def _broken_by(path: str) -> frozenset[str]:
    """Return what does not work without a file."""
    cluster, _, rest = path.partition("/")
    folder = rest.partition("/")[0]
    broken = {f"file {path}", f"process {cluster}/{folder}", f"process {cluster}/{folder}-bao"}
    if path.startswith((f"{_TLS}/", "authority/openbao-", "authority/unseal")):
        broken |= {"openbao"}
    if path.startswith(f"{_ADMIN}/"):
        broken |= {"login"}
        if path.endswith("-keys.json"):
            broken |= {"trust", "members", "authority"}
    if path.endswith((".toml", ".hcl", ".conf", "-id")):
        broken |= {f"member {cluster}/{folder}"}
    return frozenset(broken)


def _check_of(path: str) -> str:
    if path.endswith("/config.toml"):
        return "agent-config-syntax"
    if path.endswith("/cli.toml"):
        return "config-wrong"
    if path.endswith("/nats.conf"):
        return "server-config-wrong"
    return next(name for pattern, name in _MISSING if pattern.fullmatch(path))


def _is_signed_by(der: bytes, ca_der: bytes) -> bool:
    try:
        x509.check_signed_by(der, ca_der)
    except (SecureTransportError, ValueError):
        return False
    return True


def _look_of(path: str) -> Callable[[bytes], str] | None:
    if "/conf.d/" in path:
        return _program
    name = path.rpartition("/")[2]
    if path.startswith(f"{_TLS}/") and name.endswith(".key"):
        return _tls_key
    return _LOOKS.get(name)


def _administrator(seen: Observation) -> Iterator[Finding]:
    keys, key = seen.text(f"{_ADMIN}/administrator-keys.json"), f"{_ADMIN}/administrator.key"
    text = seen.text(key)
    if keys is None or text is None:
        return
    try:
        pinned = AuthorityKeys.from_json(keys)
        own = signing.signing_key_from_pem(text)
    except (ConfigError, MalformedMessageError, ValueError):
        return
    if pinned.keys.get(own.key_id, ("", b""))[1] != own.public_key:
        what = "does not have the public half of administrator.key"
        yield Finding(
            "administrator-pair", f"{_ADMIN}/administrator-keys.json", what, words("authority")
        )


# --- one file each: why it is not what it is called, empty when it is -------------------------


def _toml(content: bytes) -> str:
    try:
        tomllib.loads(content.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        return f"is not TOML: {' '.join(str(error).split())[:120]}"
    return "" if content.strip() else "is empty"


def _role_part(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    try:
        text = content.decode("ascii")
    except UnicodeDecodeError:
        return "is not half of an AppRole"
    return "" if _ROLE_PART.fullmatch(text) else "is not half of an AppRole"


def _public_keys(content: bytes) -> str:
    try:
        AuthorityKeys.from_json(content.decode("utf-8"))
    except UnicodeDecodeError:
        return "is not a list of public keys: not UTF-8 text"
    except ConfigError as error:
        return f"is not a list of public keys: {error.problems[0]}"
    return ""


def _recovery_keys(content: bytes) -> str:
    try:
        told = json.loads(content)
    except (ValueError, RecursionError):
        return "is not JSON"
    return "" if isinstance(told, dict | list) and told else "is empty"


def _unseal_key(content: bytes) -> str:
    if len(content) == _UNSEAL_KEY_BYTES:
        return ""
    return f"has {len(content)} bytes; {_UNSEAL_KEY_BYTES} are needed, so it is not the key"


def _signing_key(content: bytes) -> str:
    try:
        signing.signing_key_from_pem(content.decode("utf-8"))
    except (ConfigError, MalformedMessageError, ValueError):
        return "is not a private key in PEM"
    return ""


def _tls_key(content: bytes) -> str:
    head, tail = b"-----BEGIN ", b"PRIVATE KEY-----"
    lines = content.strip().splitlines()
    is_whole = bool(lines) and lines[0].startswith(head) and lines[0].endswith(tail)
    is_whole = is_whole and lines[-1].startswith(b"-----END ") and lines[-1].endswith(tail)
    return "" if is_whole else "is not a private key in PEM"


def _text(content: bytes) -> str:
    if not content.strip():
        return "is empty"
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return "is not UTF-8 text"
    return ""


def _program(content: bytes) -> str:
    problem = _text(content)
    if problem:
        return problem
    settings = [line.partition(b"=")[0] for line in content.splitlines()]
    gone = [name.decode() for name in _PROGRAM_SETTINGS if name not in settings]
    if b"\n[program:" not in b"\n" + content:
        gone.insert(0, "[program]")
    return f"is not whole: no {', '.join(gone)}" if gone else ""


def _supervisor(content: bytes) -> str:
    problem = _text(content)
    if problem:
        return problem
    wanted = (b"[supervisord]", b"[unix_http_server]", b"[rpcinterface:supervisor]", b"[include]")
    gone = [part.decode() for part in wanted if part not in content]
    return f"is not whole: no {', '.join(gone)}" if gone else ""


_LOOKS: Final[dict[str, Callable[[bytes], str]]] = {
    "config.toml": _toml,
    "role-id": _role_part,
    "secret-id": _role_part,
    "authority-keys.json": _public_keys,
    "administrator-keys.json": _public_keys,
    "recovery-keys.json": _recovery_keys,
    "unseal.key": _unseal_key,
    "administrator.key": _signing_key,
    "supervisord.conf": _supervisor,
    "cli.toml": _toml,
    "agent.hcl": _text,
    "config.hcl": _text,
    "nats.conf": _text,
}
