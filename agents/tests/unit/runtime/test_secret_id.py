"""What an agent says of its secret-id, which it never sees."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry

from securetransport.runtime.metrics import SecretIdMetrics
from securetransport.runtime.secret_id import SecretIdStatus

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def status(path: Path, **values: object) -> SecretIdStatus:
    path.write_text(json.dumps(values))
    return SecretIdStatus(path, lambda: NOW)


@pytest.mark.parametrize("state", ["ok", "unknown"])
def test_a_good_secret_id_is_no_reason(tmp_path: Path, state: str) -> None:
    assert status(tmp_path / "s", state=state, failures=0).not_ready_reasons() == []


def test_one_that_ended_is_named_with_its_end(tmp_path: Path) -> None:
    found = status(tmp_path / "s", state="over", expires_at="2026-01-30T11:30:00Z")
    assert found.not_ready_reasons() == ["secret-id is over since 2026-01-30T11:30Z; run site.yml"]


def test_metrics_count_down_to_the_end(tmp_path: Path) -> None:
    ends = (NOW + timedelta(hours=1)).isoformat()
    registry = CollectorRegistry()
    found = status(tmp_path / "s", state="ok", expires_at=ends, failures=3)
    SecretIdMetrics(registry).follow(found)
    assert registry.get_sample_value("securetransport_secret_id_seconds_left") == 3600
    assert registry.get_sample_value("securetransport_secret_id_failing") == 3


@pytest.mark.parametrize("content", ["", "{", '{"state": "<script>"}', "[]"])
def test_a_file_that_says_nothing_is_no_reason(tmp_path: Path, content: str) -> None:
    (tmp_path / "s").write_text(content)
    registry = CollectorRegistry()
    found = SecretIdStatus(tmp_path / "s", lambda: NOW)
    SecretIdMetrics(registry).follow(found)
    assert found.not_ready_reasons() == []
    left = registry.get_sample_value("securetransport_secret_id_seconds_left")
    assert left is not None
    assert isnan(left)
