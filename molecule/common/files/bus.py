"""Ask the message servers as ``admin`` for their streams, or change them behind Ansible's back.

Usage: ``bus.py show|drift SECURETRANSPORT CONFIG``: the command ``securetransport`` and its
configuration. ``show`` prints JSON: age, size, replicas and durables of every stream. ``drift``
halves the size of AUTH_STREAM and deletes the durable of GATEKEEPER_STREAM. The certificate for it
lives for a minute, in a directory that is removed.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any

import nats
from nats.js import JetStreamContext


def credentials(command: str, config: str, folder: str) -> ssl.SSLContext:
    """Get a certificate of ``admin`` and return what TLS needs."""
    asked = [command, "admin", "leaf", "--config", config, "--out", folder]
    subprocess.run(asked, check=True, stdout=subprocess.DEVNULL)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The anchors are the live issuers, not the root above them.
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    context.load_verify_locations(f"{folder}/ca.crt")
    context.load_cert_chain(f"{folder}/admin.crt", f"{folder}/admin.key")
    return context


async def show(js: JetStreamContext) -> dict[str, Any]:
    """Return what the servers say about every stream."""
    return {
        str(info.config.name): {
            "max_age_seconds": info.config.max_age,
            "max_bytes": info.config.max_bytes,
            "replicas": info.config.num_replicas,
            "durables": [entry.name for entry in await js.consumers_info(str(info.config.name))],
        }
        for info in await js.streams_info()
    }


async def drift(js: JetStreamContext) -> dict[str, Any]:
    """Change what Ansible made."""
    config = (await js.stream_info("AUTH_STREAM")).config
    await js.update_stream(config, max_bytes=(config.max_bytes or 0) // 2)
    await js.delete_consumer("GATEKEEPER_STREAM", "gatekeeper")
    return await show(js)


async def ask(action: str, command: str, config: str, servers: list[str]) -> dict[str, Any]:
    """Connect, do one thing, return the streams."""
    with tempfile.TemporaryDirectory() as folder:
        context = credentials(command, config, folder)
        client = await nats.connect(servers, tls=context, inbox_prefix="_INBOX.admin")
    js = client.jetstream(timeout=10)
    try:
        return await (drift if action == "drift" else show)(js)
    finally:
        await client.close()


def main() -> None:
    """Print the streams."""
    action, command, config = sys.argv[1:]
    servers = tomllib.loads(Path(config).read_text(encoding="utf-8"))["nats_servers"]
    print(json.dumps(asyncio.run(ask(action, command, config, servers))))


if __name__ == "__main__":
    main()
