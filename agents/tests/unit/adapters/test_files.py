"""Atomic writes and private directories, on a real file system."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from securetransport.adapters.files import ensure_private_dir, read_optional, write_atomic
from securetransport.core.base.errors import SecureTransportError


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_file_is_private_unless_told_otherwise(tmp_path: Path) -> None:
    write_atomic(tmp_path / "key", b"\x00bytes")
    write_atomic(tmp_path / "ca", "text ä", mode=0o644)
    assert (mode_of(tmp_path / "key"), mode_of(tmp_path / "ca")) == (0o600, 0o644)
    assert (tmp_path / "key").read_bytes() == b"\x00bytes"
    assert (tmp_path / "ca").read_text(encoding="utf-8") == "text ä"


def test_replaced_file_is_a_new_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    with path.open("rb") as reader:
        write_atomic(path, b"new")
        assert reader.read() == b"old", "who reads the old file goes on reading it"
    assert path.read_bytes() == b"new"
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_mode_of_the_old_file_does_not_survive(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"old")
    path.chmod(0o666)
    write_atomic(path, b"new")
    assert mode_of(path) == 0o600


def test_failed_write_keeps_the_old_file_and_names_the_path(tmp_path: Path) -> None:
    target = tmp_path / "directory"
    target.mkdir()
    with pytest.raises(SecureTransportError, match=str(target)):
        write_atomic(target, b"x")
    with pytest.raises(SecureTransportError, match="No such file or directory"):
        write_atomic(tmp_path / "absent" / "file", b"x")
    assert [entry.name for entry in tmp_path.iterdir()] == ["directory"]


def test_absent_file_reads_as_none_and_an_unreadable_one_is_an_error(tmp_path: Path) -> None:
    assert read_optional(tmp_path / "absent") is None
    (tmp_path / "file").write_bytes(b"x")
    assert read_optional(tmp_path / "file") == b"x"
    with pytest.raises(SecureTransportError, match="cannot read file"):
        read_optional(tmp_path)


def test_directory_is_made_private_and_kept_private(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b"
    assert ensure_private_dir(path) == path
    assert mode_of(path) == 0o700
    path.chmod(0o755)
    ensure_private_dir(path)
    assert mode_of(path) == 0o700


def test_file_in_place_of_a_directory_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(SecureTransportError, match="cannot make private directory"):
        ensure_private_dir(tmp_path / "file")
