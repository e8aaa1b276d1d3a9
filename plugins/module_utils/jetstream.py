# Copyright (c) 2026, SecureTransport contributors
# GNU General Public License v3.0+ (see https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams and durables of JetStream: what is there, what is wanted, one call between them.

Rules:

1. Fields are those of JetStream's API; durations may also be text such as ``90s``.
2. A field that is not given has the server's default, so a change made by hand is taken back.
3. What the server adds by itself (metadata, the default duplicate window) is not compared.
4. A field that cannot change on an existing object is an error before any call changes something.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.securetransport.platform.plugins.module_utils.errors import (
    ImmutableFieldError,
    PlatformError,
)
from ansible_collections.securetransport.platform.plugins.module_utils.nats import (
    JetStream,
    with_jetstream,
)
from ansible_collections.securetransport.platform.plugins.module_utils.runner import Outcome
from ansible_collections.securetransport.platform.plugins.module_utils.values import (
    nanoseconds,
    subject_token,
)

_DURATIONS: Final = frozenset(
    {"max_age", "duplicate_window", "ack_wait", "backoff", "inactive_threshold"}
)
_ADDED_BY_SERVER: Final = frozenset({"metadata", "duplicate_window"})
# What a server fills in where nothing is said; every other field's default is empty or -1.
_STREAM_DEFAULTS: Final[dict[str, Any]] = {
    "retention": "limits",
    "storage": "file",
    "discard": "old",
    "num_replicas": 1,
    "compression": "none",
}
_CONSUMER_DEFAULTS: Final[dict[str, Any]] = {
    "deliver_policy": "all",
    "ack_policy": "none",
    "ack_wait": 30_000_000_000,
    "max_ack_pending": 1000,
    "max_waiting": 512,
    "replay_policy": "instant",
}
_STREAM_FIXED: Final = ("storage", "retention", "max_consumers", "persist_mode", "mirror")
_STREAM_ONE_WAY: Final = ("deny_delete", "deny_purge", "sealed")
_CONSUMER_FIXED: Final = ("deliver_policy", "ack_policy", "replay_policy", "max_waiting")
_NOTHING: Final[tuple[Any, ...]] = (None, False, 0, -1, "", [], {})


def ensure_stream(module: AnsibleModule) -> Outcome:
    """Make a stream exist with exactly the fields given, or not exist.

    Raises:
        PlatformError: A field cannot change, or JetStream refuses.
    """
    name = subject_token(module.params["name"], option="name")

    async def work(jetstream: JetStream) -> Outcome:
        current = await jetstream.config_of(f"STREAM.INFO.{name}")
        if module.params["state"] == "absent":
            if current is not None and not module.check_mode:
                await jetstream.call(f"STREAM.DELETE.{name}")
            return Outcome(changed=current is not None, before=_shown(current))
        wanted = {**_in_nanoseconds(module.params["config"]), "name": name}
        differences = _differences(current, wanted, _STREAM_DEFAULTS)
        if current is not None:
            _refuse_fixed(f"stream {name}", _STREAM_FIXED, differences)
            for field in _STREAM_ONE_WAY:
                if field in differences and current.get(field):
                    raise ImmutableFieldError(f"stream {name}", field, *differences[field])
        if (current is None or differences) and not module.check_mode:
            verb = "CREATE" if current is None else "UPDATE"
            await jetstream.call(f"STREAM.{verb}.{name}", wanted)
        return _outcome(current, differences)

    return with_jetstream(module, work)


def ensure_consumer(module: AnsibleModule) -> Outcome:
    """Make a durable pull consumer exist with exactly the fields given, or not exist.

    Raises:
        PlatformError: A field cannot change, the stream is missing, or JetStream refuses.
    """
    stream = subject_token(module.params["stream"], option="stream")
    name = subject_token(module.params["name"], option="name")

    async def work(jetstream: JetStream) -> Outcome:
        current = await jetstream.config_of(f"CONSUMER.INFO.{stream}.{name}")
        if module.params["state"] == "absent":
            if current is not None and not module.check_mode:
                await jetstream.call(f"CONSUMER.DELETE.{stream}.{name}")
            return Outcome(changed=current is not None, before=_shown(current))
        wanted = {
            **_in_nanoseconds(module.params["config"]),
            "name": name,
            "durable_name": name,
        }
        if wanted.get("deliver_subject"):
            raise PlatformError("config.deliver_subject: only pull consumers are made")
        differences = _differences(current, wanted, _CONSUMER_DEFAULTS)
        if current is not None:
            _refuse_fixed(f"consumer {stream}.{name}", _CONSUMER_FIXED, differences)
        if (current is None or differences) and not module.check_mode:
            body = {
                "stream_name": stream,
                "config": wanted,
                "action": "create" if current is None else "update",
            }
            await jetstream.call(f"CONSUMER.CREATE.{stream}.{name}", body)
        return _outcome(current, differences)

    return with_jetstream(module, work)


def _in_nanoseconds(config: Mapping[str, Any]) -> dict[str, Any]:
    converted = dict(config)
    for field in _DURATIONS & set(config):
        value = config[field]
        option = f"config.{field}"
        converted[field] = (
            [nanoseconds(entry, option=option) for entry in value]
            if isinstance(value, list)
            else nanoseconds(value, option=option)
        )
    return converted


def _differences(
    current: Mapping[str, Any] | None, wanted: Mapping[str, Any], defaults: Mapping[str, Any]
) -> dict[str, tuple[Any, Any]]:
    """Return each field that differs with its value before and after."""
    if current is None:
        return {field: (None, value) for field, value in wanted.items()}
    target = {field: defaults.get(field) for field in current if field not in _ADDED_BY_SERVER}
    target.update(wanted)
    return {
        field: (current.get(field), value)
        for field, value in target.items()
        if not _is_same(current.get(field), value)
    }


def _is_same(one: Any, other: Any) -> bool:
    """Compare two values; nothing said and nothing set are the same."""
    if one in _NOTHING and other in _NOTHING:
        return True
    if isinstance(one, list) and isinstance(other, list) and all(isinstance(x, str) for x in one):
        return sorted(one) == sorted(other)
    return bool(one == other)


def _refuse_fixed(
    what: str, fixed: tuple[str, ...], differences: Mapping[str, tuple[Any, Any]]
) -> None:
    for field in fixed:
        if field in differences:
            raise ImmutableFieldError(what, field, *differences[field])


def _outcome(current: Mapping[str, Any] | None, differences: dict[str, tuple[Any, Any]]) -> Outcome:
    is_there = current is not None
    return Outcome(
        changed=not is_there or bool(differences),
        before={field: pair[0] for field, pair in differences.items()} if is_there else {},
        after={field: pair[1] for field, pair in differences.items()},
    )


def _shown(current: Mapping[str, Any] | None) -> dict[str, Any]:
    return {field: value for field, value in (current or {}).items() if field != "metadata"}
