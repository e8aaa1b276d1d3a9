"""Each reason why a machine cannot carry the lab is one line that names it."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import IPv4Network
from pathlib import Path
from typing import Any

import pytest

from lab import machine as looking
from lab import plan, preflight
from lab.cgroups import Hierarchy, parse_hierarchies
from lab.machine import BUILD_PROGRAMS, PROGRAMS, Machine
from lab.preflight import CONTROLLERS, OPTIONS, problems, unfitness


def hierarchy(*controllers: str, version: int = 1) -> Hierarchy:
    return Hierarchy(Path("/sys/fs/cgroup/x"), frozenset(controllers), version)


GOOD = Machine(
    hierarchies=[*map(hierarchy, CONTROLLERS), hierarchy("name=systemd"), hierarchy(version=2)],
    options={option: "y" for options in OPTIONS.values() for option in options},
    evidence={"veth": True, "bridges": True, "packet filters on bridges": True},
    programs=frozenset(PROGRAMS | BUILD_PROGRAMS),
    networks=[(IPv4Network("192.0.2.0/24"), "eth0"), (IPv4Network("0.0.0.0/1"), "vpn0")],
    cache_bytes=20 * 2**30,
    state_bytes=20 * 2**30,
)


def only(machine: Machine, *, is_cold: bool = False) -> str:
    """Return the one problem of a machine with its remedy."""
    found = problems(machine, is_cold=is_cold)
    assert len(found) == 1, found
    what, remedy = found[0]
    assert remedy
    assert "\n" not in what + remedy
    return f"{what}; {remedy}"


@pytest.mark.parametrize("is_cold", [True, False])
def test_a_good_machine_has_no_problem(is_cold: bool) -> None:
    assert problems(GOOD, is_cold=is_cold) == []


def test_another_system_is_named() -> None:
    assert "needs Linux, this is Darwin" in only(replace(GOOD, system="Darwin", is_root=False))


def test_not_root_is_told_alone() -> None:
    assert "run it as root" in only(Machine(is_root=False))


def test_cgroup_v2_alone_is_told_as_such() -> None:
    machine = replace(GOOD, hierarchies=[hierarchy(version=2)])
    assert "cgroup v2 only" in only(machine)
    # A hybrid machine has controllers in version 2 and only a name in version 1.
    hybrid = replace(GOOD, hierarchies=[hierarchy(version=2), hierarchy("name=systemd")])
    assert "cgroup v2 only" in only(hybrid)


def test_no_cgroup_at_all_is_told_as_such() -> None:
    assert "no cgroups mounted" in only(replace(GOOD, hierarchies=[]))


@pytest.mark.parametrize("name", CONTROLLERS)
def test_a_missing_controller_is_named(name: str) -> None:
    rest = [each for each in GOOD.hierarchies if name not in each.controllers]
    assert f"controller {name} is not mounted" in only(replace(GOOD, hierarchies=rest))


@pytest.mark.parametrize("feature", OPTIONS)
def test_a_missing_kernel_feature_is_named_with_its_option(feature: str) -> None:
    without = {name: "y" for name in GOOD.options if name not in OPTIONS[feature]}
    line = only(replace(GOOD, options=without, evidence={}))
    assert feature in line
    assert f"CONFIG_{OPTIONS[feature][0]}" in line


def test_one_of_two_options_is_enough() -> None:
    options = {name: "m" for name in GOOD.options if name != "NFT_COMPAT"}
    assert problems(replace(GOOD, options=options), is_cold=False) == []


def test_a_module_that_is_not_loaded_is_told_with_how_to_load_it() -> None:
    machine = replace(GOOD, evidence={"packet filters on bridges": False})
    assert "modprobe br_netfilter" in only(machine)


def test_a_kernel_that_hides_its_configuration_is_judged_by_what_is_seen() -> None:
    hidden = replace(GOOD, options={}, evidence={"veth": True, "overlayfs": True})
    assert problems(hidden, is_cold=False) == []
    assert "no veth" in only(replace(hidden, evidence={"veth": False}))


@pytest.mark.parametrize("name", PROGRAMS)
def test_a_missing_program_is_named(name: str) -> None:
    assert f"program {name} is not" in only(replace(GOOD, programs=GOOD.programs - {name}))


@pytest.mark.parametrize("name", BUILD_PROGRAMS)
def test_a_program_for_building_is_needed_only_if_something_must_be_built(name: str) -> None:
    machine = replace(GOOD, programs=GOOD.programs - {name})
    assert problems(machine, is_cold=False) == []
    assert f"program {name} is not" in only(machine, is_cold=True)


def test_too_little_disk_is_told_with_numbers() -> None:
    cold = replace(GOOD, cache_bytes=11 * 2**30)
    assert problems(cold, is_cold=False) == []
    assert "cache has 11.0 GiB of free disk, 12 needed" in only(cold, is_cold=True)
    warm = replace(GOOD, state_bytes=2 * 2**30)
    assert "state has 2.0 GiB of free disk, 3 needed" in only(warm)
    assert problems(warm, is_cold=False, new=0) == []


def test_a_state_on_an_overlay_is_refused() -> None:
    assert "SECURETRANSPORT_LAB_STATE" in only(replace(GOOD, file_system="overlay"))


@pytest.mark.parametrize("ours", [plan.LAN, plan.PODS, plan.SERVICES])
@pytest.mark.parametrize("length", [8, 16, 32])
def test_a_range_in_use_is_named_with_its_link(ours: IPv4Network, length: int) -> None:
    taken = IPv4Network((ours[300], length), strict=False)
    found = problems(replace(GOOD, networks=[(taken, "vpn0")]), is_cold=False)
    assert any(str(ours) in what and f"{taken} is on vpn0" in what for what, _ in found)


def test_a_bridge_of_somebody_else_is_refused() -> None:
    assert plan.BRIDGE in only(replace(GOOD, is_bridge_foreign=True))


def test_networks_are_read_from_addresses_and_routes() -> None:
    addresses: list[dict[str, Any]] = [
        {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8}]},
        {"ifname": "down0"},
    ]
    routes = [
        {"dst": "default", "dev": "eth0"},
        {"dst": "10.1.2.3", "dev": "tun0"},
        {"type": "blackhole", "dst": "10.9.0.0/16"},
    ]
    assert looking.parse_networks(addresses, routes) == [
        (IPv4Network("127.0.0.0/8"), "lo"),
        (IPv4Network("10.1.2.3/32"), "tun0"),
        (IPv4Network("10.9.0.0/16"), "blackhole"),
    ]


def test_options_are_read_from_a_kernel_configuration() -> None:
    text = b'# CONFIG_VETH is not set\nCONFIG_BRIDGE=m\nCONFIG_NAME="a=b"\n\n'
    assert looking.parse_options(text) == {"BRIDGE": "m", "NAME": '"a=b"'}


MOUNTINFO = r"""
31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 - cgroup cgroup rw,cpu,cpuacct
33 31 0:29 / /mnt/again rw - cgroup cgroup rw,cpu,cpuacct
40 31 0:37 / /sys/fs/cgroup/systemd rw - cgroup none rw,xattr,release_agent=/x,name=systemd
41 31 0:38 / /sys/fs/cgroup/with\040space rw - cgroup2 cgroup2 rw,nsdelegate
"""


def test_hierarchies_are_read_from_the_mounts_each_once() -> None:
    assert parse_hierarchies(MOUNTINFO) == [
        Hierarchy(Path("/sys/fs/cgroup/cpu,cpuacct"), frozenset({"cpu", "cpuacct"}), 1),
        Hierarchy(Path("/sys/fs/cgroup/systemd"), frozenset({"name=systemd"}), 1),
        Hierarchy(Path("/sys/fs/cgroup/with space"), frozenset(), 2),
    ]


def test_the_remedy_for_disk_names_a_variable_that_the_lab_reads() -> None:
    source = Path(preflight.__file__).with_name("paths.py").read_text(encoding="utf-8")
    for variable in ("SECURETRANSPORT_LAB_CACHE", "SECURETRANSPORT_LAB_STATE"):
        assert variable in source


@pytest.mark.parametrize(
    "changes",
    [
        {"system": "Darwin"},
        {"is_root": False},
        {"hierarchies": [hierarchy(version=2)]},
        {"options": {"VETH": "n"}, "evidence": {}},
    ],
)
def test_system_user_and_kernel_make_a_machine_unfit(changes: dict[str, Any]) -> None:
    assert unfitness(replace(GOOD, **changes))


@pytest.mark.parametrize(
    "changes", [{"programs": frozenset()}, {"cache_bytes": 0}, {"state_bytes": 0}]
)
def test_what_can_be_cleared_on_a_machine_does_not_make_it_unfit(changes: dict[str, Any]) -> None:
    assert not unfitness(replace(GOOD, **changes))
    assert problems(replace(GOOD, **changes), is_cold=True)
