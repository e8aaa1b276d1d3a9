"""docs/telemetry.md lists every metric of the code, and no other."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
import re
from pathlib import Path

from prometheus_client import CollectorRegistry

import securetransport
import securetransport_examples

ROOT = Path(__file__).resolve().parents[3]
PAGE = ROOT / "docs" / "telemetry.md"
METRIC_MODULES = ("telemetry", "metrics")


def metrics_in_code() -> set[str]:
    """Make every class of metrics on one registry, and ask it what there is."""
    registry = CollectorRegistry()
    found: set[str] = set()
    packages = (securetransport, securetransport_examples)
    modules = (
        entry
        for package in packages
        for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    )
    for entry in modules:
        if entry.name.rsplit(".", 1)[-1] not in METRIC_MODULES:
            continue
        module = importlib.import_module(entry.name)
        for _, kind in inspect.getmembers(module, inspect.isclass):
            if kind.__module__ == entry.name and issubclass(kind, object):
                parameters = list(inspect.signature(kind).parameters.values())
                needed = [one.name for one in parameters if one.default is one.empty]
                if needed == ["registry"]:
                    kind(registry)
    for metric in registry.collect():
        found.add(f"{metric.name}_total" if metric.type == "counter" else metric.name)
    found.add("securetransport_build_info")
    return found


def metrics_on_page() -> set[str]:
    return set(re.findall(r"^\| `([a-z_]+)`", PAGE.read_text(encoding="utf-8"), re.MULTILINE))


def test_every_metric_is_documented() -> None:
    assert metrics_in_code() - metrics_on_page() == set()


def test_no_metric_is_documented_that_does_not_exist() -> None:
    assert metrics_on_page() - metrics_in_code() == set()
