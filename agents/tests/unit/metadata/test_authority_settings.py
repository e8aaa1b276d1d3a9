"""The authority's configuration: what is gone is refused by name, with the way out."""

from __future__ import annotations

from pathlib import Path

import pytest

from securetransport.core.base.errors import ConfigError
from securetransport.metadata.settings import MetadataSettings


def test_the_age_of_dead_letters_is_the_acls_matter(tmp_path: Path) -> None:
    file = tmp_path / "metadata.toml"
    file.write_text("dead_letter_seconds = 3600\n")
    with pytest.raises(ConfigError) as caught:
        MetadataSettings.load(["--config", str(file)])
    (line,) = caught.value.problems
    assert line.startswith(f"{file}: dead_letter_seconds: is gone, remove it")
    assert "dead_letters.max_age_seconds" in line
