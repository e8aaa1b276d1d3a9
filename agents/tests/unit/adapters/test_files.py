"""Files: the contract on this machine and on the fake, and what only one of them can show."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest

from files_contract import FilesContract, ModeOf
from securetransport.adapters.files import LocalFiles
from securetransport.core.base.errors import SecureTransportError
from securetransport.testing import FakeFiles, ProcessDied


class TestLocalFiles(FilesContract):
    """On a real file system."""

    @pytest.fixture
    def files(self) -> LocalFiles:
        return LocalFiles()

    @pytest.fixture
    def root(self, tmp_path: Path) -> Path:
        tmp_path.chmod(0o755)
        return tmp_path

    @pytest.fixture
    def mode_of(self) -> ModeOf:
        return lambda path: stat.S_IMODE(path.stat().st_mode)

    def test_who_holds_the_old_file_open_goes_on_reading_it(
        self, files: LocalFiles, root: Path
    ) -> None:
        files.write(root / "file", b"old")
        with (root / "file").open("rb") as reader:
            files.write(root / "file", b"new")
            assert reader.read() == b"old"

    def test_what_an_interrupted_run_left_is_in_nobodys_way(
        self, files: LocalFiles, root: Path
    ) -> None:
        (root / ".link.link").write_text("left over")
        files.link(root / "link", Path("target"))
        assert files.entries(root) == ["link"]


class TestFakeFiles(FilesContract):
    """In memory."""

    @pytest.fixture
    def files(self, root: Path) -> FakeFiles:
        made = FakeFiles()
        made.make_dir(root)
        return made

    @pytest.fixture
    def root(self) -> Path:
        return Path("/srv/test")

    @pytest.fixture
    def mode_of(self, files: FakeFiles) -> ModeOf:
        return files.mode

    def test_full_disk_refuses_and_keeps_what_is_there(self, files: FakeFiles, root: Path) -> None:
        files.write(root / "file", b"old")
        files.is_full = True
        with pytest.raises(SecureTransportError, match="No space left"):
            files.write(root / "file", b"new")
        with pytest.raises(SecureTransportError, match="No space left"):
            files.link(root / "link", Path("file"))
        with pytest.raises(SecureTransportError, match="No space left"):
            files.private_dir(root / "folder")
        assert files.entries(root) == ["file"]
        assert files.read(root / "file") == b"old"
        files.remove(root / "file")
        assert files.entries(root) == []

    def test_directory_of_another_user_is_refused(self, files: FakeFiles, root: Path) -> None:
        files.make_dir(root / "theirs", owner="somebody")
        with pytest.raises(SecureTransportError, match="another user"):
            files.private_dir(root / "theirs")

    def test_planned_failure_comes_first_and_once(self, files: FakeFiles, root: Path) -> None:
        files.failures.append(SecureTransportError("i/o error"))
        with pytest.raises(SecureTransportError, match="i/o error"):
            files.read(root / "file")
        assert files.read(root / "file") is None

    def test_process_dies_before_the_change_and_its_successor_finds_the_rest(
        self, files: FakeFiles, root: Path
    ) -> None:
        files.crash_before(2)
        files.write(root / "a", b"1")
        for name in ("b", "c"):
            with pytest.raises(ProcessDied):
                files.write(root / name, b"2")
        found = files.after_crash()
        assert found.entries(root) == ["a"]
        found.write(root / "b", b"3")
        assert files.read(root / "b") == b"3", "it is one file system"
        assert found.changes == [("write", root / "b")]
