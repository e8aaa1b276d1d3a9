"""Logging in by AppRole, for short-lived commands that have no bao agent beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hvac
import hvac.exceptions
import requests

from securetransport.adapters.files import read_optional
from securetransport.core.base.errors import (
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from securetransport.core.base.names import APPROLE_MOUNT


@dataclass(frozen=True, slots=True)
class AppRoleFiles:
    """Where the two halves of an AppRole lie; both readable by their owner only."""

    role_id: Path
    secret_id: Path


def login(
    addresses: Sequence[str], ca_file: Path, files: AppRoleFiles, timeout_seconds: float = 5.0
) -> str:
    """Return a token of an AppRole; the caller revokes it when done.

    Raises:
        PermissionDeniedError: OpenBao does not accept the credentials.
        SecretStoreUnavailableError: No node answers.
        SecureTransportError: One of the files cannot be read.
    """
    role_id, secret_id = _read(files.role_id), _read(files.secret_id)
    reason = "no address"
    for address in addresses:
        session = requests.Session()
        # Neither proxies nor CA bundles of the environment have a say here.
        session.trust_env = False
        session.verify = str(ca_file)
        client = hvac.Client(
            url=address, verify=str(ca_file), timeout=timeout_seconds, session=session
        )
        try:
            answer = client.auth.approle.login(role_id, secret_id, mount_point=APPROLE_MOUNT)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as err:
            raise PermissionDeniedError(
                "openbao refused the approle login", role_file=files.role_id
            ) from err
        except (hvac.exceptions.VaultError, requests.RequestException) as err:
            reason = type(err).__name__
            continue
        except OSError as err:  # the CA file
            raise SecureTransportError("openbao's CA file cannot be used", path=ca_file) from err
        finally:
            session.close()
        try:
            return str(answer["auth"]["client_token"])
        except (KeyError, TypeError) as err:
            raise SecureTransportError("openbao's answer has no token", node=address) from err
    raise SecretStoreUnavailableError("no openbao node accepted a login", reason=reason)


def _read(path: Path) -> str:
    data = read_optional(path)
    try:
        text = data.decode("ascii").strip() if data is not None else ""
    except UnicodeDecodeError:
        text = ""
    if not text:
        raise SecureTransportError("file holds no half of an AppRole", path=path)
    return text
