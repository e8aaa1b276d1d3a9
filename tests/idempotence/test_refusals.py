"""What ``site.yml`` refuses before anything is made, and what it never touches."""

from __future__ import annotations

from pathlib import Path

import pytest
from local_platform import Platform, free_port_base

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
def platform(tmp_path: Path) -> Platform:
    """A platform that nobody builds."""
    return Platform(tmp_path / "state", free_port_base())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"local_platform_minimum_free_bytes": 2**60}, "MiB are needed"),
        ({"local_platform_python": "/bin/true"}, "/bin/true"),
        ({"local_platform_programs": ["no-such-program"]}, "no-such-program is missing"),
        ({"local_platform_profile": "fast"}, "local_platform_profile"),
    ],
)
def test_an_unfit_machine_is_refused_before_anything_is_made(
    platform: Platform, variables: dict[str, object], words: str
) -> None:
    refused = platform.play("site", **variables)
    assert refused.exit_code != 0
    assert words in refused.text
    assert not platform.state_dir.exists()
    assert platform.processes() == []


def test_a_path_too_long_for_a_socket_is_refused(platform: Platform) -> None:
    long = Platform(platform.state_dir / ("x" * 100), platform.port_base)
    refused = long.play("site")
    assert refused.exit_code != 0
    assert "too long for a Unix socket" in refused.text


def test_a_directory_of_somebody_else_is_neither_used_nor_removed(platform: Platform) -> None:
    platform.state_dir.mkdir()
    thesis = platform.state_dir / "thesis"
    thesis.write_text("years of work", encoding="utf-8")
    refused = platform.play("site")
    assert refused.exit_code != 0
    assert "was not made by this role" in refused.text
    spared = platform.play("teardown")
    assert spared.exit_code == 0, spared.text[-3000:]
    assert spared.changed == 0
    assert thesis.exists()


def test_check_mode_of_nothing_makes_nothing(platform: Platform) -> None:
    checked = platform.play("site", "--check")
    assert checked.exit_code == 0, checked.text[-3000:]
    assert checked.changed > 0
    assert not platform.state_dir.exists()
