"""What ``securetransport status`` shows: the rotation, its gates, the census, members and keys."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from securetransport.core.base.names import InstanceId
from securetransport.core.base.profile import Profile
from securetransport.core.decisions.ca import gates
from securetransport.core.decisions.ca.observation import MemberAttestation
from securetransport.core.decisions.ca.record import CaEpoch
from securetransport.core.decisions.topic_keys import wanted_epochs
from securetransport.core.decisions.wait import Wait
from securetransport.core.formats.attestation import KeeperAttestation
from securetransport.core.formats.server_report import ServerObservation
from securetransport.metadata.ca import CaState
from securetransport.metadata.keys import KeyRotation


def status(state: CaState, keys: KeyRotation, profile: Profile) -> dict[str, Any]:
    """Return the whole picture as JSON-ready values; instants are ISO 8601 in UTC."""
    seen, record = state.observation, state.record
    counted = gates.census(seen)
    return {
        "at": seen.now.isoformat(),
        "profile": profile.name,
        "holder": record.holder.instance if record.holder else None,
        "ca": {
            "active": record.active.epoch if record.active else None,
            "rotations_completed": record.completed,
            "epochs": [_epoch(entry, counted) for entry in record.epochs],
            "next": _step(state),
            "excuses": [excuse.model_dump(mode="json") for excuse in record.excuses],
            "bundle": _bundle(state),
            "renewal": record.renewal.model_dump(mode="json") if record.renewal else None,
        },
        "census": {
            "by_epoch": counted.by_epoch,
            "unknown": counted.unknown,
            "foreign": counted.foreign,
            "complete": counted.is_complete,
        },
        "servers": _servers(state),
        "members": [
            _member(name, member, seen.now) for name, member in sorted(seen.members.items())
        ],
        "keys": {
            "epoch": profile.key_schedule.number_at(seen.now),
            "ready": list(wanted_epochs(profile, seen.now)),
            "made": len(keys.completed),
            "topic_keys": len(keys.topic_keys()),
            "directory": str(keys.directory.document.version) if keys.directory else None,
        },
    }


def _epoch(entry: CaEpoch, counted: gates.Census) -> dict[str, Any]:
    issuer = entry.issuer
    return {
        "epoch": entry.epoch,
        "attempt": entry.attempt,
        "state": entry.state,
        "issuer": issuer.common_name if issuer else None,
        "not_after": issuer.not_after.isoformat() if issuer else None,
        "connections": counted.by_epoch.get(entry.epoch, 0),
        "history": [{"state": step.state, "at": step.at.isoformat()} for step in entry.history],
    }


def _step(state: CaState) -> dict[str, Any]:
    step = state.step
    if not isinstance(step, Wait):
        return {"step": type(step).__name__.lower(), "waits_for": [], "epoch": None}
    return {
        "step": step.step,
        "epoch": step.epoch,
        "waits_for": list(step.waits_for),
        "since": state.waiting_since.isoformat() if state.waiting_since else None,
        "until": step.until.isoformat() if step.until else None,
    }


def _bundle(state: CaState) -> dict[str, Any] | None:
    published = state.observation.published
    if published is None:
        return None
    return {
        "version": str(published.version),
        "digest": published.bundle.digest,
        "created_at": published.created_at.isoformat(),
        "not_after": published.not_after.isoformat(),
    }


def _servers(state: CaState) -> list[dict[str, Any]]:
    seen = state.observation
    reported = {entry.server: entry for entry in seen.report.servers} if seen.report else {}
    return [
        _server(name, keeper, reported.get(name)) for name, keeper in sorted(seen.keepers.items())
    ]


def _server(
    name: str, keeper: KeeperAttestation | None, found: ServerObservation | None
) -> dict[str, Any]:
    connections = found.connections if found else None
    return {
        "server": name,
        "digest": keeper.digest if keeper else None,
        "leaf_epoch": keeper.leaf_epoch if keeper else None,
        "leaf_not_after": keeper.leaf_not_after.isoformat() if keeper else None,
        "is_served": keeper.is_served if keeper else None,
        "reachable": found.reachable if found else None,
        "client_names": found.client_names if found else None,
        "route_names": found.route_names if found else None,
        "connections": len(connections) if connections is not None else None,
        "refused_routes": [
            refused.model_dump(mode="json") for refused in (found.refused_routes if found else ())
        ],
    }


def _member(name: InstanceId, member: MemberAttestation, now: datetime) -> dict[str, Any]:
    return {
        "instance": name,
        "digest": member.attestation.digest,
        "bundle_version": str(member.attestation.bundle_version),
        "leaf_epochs": sorted(set(member.leaf_epochs.values())),
        "attested_seconds_ago": round((now - member.received_at).total_seconds(), 1),
    }
