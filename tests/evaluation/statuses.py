"""Statuses as the authority answers them, as small as the readers of a run need."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

START = 1_000_000.0
DIGEST = "d" * 64


def iso(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()


def epoch(number: int, **steps: float) -> dict[str, Any]:
    """A CA epoch whose states were reached at the given instants, in order."""
    history = [{"state": state, "at": iso(at)} for state, at in steps.items()]
    return {
        "epoch": number,
        "attempt": 0,
        "state": history[-1]["state"],
        "issuer": f"nats-int e{number} 0",
        "not_after": None,
        "connections": 0,
        "history": history,
    }


def status(at: float, *epochs: dict[str, Any], **changes: Any) -> dict[str, Any]:
    active = [entry["epoch"] for entry in epochs if entry["state"] == "active"]
    ca = {
        "active": active[0] if active else None,
        "rotations_completed": 0,
        "epochs": list(epochs),
        "next": {"step": "wait", "epoch": None, "waits_for": [], "until": None},
        "excuses": [],
        "bundle": {"digest": DIGEST},
        "renewal": None,
        **changes.pop("ca", {}),
    }
    return {
        "at": iso(at),
        "profile": "compressed",
        "holder": "metadata/1",
        "ca": ca,
        "census": {"by_epoch": {}, "unknown": 0, "foreign": 0, "complete": True},
        "servers": [server("nats-1"), server("nats-2", digest="e" * 64)],
        "members": [member("gatekeeper/1"), member("watcher/1", digest="e" * 64)],
        "keys": {"epoch": 7, "ready": [], "made": 1, "topic_keys": 1, "directory": None},
        **changes,
    }


def server(name: str, digest: str = DIGEST) -> dict[str, Any]:
    return {
        "server": name,
        "digest": digest,
        "leaf_epoch": 1,
        "leaf_not_after": None,
        "is_served": True,
        "reachable": True,
        "client_names": None,
        "route_names": None,
        "connections": 1,
    }


def member(instance: str, digest: str = DIGEST) -> dict[str, Any]:
    return {
        "instance": instance,
        "digest": digest,
        "bundle_version": "0.1",
        "leaf_epochs": [1],
        "attested_seconds_ago": 1.0,
    }
