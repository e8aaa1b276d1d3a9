# SPDX-License-Identifier: Apache-2.0
"""Servers that the module tests share: one OpenBao cluster of two nodes, one NATS server."""

from __future__ import annotations

import asyncio
import json
import secrets
import ssl
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import hvac
import nats as nats_client
import pytest
from module_lab import (
    BIN,
    PROJECT,
    Ansible,
    OpenBaoNode,
    Server,
    free_port,
    listens,
    make_authority,
    write_leaf,
)


@pytest.fixture(scope="session")
def ansible(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ansible]:
    """Ansible with the collection on its path."""
    folder = tmp_path_factory.mktemp("ansible")
    namespace = folder / "collections" / "ansible_collections" / "securetransport"
    namespace.mkdir(parents=True)
    (namespace / "platform").symlink_to(PROJECT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder / "collections")
        yield Ansible(folder)


@dataclass
class OpenBaoLab:
    """An initialised cluster.

    Attributes:
        folder: Its files; ``root-token`` and ``recovery-keys.json`` among them.
        nodes: Its nodes, the first one initialised.
        initialised: Results of ``openbao_init``: check mode, real, again in check mode, again.
        client: The root's client, to look behind the modules.
    """

    folder: Path
    nodes: list[OpenBaoNode]
    initialised: list[dict[str, Any]]
    client: hvac.Client

    @property
    def connection(self) -> dict[str, Any]:
        """Options that reach it; the standby is named first."""
        return {
            "address": [node.address for node in reversed(self.nodes)],
            "ca_file": str(self.folder / "ca.crt"),
        }

    @property
    def access(self) -> dict[str, Any]:
        """Options that reach it and log in as root."""
        return {**self.connection, "token_file": str(self.folder / "root-token")}

    def options(self, **options: Any) -> Mapping[str, Any]:
        """Return a task's options with :attr:`access`."""
        return {**self.access, **options}


@pytest.fixture(scope="session")
def openbao(tmp_path_factory: pytest.TempPathFactory, ansible: Ansible) -> Iterator[OpenBaoLab]:
    """A cluster of two nodes that ``openbao_init`` made."""
    folder = tmp_path_factory.mktemp("openbao")
    authority = make_authority("openbao ca")
    (folder / "ca.crt").write_bytes(authority.pem)
    write_leaf(folder, "openbao", authority)
    (folder / "unseal.key").touch(mode=0o600)
    (folder / "unseal.key").write_bytes(secrets.token_bytes(32))
    nodes = [OpenBaoNode(folder, name) for name in ("node-1", "node-2")]
    servers = [nodes[0].server(), nodes[1].server(joins=nodes[0])]
    started = []
    try:
        for node, server in zip(nodes, servers, strict=True):
            started.append(server)
            server.start(lambda port=node.port: listens(port))  # type: ignore[misc]  # bound now
        options = {
            "address": [node.address for node in nodes],
            "ca_file": str(folder / "ca.crt"),
            "recovery_keys_file": str(folder / "recovery-keys.json"),
            "root_token_file": str(folder / "root-token"),
            "recovery_shares": 3,
            "recovery_threshold": 2,
            "timeout": 60,
        }
        initialised = ansible.run(
            [("openbao_init", options, is_check) for is_check in (True, False, True, False)]
        )
        client = hvac.Client(
            nodes[0].address,
            token=(folder / "root-token").read_text(),
            verify=str(folder / "ca.crt"),
        )
        yield OpenBaoLab(folder, nodes, initialised, client)
        client.adapter.close()
    finally:
        for server in started:
            server.stop()


@dataclass
class NatsLab:
    """A NATS server whose clients are known by their certificates' URIs.

    Attributes:
        folder: Its files.
        connection: Options that reach it as the administrator.
    """

    folder: Path
    connection: dict[str, Any]

    def options(self, **options: Any) -> Mapping[str, Any]:
        """Return a task's options with :attr:`connection`."""
        return {**self.connection, **options}

    def publish(self, subject: str, data: bytes) -> None:
        """Publish a message, as the administrator."""

        async def send() -> None:
            context = ssl.create_default_context(cafile=self.connection["ca_file"])
            context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
            context.load_cert_chain(self.connection["client_cert"], self.connection["client_key"])
            client = await nats_client.connect(self.connection["servers"], tls=context)
            await client.publish(subject, data)
            await client.drain()

        asyncio.run(send())


@pytest.fixture(scope="session")
def nats(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NatsLab]:
    """A server that presents a leaf without its issuer, so the intermediate must be the anchor."""
    folder = tmp_path_factory.mktemp("nats")
    root = make_authority("root")
    intermediate = make_authority("nats-int e1 0123456789abcdef", root)
    retired = make_authority("nats-int e0 0123456789abcdef", root)
    (folder / "ca.crt").write_bytes(intermediate.pem)
    (folder / "retired.crt").write_bytes(retired.pem)
    write_leaf(folder, "server", intermediate)
    for user in ("admin", "stranger"):
        write_leaf(folder, user, intermediate, uri=f"spiffe://test.local/{user}")
    port = free_port()
    allowed = {
        "publish": [
            "$JS.API.INFO",
            "$JS.API.STREAM.LIST",
            "$JS.API.STREAM.*.*",
            "$JS.API.CONSUMER.*.>",
            "shrink.>",
        ],
        "subscribe": ["_INBOX.admin.>"],
    }
    (folder / "nats.conf").write_text(
        f"""
listen: "127.0.0.1:{port}"
jetstream {{ store_dir: "{folder}/jetstream", max_file_store: 1GB }}
tls {{
  cert_file: "{folder}/server.crt", key_file: "{folder}/server.key", ca_file: "{folder}/ca.crt"
  verify_and_map: true
}}
accounts {{ APP {{ jetstream: enabled, users: [
  {{ user: "spiffe://test.local/admin", permissions: {json.dumps(allowed)} }}
] }} }}
"""
    )
    server = Server(
        [str(BIN / "nats-server"), "-c", str(folder / "nats.conf")], folder / "nats.log"
    )
    server.start(lambda: listens(port))
    try:
        yield NatsLab(
            folder,
            {
                "servers": [f"tls://127.0.0.1:{port}"],
                "ca_file": str(folder / "ca.crt"),
                "client_cert": str(folder / "admin.crt"),
                "client_key": str(folder / "admin.key"),
                "timeout": 10,
            },
        )
    finally:
        server.stop()
