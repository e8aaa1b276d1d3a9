"""Which files a local platform consists of: docs/architecture.md, "Local platform on disk"."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from securetransport.core.ports import Files

CLUSTERS: Final = ("authority", "servers", "services")
CONFIG: Final = "authority/admin/cli.toml"
_FIXED: Final = (
    CONFIG,
    *(f"{cluster}/supervisord.conf" for cluster in CLUSTERS),
    "authority/tls/ca.crt",
    "authority/tls/ca.key",
    "authority/unseal.key",
    "authority/admin/role-id",
    "authority/admin/secret-id",
    "authority/admin/recovery-keys.json",
    "authority/admin/administrator.key",
    "authority/admin/administrator-keys.json",
    "authority/admin/authority-keys.json",
    "authority/ansible-admin/role-id",
    "authority/ansible-admin/secret-id",
)


def expected_files(files: Files, state_dir: Path) -> list[str]:
    """Return the paths, relative to the state directory, that must be there."""
    found = list(_FIXED)
    for cluster in CLUSTERS:
        for entry in files.entries(state_dir / cluster / "conf.d"):
            if entry.endswith(".conf"):
                found += [f"{cluster}/conf.d/{entry}", *_of(cluster, entry.removesuffix(".conf"))]
    return sorted(set(found))


def _of(cluster: str, program: str) -> list[str]:
    folder = f"{cluster}/{program.removesuffix('-bao')}"
    if program.endswith("-bao"):
        return [f"{folder}/{name}" for name in ("agent.hcl", "role-id", "secret-id")]
    if program.startswith("openbao-"):
        tls = [f"{cluster}/tls/{program}.{kind}" for kind in ("crt", "key")]
        return [f"{folder}/config.hcl", *tls]
    if program.startswith("nats-"):
        return [f"{folder}/nats.conf"]
    return [f"{folder}/config.toml"]
