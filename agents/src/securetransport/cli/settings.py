"""Where the command finds the platform, and as whom it acts."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from securetransport.core.base.errors import ConfigError

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

    trust_domain: str
    openbao_addresses: Annotated[tuple[str, ...], Field(min_length=1)]
    openbao_ca_file: Path
    role_id_file: Path
    secret_id_file: Path
    authority_keys_file: Path
    nats_servers: Annotated[tuple[str, ...], Field(min_length=1)]
    leaf_seconds: Annotated[int, Field(ge=10, le=3600)] = 60


def load_settings(path: Path) -> CliSettings:
    """Return the settings in a TOML file.

    Raises:
        ConfigError: The file cannot be read, or one line per wrong key.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as err:
        raise ConfigError(
            [f"{path}: cannot read: {err.strerror}; is the platform up? give --config FILE"]
        ) from err
    except tomllib.TOMLDecodeError as err:
        raise ConfigError([f"{path}: not TOML: {err}"]) from err
    try:
        return CliSettings.model_validate(values)
    except ValidationError as err:
        lines = [
            f"{path}: {'.'.join(str(part) for part in item['loc'])}: {item['msg'].lower()}"
            for item in err.errors()
        ]
        raise ConfigError(lines) from err
