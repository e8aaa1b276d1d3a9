"""Delete a stream or a durable behind Ansible's back, or put back what was there.

Usage: ``bus.py STATE_DIR delete STREAM [DURABLE]`` prints what was deleted as JSON;
``bus.py STATE_DIR restore`` reads that from its input.
"""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import tempfile
import tomllib
from pathlib import Path
from types import ModuleType
from typing import Any

import nats
from nats.js import JetStreamContext
from nats.js.api import ConsumerConfig, StreamConfig

ROOT = Path(__file__).resolve().parents[2]


def _molecule() -> ModuleType:
    """Return the helper of the role tests, which knows how to connect as ``admin``."""
    path = ROOT / "molecule" / "common" / "files" / "bus.py"
    spec = importlib.util.spec_from_file_location("molecule_bus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


async def delete(js: JetStreamContext, stream: str, durable: str | None) -> dict[str, Any]:
    """Delete one stream with all its durables, or one durable."""
    consumers = [entry.config.as_dict() for entry in await js.consumers_info(stream)]
    if durable is not None:
        await js.delete_consumer(stream, durable)
        kept = [entry for entry in consumers if entry["durable_name"] == durable]
        return {"stream": stream, "config": None, "consumers": kept}
    config = (await js.stream_info(stream)).config.as_dict()
    await js.delete_stream(stream)
    return {"stream": stream, "config": config, "consumers": consumers}


async def restore(js: JetStreamContext, gone: dict[str, Any]) -> None:
    """Make it again."""
    if gone["config"] is not None:
        await js.add_stream(StreamConfig.from_response(gone["config"]))
    for entry in gone["consumers"]:
        await js.add_consumer(gone["stream"], ConsumerConfig.from_response(entry))


async def main() -> None:
    """Connect, do one thing."""
    state_dir, action, *names = sys.argv[1:]
    config = Path(state_dir) / "authority" / "admin" / "cli.toml"
    command = str(Path(sys.executable).with_name("securetransport"))
    servers = tomllib.loads(config.read_text(encoding="utf-8"))["nats_servers"]
    with tempfile.TemporaryDirectory() as folder:
        context = _molecule().credentials(command, str(config), folder)
        client = await nats.connect(servers, tls=context, inbox_prefix="_INBOX.admin")
    js = client.jetstream(timeout=10)
    try:
        if action == "delete":
            gone = await delete(js, names[0], names[1] if names[1:] else None)
            sys.stdout.write(json.dumps(gone))
        else:
            await restore(js, json.loads(sys.stdin.read()))
    finally:
        await client.close()


if __name__ == "__main__":
    asyncio.run(main())
