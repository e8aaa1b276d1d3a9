# SPDX-License-Identifier: Apache-2.0
"""Files are whole or not there, and never open to others for a moment."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from module_utils._errors import PlatformError
from module_utils._local.files import (
    PUBLIC,
    has_mode,
    prepared,
    read_optional,
    read_required,
    remove_file,
    write_file,
)


def test_a_prepared_file_has_its_mode_before_its_content_and_leaves_nothing(tmp_path: Path) -> None:
    target = tmp_path / "token"
    with prepared(str(target), option="token_file"):
        (temporary,) = tmp_path.iterdir()
        assert stat.S_IMODE(temporary.stat().st_mode) == 0o600
        assert temporary.read_bytes() == b""
    assert list(tmp_path.iterdir()) == []


def test_a_write_replaces_the_name_and_a_reader_keeps_the_old_file(tmp_path: Path) -> None:
    target = tmp_path / "keys.json"
    write_file(str(target), "one", option="keys_file")
    with target.open() as reader:
        write_file(str(target), b"two", option="keys_file", mode=PUBLIC)
        assert reader.read() == "one"
    assert target.read_text() == "two"
    assert has_mode(str(target), PUBLIC)
    assert [path.name for path in tmp_path.iterdir()] == ["keys.json"]


def test_a_large_file_is_written_whole(tmp_path: Path) -> None:
    content = os.urandom(5_000_000)
    write_file(str(tmp_path / "large"), content, option="x")
    assert (tmp_path / "large").read_bytes() == content


def test_what_cannot_be_written_or_read_names_the_option_and_the_path(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    (tmp_path / "latin-1").write_bytes("ä".encode("latin-1"))
    missing = str(tmp_path / "none" / "x")
    with pytest.raises(PlatformError, match=f"x: cannot write into {tmp_path}/none: No such file"):
        write_file(missing, "", option="x")
    with pytest.raises(PlatformError, match=f"x: cannot write {folder}: "):
        write_file(str(folder), "", option="x")
    with pytest.raises(PlatformError, match=f"x: {missing} does not exist"):
        read_required(missing, option="x")
    with pytest.raises(PlatformError, match=r"x: .*latin-1 is not text in UTF-8"):
        read_optional(str(tmp_path / "latin-1"), option="x")
    with pytest.raises(PlatformError, match=f"x: cannot remove {folder}: "):
        remove_file(str(folder), option="x")
    assert read_optional(missing, option="x") is None
    assert list(tmp_path.glob(".*")) == []
