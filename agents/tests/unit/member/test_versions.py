from __future__ import annotations

from pathlib import Path

import pytest

from securetransport.core.base.errors import ConfigError
from securetransport.core.formats.body import DocumentKind, Version
from securetransport.member.versions import FILE_NAME, VersionStore

KIND = DocumentKind.TRUST_BUNDLE


async def test_highest_version_survives_a_restart(tmp_path: Path) -> None:
    store = VersionStore(tmp_path)
    await store.accept(KIND, Version(incarnation=1, counter=2))
    await store.accept(KIND, Version(incarnation=0, counter=9))
    again = VersionStore(tmp_path)
    assert again.newest(KIND) == Version(incarnation=1, counter=2)
    assert again.newest(DocumentKind.DIRECTORY) is None


@pytest.mark.parametrize("text", ["{", "[]", '{"trust-bundle": 3}', '{"nothing": {}}'])
async def test_damaged_file_is_refused_not_forgotten(tmp_path: Path, text: str) -> None:
    (tmp_path / FILE_NAME).write_text(text)
    with pytest.raises(ConfigError):
        VersionStore(tmp_path)
