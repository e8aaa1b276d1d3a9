"""Log lines: JSON, one a line, no secrets."""

from __future__ import annotations

import json
import logging

import pytest

from securetransport.runtime.logs import MASK, configure, get_logger


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_line_is_json_with_event_level_and_time(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    get_logger(agent="demo").info("leaf_renewed", epoch=12)
    (line,) = lines(capsys)
    assert line["event"] == "leaf_renewed"
    assert (line["agent"], line["epoch"], line["level"]) == ("demo", 12, "info")
    assert str(line["timestamp"]).endswith("Z")


def test_level_filters(capsys: pytest.CaptureFixture[str]) -> None:
    configure("warning", "json")
    get_logger().info("quiet")
    get_logger().warning("loud")
    assert [line["event"] for line in lines(capsys)] == ["loud"]


def test_field_named_as_a_secret_is_masked(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    fields = {"client_token": "s.abc", "secret_id": "x", "token_file": "/run/file"}
    get_logger().info("login", **fields)
    (line,) = lines(capsys)
    assert (line["client_token"], line["secret_id"]) == (MASK, MASK)
    assert line["token_file"] == fields["token_file"]


def test_foreign_libraries_log_in_the_same_form(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    logging.getLogger("nats").warning("odd %s", "thing")
    logging.getLogger("nats").info("chatter")
    (line,) = lines(capsys)
    assert (line["event"], line["level"]) == ("odd thing", "warning")


def test_exception_becomes_a_field_of_its_line(capsys: pytest.CaptureFixture[str]) -> None:
    configure("info", "json")
    try:
        _ = 1 // int("0")
    except ZeroDivisionError:
        get_logger().exception("task_failed")
    (line,) = lines(capsys)
    assert "ZeroDivisionError" in str(line["exception"])
