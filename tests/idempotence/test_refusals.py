"""What ``site.yml`` refuses before anything is made, and what it never touches."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from local_platform import ROOT, Platform, free_port_base

pytestmark = pytest.mark.timeout(240)

TWIN = {"name": "twin", "service": "stranger", "instance": "0", "health_port": 1024}
LOST = {
    "name": "lost",
    "service": "gatekeeper",
    "module": "no_such_module",
    "instance": "0",
    "health_port": 1024,
}
FAR = {**LOST, "name": "far", "module": "json", "instance": "2"}
PADDED = {**FAR, "name": "padded", "instance": "01"}
SAME = {**FAR, "name": "same", "instance": 0}

WRONG = {
    "name": "nats 1",
    "host": "::1",
    "client_port": 65536,
    "route_port": 0,
    "keeper_health_port": 1024,
    "dns_names": ["localhost"],
    "ip_addresses": ["256.0.0.1"],
}


@pytest.fixture
def platform() -> Iterator[Platform]:
    """A platform that nobody builds; a test's own folder would be too long for its sockets."""
    with tempfile.TemporaryDirectory(prefix="st-") as folder:
        yield Platform(Path(folder) / "state", free_port_base())


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"local_platform_minimum_free_bytes": 2**60}, ["MiB are needed"]),
        ({"securetransport_python": "/bin/true"}, ["/bin/true is no Python"]),
        ({"local_platform_programs": ["no-such-program"]}, ["no-such-program is missing"]),
        ({"securetransport_profile": "fast"}, ["securetransport_profile"]),
        ({"securetransport_trust_domain": "other.example"}, ["both must be the same"]),
        ({"securetransport_acl_file": "/no/such/acl.yml"}, ["/no/such/acl.yml"]),
        (
            {"nats_nodes": 1, "openbao_nodes": 2},
            ["nats_nodes must be one of: 3, got: 1", "openbao_nodes must be one of: 1, 3, got: 2"],
        ),
        ({"openbao_servers": []}, ["openbao_nodes is 3, and openbao_servers has 0"]),
        (
            {"local_platform_profile": "test", "nats_client_port": 1, "nats_client_prot": 1},
            [
                "local_platform_profile is called securetransport_profile now",
                "nats_client_port is called nats_servers[].client_port now",
                "no role has the variable nats_client_prot",
            ],
        ),
        (
            {"agent_absent": ["twin"], "agent_processes": [TWIN, TWIN]},
            [
                "twin is of service stranger, which",
                "two of them are called twin",
                "agent_absent: twin is in agent_processes, too",
            ],
        ),
        (
            {"agent_processes": [FAR, PADDED, SAME, {**SAME, "name": "too"}]},
            [
                "far is instance 2 of gatekeeper, which may be 0, 1;",
                "padded is instance 01 of gatekeeper, which may be 0, 1;",
                "too is gatekeeper/0, as another process is",
            ],
        ),
        ({"agent_processes": [LOST]}, ["cannot import no_such_module of lost"]),
        (
            {"agent_processes": [{**LOST, "module": "json"}]},
            ["local_platform_ports: 1024 is there more than once"],
        ),
        (
            {
                "securetransport_profile_overrides": {"ldm_deadline": "5 m"},
                "agent_processes": [{**LOST, "module": "json", "instance": "web01.example.com"}],
            },
            [
                "securetransport_profile_overrides.ldm_deadline: '5 m' is not a duration",
                "instance: instance 'web01.example.com' is not lower-case letters",
            ],
        ),
        (
            {"nats_servers": [WRONG] * 3},
            [
                "nats_servers[0].name: instance 'nats 1' is not",
                "nats_servers[0].host: '::1': write an IPv6 address in brackets",
                "nats_servers[0].client_port: port 65536 is not 1 to 65535",
                "nats_servers[0].route_port: port 0 is not 1 to 65535",
                "nats_servers[0].ip_addresses: '256.0.0.1' is not an IPv4 address",
            ],
        ),
        ({"securetransport_platform": "kubernetes"}, ["is kubernetes; it must be one of: local"]),
    ],
)
def test_what_cannot_work_is_refused_before_anything_is_made(
    platform: Platform, variables: dict[str, object], words: list[str]
) -> None:
    refused = platform.play("site", **variables)
    assert refused.exit_code != 0
    assert [word for word in words if word not in refused.text] == [], refused.text[-3000:]
    assert not platform.state_dir.exists()
    assert platform.processes() == []


def test_check_mode_refuses_what_a_run_refuses(platform: Platform) -> None:
    refused = platform.play("site", "--check", nats_nodes=2)
    assert refused.exit_code != 0
    assert "nats_nodes must be one of: 3, got: 2" in refused.text


@pytest.mark.parametrize(
    ("name", "hosts", "missing"),
    [
        ("site", "authority,servers,box-3,", "services"),
        ("verify", "localhost,", "authority, servers, services"),
        ("down", "authority,box-2,services,", "servers"),
        ("teardown", "box-1,box-2,box-3,", "authority, servers, services"),
    ],
)
def test_an_inventory_without_the_clusters_is_refused(
    platform: Platform, name: str, hosts: str, missing: str
) -> None:
    refused = replace(platform, inventory=hosts).play(name)
    assert refused.exit_code != 0
    assert f"the inventory has no host or group {missing};" in refused.text


def test_a_path_too_long_for_a_socket_is_refused(platform: Platform) -> None:
    long = Platform(platform.state_dir / ("x" * 100), platform.port_base)
    refused = long.play("site")
    assert refused.exit_code != 0
    assert "too long for a Unix socket" in refused.text


@pytest.mark.parametrize(
    ("name", "state_dir", "run_dir", "words"),
    [
        ("site", "relative/state", "~/run", "is not an absolute path"),
        ("site", "/srv/a'b", "/srv/a*", "has a character"),
        ("teardown", "relative/state", "~/run", "is not an absolute path"),
        ("teardown", "/", "/.", "is not a directory of its own"),
    ],
)
def test_a_path_that_programs_misread_is_refused(
    platform: Platform, name: str, state_dir: str, run_dir: str, words: str
) -> None:
    told = {"local_platform_state_dir": state_dir, "local_platform_run_dir": run_dir}
    refused = platform.play(name, **told)
    assert refused.exit_code != 0
    assert f"local_platform_state_dir: {state_dir} {words}" in refused.text
    assert f"local_platform_run_dir: {run_dir} {words}" in refused.text


def test_data_of_the_first_edition_are_found(platform: Platform, tmp_path: Path) -> None:
    inventory = tmp_path / "ours" / "inventories" / "local"
    shutil.copytree(ROOT / "inventories" / "local", inventory)
    former = tmp_path / "ours" / ".state" / "local"
    former.mkdir(parents=True)
    (former / ".securetransport-local").touch()
    told = {"local_platform_state_dir": "{{ inventory_dir }}/.state"}
    refused = replace(platform, inventory=inventory).play("site", **told)
    assert refused.exit_code != 0
    assert f"the first edition kept the data of this inventory in {former}" in refused.text
    assert not (inventory / ".state").exists()


def test_a_directory_of_somebody_else_is_neither_used_nor_removed(platform: Platform) -> None:
    platform.state_dir.mkdir()
    thesis = platform.state_dir / "thesis"
    thesis.write_text("years of work", encoding="utf-8")
    refused = platform.play("site")
    assert refused.exit_code != 0
    assert "was not made by this role" in refused.text
    spared = platform.play("teardown")
    assert spared.exit_code == 0, spared.text[-3000:]
    assert spared.changed == 0
    assert thesis.exists()


def test_check_mode_of_nothing_makes_nothing(platform: Platform) -> None:
    checked = platform.play("site", "--check")
    assert checked.exit_code == 0, checked.text[-3000:]
    assert checked.changed > 0
    assert not platform.state_dir.exists()
