"""Where the command finds the platform, and as whom it acts."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from securetransport.core.base.errors import ConfigError
from securetransport.core.base.names import parse_trust_domain
from securetransport.runtime.sections import (
    ExistingFile,
    HttpsUrl,
    NatsUrl,
    check_certificates,
    read_keys,
)
from securetransport.runtime.settings import problem_lines, read_toml

DEFAULT_CONFIG = Path(".state/local/authority/admin/cli.toml")


class CliSettings(BaseModel):
    """The command's configuration file, written by Ansible.

    Attributes:
        trust_domain: Host part of the SPIFFE ids.
        openbao_addresses: Every node, ``https://host:port``.
        openbao_ca_file: PEM of the CA of OpenBao's TLS certificates.
        role_id_file: AppRole ``admin``, first half.
        secret_id_file: AppRole ``admin``, second half.
        authority_keys_file: The pinned authority keys.
        nats_servers: ``tls://host:port`` of every server.
        leaf_seconds: Life of the leaf that one command uses.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    trust_domain: Annotated[str, AfterValidator(parse_trust_domain)]
    openbao_addresses: Annotated[tuple[HttpsUrl, ...], Field(min_length=1)]
    openbao_ca_file: ExistingFile
    role_id_file: ExistingFile
    secret_id_file: ExistingFile
    authority_keys_file: ExistingFile
    nats_servers: Annotated[tuple[NatsUrl, ...], Field(min_length=1)]
    leaf_seconds: Annotated[int, Field(ge=10, le=3600)] = 60


def load_settings(path: Path) -> CliSettings:
    """Return the settings in a TOML file.

    Raises:
        ConfigError: The file cannot be read, or one line per wrong key or file that it names.
    """
    values = read_toml(path, "--config", hint="; is the platform up? give --config FILE")
    try:
        settings = CliSettings.model_validate(values)
        check_certificates(settings.openbao_ca_file, "openbao_ca_file")
        read_keys(settings.authority_keys_file, "authority_keys_file")
    except ValidationError as err:
        raise ConfigError(problem_lines(CliSettings, err, path)) from err
    except ConfigError as err:
        raise ConfigError([f"{path}: {line}" for line in err.problems]) from err
    return settings
