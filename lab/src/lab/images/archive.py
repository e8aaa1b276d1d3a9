"""Image archives: write one from the parts of an image, and read what is in one."""

from __future__ import annotations

import hashlib
import io
import json
import tarfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any, cast

from lab.errors import LabError

_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"
_INDEX = "index.json"
_DOCKER_MANIFEST = "manifest.json"
_BLOBS = "blobs/sha256"
_DOCKER_HUB = "docker.io"


def write(parts: Path, reference: str, target: Path) -> None:
    """Write the archive of one image, in OCI's form; the same image gives the same bytes.

    Args:
        parts: A folder with ``manifest.json``, and blobs under their sha256.
        reference: The image's name, such as ``lab.local/base:1``.
        target: The archive.
    """
    manifest = (parts / _DOCKER_MANIFEST).read_bytes()
    told = json.loads(manifest)
    name = hashlib.sha256(manifest).hexdigest()
    index = {
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [
            {
                "mediaType": told["mediaType"],
                "digest": f"sha256:{name}",
                "size": len(manifest),
                "annotations": {_NAME: reference},
            }
        ],
    }
    blobs = {part["digest"].removeprefix("sha256:") for part in (told["config"], *told["layers"])}
    with tarfile.open(target, "w", format=tarfile.GNU_FORMAT) as tar:
        # The index comes first, so that reading it does not need the rest.
        _add(tar, _INDEX, json.dumps(index).encode())
        _add(tar, "oci-layout", b'{"imageLayoutVersion": "1.0.0"}')
        _add(tar, f"{_BLOBS}/{name}", manifest)
        for blob in sorted(blobs):
            entry = tarfile.TarInfo(f"{_BLOBS}/{blob}")
            entry.size = (parts / blob).stat().st_size
            with (parts / blob).open("rb") as content:
                tar.addfile(entry, content)


def digest(file: Path) -> str:
    """Return the sha256 of an archive's image, as containerd shows it, in hex.

    Raises:
        LabError: The file is no archive of one OCI image.
    """
    manifests = _read(file).get(_INDEX, {}).get("manifests", [])
    if len(manifests) != 1:
        raise LabError(f"{file} is not an archive of one OCI image")
    return str(manifests[0]["digest"]).removeprefix("sha256:")


def references(file: Path) -> list[str]:
    """Return the full names of the images in an archive of OCI's or Docker's form.

    Raises:
        LabError: The file is no image archive, or has an image without a full name.
    """
    found = _read(file)
    if _INDEX in found:
        rows = [row.get("annotations") or {} for row in found[_INDEX]["manifests"]]
        names = [row.get(_CONTAINERD_NAME) or row.get(_NAME) or "" for row in rows]
    else:
        tags = [row.get("RepoTags") or [""] for row in found[_DOCKER_MANIFEST]]
        names = [_with_registry(tag) for row in tags for tag in row]
    if not names or not all("/" in name and ":" in name for name in names):
        remedy = "save it with its name and tag, such as lab.local/mine:1"
        raise LabError(f"{file} has an image without a full name", remedy)
    return names


def _read(file: Path) -> dict[str, Any]:
    """Return the index or the manifest of an archive, under its file name.

    An archive may have both; then the index counts, as it does for containerd.
    """
    try:
        with tarfile.open(file) as tar:
            found: dict[str, Any] = {}
            for entry in cast("Iterable[tarfile.TarInfo]", tar):
                name = entry.name.removeprefix("./")
                if name in (_INDEX, _DOCKER_MANIFEST) and (content := tar.extractfile(entry)):
                    found[name] = json.load(content)
                if _INDEX in found:
                    break
    except (OSError, tarfile.TarError, ValueError) as error:
        raise LabError(f"{file} cannot be read as an image archive: {error}") from error
    if not found:
        raise LabError(f"{file} is no image archive", "make one with `buildah push … oci-archive:`")
    return found


def _add(tar: tarfile.TarFile, name: str, content: bytes) -> None:
    entry = tarfile.TarInfo(name)
    entry.size = len(content)
    tar.addfile(entry, io.BytesIO(content))


def _with_registry(tag: str) -> str:
    """Return a Docker tag as containerd names it: without a registry it is Docker's own."""
    first, slash, _ = tag.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return tag
    return f"{_DOCKER_HUB}/{tag}" if slash else f"{_DOCKER_HUB}/library/{tag}" if tag else ""
