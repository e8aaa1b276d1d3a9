"""Logging in by AppRole, for short-lived commands that have no bao agent beside them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import hvac
import hvac.exceptions
import requests

from securetransport.core.base.errors import PermissionDeniedError, SecretStoreUnavailableError
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
    """
    role_id = files.role_id.read_text().strip()
    secret_id = files.secret_id.read_text().strip()
    reason = "no address"
    for address in addresses:
        client = hvac.Client(url=address, verify=str(ca_file), timeout=timeout_seconds)
        try:
            answer = client.auth.approle.login(role_id, secret_id, mount_point=APPROLE_MOUNT)
        except (hvac.exceptions.InvalidRequest, hvac.exceptions.Forbidden) as err:
            raise PermissionDeniedError(
                "openbao refused the approle login", role_file=files.role_id
            ) from err
        except (hvac.exceptions.VaultError, requests.RequestException) as err:
            reason = type(err).__name__
            continue
        return str(answer["auth"]["client_token"])
    raise SecretStoreUnavailableError("no openbao node accepted a login", reason=reason)
