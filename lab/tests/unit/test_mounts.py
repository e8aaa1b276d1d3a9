"""What `down` must unmount before it removes files."""

from __future__ import annotations

from pathlib import Path

from lab.down import mounts_below

MOUNTINFO = r"""23 1 254:0 / / rw,relatime - ext4 /dev/vda rw
30 23 0:40 / /var/lib/lab/c1/root rw - overlay overlay rw
31 30 254:0 /cache /var/lib/lab/c1/root/with\040space rw - ext4 /dev/vda rw
32 23 0:41 / /var/lib/lab/c10 rw - tmpfs tmpfs rw
33 23 0:42 / /var/lib/lab/c1 rw - tmpfs tmpfs rw
"""


def test_the_latest_mount_comes_first_and_names_are_whole() -> None:
    assert mounts_below(Path("/var/lib/lab/c1"), MOUNTINFO) == [
        Path("/var/lib/lab/c1"),
        Path("/var/lib/lab/c1/root/with space"),
        Path("/var/lib/lab/c1/root"),
    ]


def test_nothing_mounted_is_nothing_to_do() -> None:
    assert mounts_below(Path("/var/lib/lab/c2"), MOUNTINFO) == []
