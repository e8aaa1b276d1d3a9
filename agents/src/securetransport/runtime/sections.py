"""The groups of settings that agents share; every field says its unit and why its default.

All are frozen and refuse unknown keys. Durations are seconds, in the field's name.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from securetransport.core.base.errors import ConfigError, MalformedMessageError
from securetransport.core.base.names import (
    InstanceId,
    ServiceId,
    instance_id,
    parse_replica,
    parse_service,
    parse_trust_domain,
)
from securetransport.core.base.profile import PROFILES, Profile
from securetransport.core.base.values import (
    join_address,
    parse_duration,
    parse_host,
    parse_ip,
    parse_url,
    split_address,
)
from securetransport.core.crypto import x509
from securetransport.core.formats.authority_keys import AuthorityKeys
from securetransport.runtime.logs import LogFormat, LogLevel


def _existing_file(path: Path) -> Path:
    if not path.is_file():
        raise ValueError(f"file {path} does not exist")
    return path


def _https_url(url: str) -> str:
    return parse_url(url, "https")


def _nats_url(url: str) -> str:
    return parse_url(url, "tls", "nats")


def read_text(path: Path, field: str) -> str:
    """Return the text of a file that a field of the configuration names.

    Raises:
        ConfigError: It cannot be read, or is no UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise ConfigError([f"{field}: {path} is not UTF-8 text"]) from error
    except OSError as error:
        raise ConfigError([f"{field}: cannot read {path}: {error.strerror}"]) from error


def read_keys(path: Path, field: str) -> AuthorityKeys:
    """Return the public keys in a file that a field of the configuration names.

    Raises:
        ConfigError: One line per mistake in it.
    """
    text = read_text(path, field)
    try:
        return AuthorityKeys.from_json(text)
    except ConfigError as error:
        lines = [f"{field}: {path}: {line}" for line in error.problems]
        raise ConfigError(lines) from error


def check_certificates(path: Path, field: str) -> None:
    """Check that a file holds at least one PEM certificate.

    Raises:
        ConfigError: It holds none that can be read.
    """
    try:
        x509.pem_to_der(read_text(path, field))
    except MalformedMessageError as error:
        raise ConfigError([f"{field}: {path} holds no PEM certificate"]) from error


def _at_least_one(urls: tuple[str, ...]) -> tuple[str, ...]:
    if not urls:
        raise ValueError("is empty; name at least one")
    return urls


def _address(text: str) -> str:
    return join_address(*split_address(text))


def _seconds(value: object) -> float:
    return parse_duration(value).total_seconds()


ExistingFile = Annotated[Path, AfterValidator(_existing_file)]
"""A file that must be there at start, because Ansible writes it before the agent is started."""

HttpsUrl = Annotated[str, AfterValidator(_https_url)]
NatsUrl = Annotated[str, AfterValidator(_nats_url)]
Address = Annotated[str, AfterValidator(_address)]
"""``host:port`` of one port of a server."""

Host = Annotated[str, AfterValidator(parse_host)]
"""An address to listen on, or a name; IPv6 without brackets."""

IpAddress = Annotated[str, AfterValidator(parse_ip)]
DnsName = Annotated[str, AfterValidator(parse_host)]
Seconds = Annotated[float, BeforeValidator(_seconds)]
"""A duration: a number of seconds, or text such as ``90s`` or ``1h30m``."""

ServiceName = Annotated[str, AfterValidator(parse_service)]
ServerName = Annotated[str, AfterValidator(parse_replica)]
"""``server_name`` of a message server; also the replica part of its leaf's common name."""


class Section(BaseModel):
    """Base of every group: immutable, and an unknown key is an error."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_truth_value(cls, value: object, field: ValidationInfo) -> object:
        return refuse_truth_value(cls, value, field)


def refuse_truth_value(cls: type[BaseModel], value: object, field: ValidationInfo) -> object:
    """Return ``value``, unless it is a truth value where a number or a text must be.

    Raises:
        ValueError: It is; a number would silently be 1 or 0.
    """
    wanted = cls.model_fields[field.field_name or ""].annotation
    if isinstance(value, bool) and wanted is not bool:
        raise ValueError(f"must not be {str(value).lower()}")
    return value


class IdentitySection(Section):
    """Who this process is."""

    service: ServiceName
    """Service id as in the ACL file; also the NATS user, the AppRole and the PKI role."""

    instance: Annotated[str, AfterValidator(parse_replica)]
    """Which replica, for example ``"1"``; the instance id is ``<service>/<instance>``."""

    trust_domain: Annotated[str, AfterValidator(parse_trust_domain)] = "securetransport.local"
    """Domain of the SPIFFE ids; the same in the whole deployment."""

    @model_validator(mode="after")
    def _fits_a_certificate(self) -> Self:
        instance_id(self.service_id, self.instance)
        return self

    @property
    def service_id(self) -> ServiceId:
        """The service, as the core's type."""
        return ServiceId(self.service)

    @property
    def instance_id(self) -> InstanceId:
        """``<service>/<instance>``."""
        return instance_id(self.service_id, self.instance)


class OpenBaoAddress(Section):
    """Where OpenBao is."""

    addresses: Annotated[tuple[HttpsUrl, ...], AfterValidator(_at_least_one)]
    """Every node, ``https://host:port``; the one that answered last is tried first."""

    ca_file: ExistingFile
    """PEM of the CA that signed OpenBao's own TLS certificates; during its rollover both CAs."""

    timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 5.0
    """Longest wait for one node's answer; issuing takes 50 ms, an election 2 to 3 s."""

    def check(self) -> None:
        """Look into the files.

        Raises:
            ConfigError: The CA file holds no certificate.
        """
        check_certificates(self.ca_file, "openbao.ca_file")


class OpenBaoSection(OpenBaoAddress):
    """How OpenBao is reached, and as whom."""

    token_file: Path
    """Where the bao agent puts the token; may appear after the start, and is re-read on change."""

    secret_id_status_file: Path | None = None
    """Where what renews the secret-id says how it is; ``None`` where nothing stands beside the
    agent (tests, a token that somebody else renews)."""


class AuthoritySection(Section):
    """Whose documents are believed."""

    keys_file: ExistingFile
    """JSON with the authority's public keys, pinned by Ansible (``AuthorityKeys.from_json``)."""

    def check(self) -> None:
        """Look into the file.

        Raises:
            ConfigError: It holds no public keys.
        """
        read_keys(self.keys_file, "authority.keys_file")


class NatsSection(Section):
    """How the message servers are reached."""

    servers: Annotated[tuple[NatsUrl, ...], AfterValidator(_at_least_one)]
    """Client URLs, ``tls://host:port``; TLS is used whatever the scheme says."""

    connect_timeout_seconds: Annotated[float, Field(gt=0, le=60)] = 2.0
    """Longest wait for one server's handshake; a healthy one takes 10 ms."""


class HealthSection(Section):
    """Where ``/livez``, ``/readyz`` and ``/metrics`` are served, without TLS."""

    host: Host = "127.0.0.1"
    """Address to listen on. Loopback, because the listener has no TLS."""

    port: Annotated[int, Field(ge=0, le=65535)]
    """TCP port; 0 takes any free one (tests)."""


class ProfileSection(Section):
    """Periods and deadlines of the deployment; the same for every process."""

    name: str = "test"
    """Name of a profile of ``securetransport.core.base.profile``: its constants are the base."""

    overrides: dict[str, Seconds] = {}
    """Field of the profile to its value, for example ``{ca_period = 60}`` or ``"1m"``."""

    def profile_value(self) -> Profile:
        """Return the profile with the overrides, checked.

        Raises:
            ConfigError: Unknown name or field, or a rule between fields is broken.
        """
        base = PROFILES.get(self.name)
        if base is None:
            known = ", ".join(sorted(PROFILES))
            raise ConfigError([f"profile.name: unknown profile {self.name!r}; known are {known}"])
        changes = {name: timedelta(seconds=value) for name, value in self.overrides.items()}
        return base.override(**changes)


class PathsSection(Section):
    """What the process may write to."""

    state_dir: Path
    """Directory of this process alone; created with mode 0700 when it is missing."""

    def check(self) -> None:
        """Look whether it is, or can become, a directory.

        Raises:
            ConfigError: Something else is in its place, or on the way to it.
        """
        path = self.state_dir
        try:
            found = next(place for place in (path, *path.parents) if place.exists())
            if not found.is_dir():
                raise ConfigError([f"paths.state_dir: {path}: {found} is not a directory"])
        except OSError as error:
            raise ConfigError([f"paths.state_dir: {path}: {error.strerror}"]) from error


class LogsSection(Section):
    """What is logged, on stdout."""

    level: LogLevel = "info"
    """Least level that is written."""

    format: LogFormat = "auto"
    """``json``, ``pretty``, or ``auto``: pretty only when stdout is a terminal."""
