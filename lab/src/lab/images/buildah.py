"""Build images with buildah: it runs in a Debian tree of its own, without a network or a daemon.

Its storage lasts as long as one call of the lab; what stays are the archives that are written from
what it exports. Times in images are zero and no label tells of the builder, so the same inputs give
the same digest.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lab.images.making import ALONE
from lab.run import run

_ENTER = Path(__file__).with_name("enter.sh")
_LIMIT_SECONDS = 600.0


@dataclass(frozen=True)
class Builder:
    """One use of buildah.

    Attributes:
        tree: The Debian tree ``builder``; it is not written to.
        folder: Contexts, storage and layout; buildah sees it as ``/lab``.
    """

    tree: Path
    folder: Path

    def context(self, name: str) -> Path:
        """Return the folder to put an image's Containerfile and inputs in."""
        return self.folder / "contexts" / name

    def build(self, name: str, reference: str) -> Path:
        """Build an image from its context.

        Returns:
            A folder with its parts: ``manifest.json``, and blobs under their sha256.

        Raises:
            LabError: buildah failed; its last lines are with it.
        """
        self._buildah(
            "build",
            "--isolation=chroot",
            "--pull=never",
            "--timestamp=0",
            "--identity-label=false",
            f"--tag={reference}",
            f"/lab/contexts/{name}",
        )
        # Without compression: every node would pay for it at once, on the same cores.
        parts = self.folder / "parts" / name
        parts.parent.mkdir(exist_ok=True)
        self._buildah("push", "--disable-compression", reference, f"dir:/lab/parts/{name}")
        return parts

    def take(self, archive: Path, reference: str) -> None:
        """Take an image that was built earlier from its archive, to build on it.

        Raises:
            LabError: buildah does not understand the archive.
        """
        copy = self.folder / "taken.tar"
        copy.hardlink_to(archive)
        self._buildah("pull", f"oci-archive:/lab/{copy.name}:{reference}")
        copy.unlink()

    def _buildah(self, *arguments: str) -> str:
        (self.folder / "tmp").mkdir(exist_ok=True)
        storage = ["--root=/lab/storage", "--runroot=/run/buildah", "--storage-driver=overlay"]
        variables = ["PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "TMPDIR=/lab/tmp"]
        return run(
            [
                *ALONE,
                *("--net", "--ipc", "--uts"),
                _ENTER,
                self.tree,
                self.folder,
                *("env", "--ignore-environment", *variables),
                *("buildah", *storage, *arguments),
            ],
            limit_seconds=_LIMIT_SECONDS,
        )
