"""The token of a file: the newest that was there, also after the file has gone."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from securetransport.adapters.openbao.tokens import TokenFile
from securetransport.core.base.errors import SecretStoreUnavailableError


def test_a_token_that_is_replaced_is_used_by_the_next_call(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("first\n")
    tokens = TokenFile(file)
    assert tokens.current() == "first"
    (tmp_path / "new").write_text("second")
    (tmp_path / "new").replace(file)
    assert tokens.current() == "second"


def test_a_token_outlives_its_file(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    folder.mkdir()
    (folder / "token").write_text("kept")
    tokens = TokenFile(folder / "token")
    assert tokens.current() == "kept"
    shutil.rmtree(folder)
    assert tokens.current() == "kept"
    assert tokens.reread(refused="kept") is None
    folder.mkdir()
    (folder / "token").write_text("")
    assert tokens.current() == "kept"
    (folder / "token").write_text("newer")
    assert tokens.reread(refused="kept") == "newer"


@pytest.mark.parametrize("content", [None, "", " \n"])
def test_without_any_token_the_cause_is_named(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "token").write_text(content)
    with pytest.raises(SecretStoreUnavailableError, match="its secret-id good"):
        TokenFile(tmp_path / "token").current()
