"""What every ``Files`` does: the one of this machine and the fake, alike.

A subclass gives ``files`` and ``root``, an existing directory of the test alone; ``mode_of`` reads
permission bits.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from securetransport.core.base.errors import SecureTransportError
from securetransport.core.ports import Files

ModeOf = Callable[[Path], int]


class FilesContract:
    """The suite."""

    def test_what_was_written_is_read(self, files: Files, root: Path) -> None:
        files.write(root / "bytes", b"\x00bytes\xff")
        files.write(root / "text", "text ä")
        assert files.read(root / "bytes") == b"\x00bytes\xff"
        assert files.read(root / "text") == "text ä".encode()

    def test_absent_file_reads_as_none(self, files: Files, root: Path) -> None:
        assert files.read(root / "absent") is None
        assert files.read(root / "absent" / "deeper") is None

    def test_file_is_private_unless_told_otherwise(
        self, files: Files, root: Path, mode_of: ModeOf
    ) -> None:
        files.write(root / "key", b"")
        files.write(root / "ca", b"", mode=0o644)
        assert (mode_of(root / "key"), mode_of(root / "ca")) == (0o600, 0o644)

    def test_mode_of_the_old_file_does_not_survive(
        self, files: Files, root: Path, mode_of: ModeOf
    ) -> None:
        files.write(root / "file", b"old", mode=0o666)
        files.write(root / "file", b"new")
        assert (files.read(root / "file"), mode_of(root / "file")) == (b"new", 0o600)

    def test_write_leaves_nothing_else_behind(self, files: Files, root: Path) -> None:
        for text in ("one", "two"):
            files.write(root / "file", text)
        files.link(root / "link", Path("file"))
        files.link(root / "link", Path("file"))
        assert files.entries(root) == ["file", "link"]

    def test_failed_write_changes_nothing_and_names_the_path(
        self, files: Files, root: Path
    ) -> None:
        files.private_dir(root / "directory")
        files.write(root / "directory" / "kept", b"kept")
        files.write(root / "plain", b"plain")
        for path, reason in (
            (root / "directory", "Is a directory"),
            (root / "absent" / "file", "No such file or directory"),
            (root / "plain" / "file", "Not a directory"),
        ):
            with pytest.raises(SecureTransportError, match=reason) as refused:
                files.write(path, b"x")
            assert refused.value.fields["path"] == str(path)
        assert files.entries(root) == ["directory", "plain"]
        assert files.read(root / "directory" / "kept") == b"kept"

    def test_directory_cannot_be_read_as_a_file(self, files: Files, root: Path) -> None:
        with pytest.raises(SecureTransportError, match="cannot read file"):
            files.read(root)

    def test_path_below_a_file_cannot_be_read(self, files: Files, root: Path) -> None:
        files.write(root / "file", b"")
        with pytest.raises(SecureTransportError, match="Not a directory"):
            files.read(root / "file" / "deeper")

    def test_directory_is_made_with_its_parents_and_stays_private(
        self, files: Files, root: Path, mode_of: ModeOf
    ) -> None:
        path = root / "a" / "b"
        assert files.private_dir(path) == path
        files.write(path / "file", b"kept")
        assert files.private_dir(path) == path
        assert mode_of(path) == 0o700
        assert files.read(path / "file") == b"kept"

    def test_open_directory_is_closed_to_others(
        self, files: Files, root: Path, mode_of: ModeOf
    ) -> None:
        assert mode_of(root) & 0o077 != 0, "the fixture gives an open one"
        files.private_dir(root)
        assert mode_of(root) == 0o700

    def test_file_in_place_of_a_directory_is_an_error(self, files: Files, root: Path) -> None:
        files.write(root / "file", b"")
        for path in (root / "file", root / "file" / "deeper"):
            with pytest.raises(SecureTransportError, match="cannot make private directory"):
                files.private_dir(path)

    def test_entries_are_sorted_and_not_of_deeper_directories(
        self, files: Files, root: Path
    ) -> None:
        assert files.entries(root) == []
        files.private_dir(root / "b")
        files.write(root / "b" / "inner", b"")
        files.write(root / "a", b"")
        assert files.entries(root) == ["a", "b"]
        assert files.entries(root / "absent") == []

    def test_entries_of_a_file_are_an_error(self, files: Files, root: Path) -> None:
        files.write(root / "file", b"")
        with pytest.raises(SecureTransportError, match="cannot list directory"):
            files.entries(root / "file")

    def test_file_is_read_through_links(self, files: Files, root: Path) -> None:
        files.private_dir(root / "sets" / "1")
        files.write(root / "sets" / "1" / "key", b"first")
        files.link(root / "current", Path("sets/1"))
        files.link(root / "key", Path("current/key"))
        assert files.read(root / "key") == b"first"
        assert files.link_target(root / "key") == Path("current/key")

    def test_link_switches_all_that_is_below_it(self, files: Files, root: Path) -> None:
        for name in ("1", "2"):
            files.private_dir(root / name)
            files.write(root / name / "key", name)
        files.link(root / "current", Path("1"))
        files.link(root / "current", root / "2")
        assert files.read(root / "current" / "key") == b"2"
        assert files.entries(root / "current") == ["key"]

    def test_link_replaces_a_file_and_write_replaces_a_link(self, files: Files, root: Path) -> None:
        files.write(root / "target", b"target")
        files.write(root / "name", b"file")
        files.link(root / "name", Path("target"))
        assert files.read(root / "name") == b"target"
        files.write(root / "name", b"file again")
        assert files.link_target(root / "name") is None
        assert files.read(root / "target") == b"target"

    def test_link_in_place_of_a_directory_is_an_error(self, files: Files, root: Path) -> None:
        files.private_dir(root / "directory")
        with pytest.raises(SecureTransportError, match="cannot make link"):
            files.link(root / "directory", Path("elsewhere"))
        with pytest.raises(SecureTransportError, match="cannot make link"):
            files.link(root / "absent" / "link", Path("elsewhere"))
        assert files.entries(root) == ["directory"]

    def test_link_to_nothing_reads_as_none(self, files: Files, root: Path) -> None:
        files.link(root / "link", Path("absent"))
        assert files.read(root / "link") is None
        assert files.link_target(root / "link") == Path("absent")

    def test_links_in_a_circle_are_an_error(self, files: Files, root: Path) -> None:
        files.link(root / "a", Path("b"))
        files.link(root / "b", Path("a"))
        with pytest.raises(SecureTransportError, match="symbolic links"):
            files.read(root / "a")

    def test_what_is_no_link_has_no_target(self, files: Files, root: Path) -> None:
        files.write(root / "file", b"")
        for name in ("file", "absent", "."):
            assert files.link_target(root / name) is None

    def test_removed_directory_is_gone_with_all_in_it(self, files: Files, root: Path) -> None:
        files.private_dir(root / "a" / "b")
        files.write(root / "a" / "b" / "file", b"")
        files.remove(root / "a")
        assert files.entries(root) == []
        assert files.read(root / "a" / "b" / "file") is None

    def test_removed_link_leaves_its_target(self, files: Files, root: Path) -> None:
        files.private_dir(root / "target")
        files.write(root / "target" / "file", b"kept")
        files.link(root / "link", Path("target"))
        files.remove(root / "link")
        assert files.entries(root) == ["target"]
        assert files.read(root / "target" / "file") == b"kept"

    def test_removing_what_is_not_there_is_fine(self, files: Files, root: Path) -> None:
        files.remove(root / "absent")
        files.remove(root / "absent" / "deeper")
        assert files.entries(root) == []
