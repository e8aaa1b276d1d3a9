"""Logging in by AppRole at a real OpenBao, in an environment that is not ours."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetransport.adapters.openbao.login import AppRoleFiles, login
from securetransport.core.base.errors import (
    PermissionDeniedError,
    SecretStoreUnavailableError,
    SecureTransportError,
)
from servers import OpenBao


@pytest.fixture
def role(bao: OpenBao, tmp_path: Path) -> AppRoleFiles:
    bao.call("POST", "auth/approle/role/visitor", {"token_ttl": "60s"})
    role_id = bao.call("GET", "auth/approle/role/visitor/role-id")["data"]["role_id"]
    secret_id = bao.call("POST", "auth/approle/role/visitor/secret-id", {})["data"]["secret_id"]
    (tmp_path / "role-id").write_text(f"{role_id}\n")
    (tmp_path / "secret-id").write_text(secret_id)
    return AppRoleFiles(tmp_path / "role-id", tmp_path / "secret-id")


def test_role_gets_a_token(bao: OpenBao, role: AppRoleFiles) -> None:
    assert login(bao.addresses, bao.ca_file, role)


def test_proxies_and_ca_bundles_of_the_environment_have_no_say(
    bao: OpenBao, role: AppRoleFiles, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, str(tmp_path / "absent.pem"))
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert login(bao.addresses, bao.ca_file, role)


def test_next_node_is_asked_when_one_is_not_there(bao: OpenBao, role: AppRoleFiles) -> None:
    assert login(["https://127.0.0.1:9", *bao.addresses], bao.ca_file, role)
    with pytest.raises(SecretStoreUnavailableError):
        login(["https://127.0.0.1:9"], bao.ca_file, role)


def test_wrong_half_is_refused(bao: OpenBao, role: AppRoleFiles) -> None:
    role.secret_id.write_text("00000000-0000-0000-0000-000000000000")
    with pytest.raises(PermissionDeniedError):
        login(bao.addresses, bao.ca_file, role)


def test_file_that_cannot_be_used_is_named(bao: OpenBao, role: AppRoleFiles) -> None:
    with pytest.raises(SecureTransportError, match=r"absent\.pem"):
        login(bao.addresses, role.role_id.with_name("absent.pem"), role)
    role.role_id.unlink()
    with pytest.raises(SecureTransportError, match="role-id"):
        login(bao.addresses, bao.ca_file, role)
