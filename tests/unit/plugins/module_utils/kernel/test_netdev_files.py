# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any, Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netdev_files, route_files
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.route_files import FileRoute

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")


def host(kernel: str, sysfs: bool = True) -> Host:
    root = os.path.join(FIXTURES, kernel)
    return Host(os.path.join(root, "proc"), os.path.join(root, "sys") if sysfs else "/sys")


def test_recorded_sysfs_tells_what_proc_folds_together() -> None:
    found, limited = netdev_files.read(host("3.10"))
    rows = {each.link.name: each for each in found}
    eth0 = rows["eth0"]
    assert limited == []
    assert (eth0.link.ifindex, eth0.link.mtu, eth0.link.carrier, eth0.link.carrier_changes) == (2, 1500, True, None)
    assert (eth0.virtual, rows["bond0"].virtual, rows["bond0"].link.kind) == (False, True, "bond")
    assert eth0.settings is not None
    assert (eth0.settings.speed_mbps, eth0.settings.duplex) == (1000, "full")
    assert rows["bond0"].settings == (None, None, None, None), "a speed of -1 is unknown"
    assert rows["lo"].settings is None
    assert [eth0.link.counters[name] for name in ("rx_dropped", "rx_missed_errors", "rx_crc_errors")] == [5, 7, 4]
    assert "rx_nohandler" not in eth0.link.counters


def test_the_sysfs_of_this_machine_is_not_mixed_with_recorded_files() -> None:
    found, limited = netdev_files.read(host("6.18", sysfs=False))
    eth0 = next(each for each in found if each.link.name == "eth0")
    assert (eth0.link.mtu, eth0.link.operstate, eth0.virtual, eth0.settings) == (None, None, None, None)
    assert eth0.link.counters["rx_packets"] == 8900
    assert any("net/dev tells counters only" in each for each in limited)


def test_long_numbers_and_colons() -> None:
    line = "  a:b:88412345678 64120345 7 12 0 7 0 104233 51 48 0 0 0 0 0 0\n"
    found, damaged = netdev_files.parse_dev("Inter-|\n face |\n" + line)
    assert damaged == 0
    assert found["a:b"]["rx_bytes"] == 88412345678
    assert found["a:b"]["rx_frame_errors"] == 7
    assert found["a:b"]["tx_packets"] == 48


@pytest.mark.parametrize(
    "line",
    ["eth0: 1 2 3\n", "eth0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n", ": 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16\n",
     "eth0: 1 2 3 4 5 6 7 -8 9 10 11 12 13 14 15 16\n", "eth0: 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16"],
)  # fmt: skip
def test_a_damaged_line_is_counted_and_left_out(line: str) -> None:
    assert netdev_files.parse_dev(line) == ({}, 1)


def test_without_the_file_nothing_is_known(tmp_path) -> None:  # type: ignore[no-untyped-def]
    with pytest.raises(Unavailable, match="net/dev"):
        netdev_files.read(Host(str(tmp_path), str(tmp_path)))
    assert netdev_files.routed(Host(str(tmp_path), str(tmp_path)), []) is None


def test_recorded_routes() -> None:
    found, limited = route_files.read_routes(host("3.10"))
    assert limited == []
    assert found[2] == [
        FileRoute("eth0", True, "192.168.0.1", 100),
        FileRoute("eth0", False, None, 100),
        FileRoute("*", False, None, 0),
    ]
    assert [each for each in found[10] if each.default] == [FileRoute("eth0", True, "fe80::1", 1024)]
    assert len(found[10]) == 3, "the host's own address and multicast are left out"


def test_recorded_arp() -> None:
    with open(os.path.join(FIXTURES, "3.10/proc/net/arp"), encoding="ascii") as file:
        assert route_files.parse_arp(file.read()) == (
            [
                ("eth0", "192.168.0.1", "incomplete"),
                ("eth0", "192.168.0.7", "complete"),
                ("eth0", "192.168.0.9", "permanent"),
            ],
            0,
        )


@pytest.mark.parametrize("parse", [route_files.parse_route, route_files.parse_arp])
def test_an_empty_file_is_damaged_where_the_kernel_prints_a_heading(parse: Callable[[str], Any]) -> None:
    assert parse("") == ([], 1)
    assert parse("Iface\n") == ([], 0)


@pytest.mark.parametrize("content", ["", "Inter-| Receive\n face |bytes\n", "eth0: 1"])
def test_a_file_without_any_interface_tells_nothing(tmp_path: Path, content: str) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").write_text(content)
    with pytest.raises(Unavailable, match="tells no interface"):
        netdev_files.read(Host(str(tmp_path), str(tmp_path)))


def test_a_damaged_file_of_routes_tells_no_number_of_them(tmp_path: Path) -> None:
    (tmp_path / "net").mkdir()
    (tmp_path / "net/route").write_text("")
    (tmp_path / "net/ipv6_route").write_text("")
    assert route_files.read_routes(Host(str(tmp_path), str(tmp_path))) == (
        {10: []},
        ["net/route: 1 lines are damaged"],
    )


@given(st.text(alphabet=st.sampled_from("eth0: \t|\n0123456789abcdefxF-*."), max_size=200))
def test_anything_may_stand_in_the_files(content: str) -> None:
    for parse in (netdev_files.parse_dev, route_files.parse_route, route_files.parse_ipv6_route, route_files.parse_arp):
        parse(content)
    for line in content.split("\n"):
        parse_all = "head\n" + line + "\n"
        route_files.parse_route(parse_all)
        route_files.parse_arp(parse_all)


@pytest.mark.parametrize("file", ["route", "ipv6_route", "arp", "dev"])
def test_a_file_cut_anywhere_gives_only_whole_lines(file: str) -> None:
    parsers: dict[str, Callable[[str], tuple[Any, int]]] = {
        "route": route_files.parse_route,
        "ipv6_route": route_files.parse_ipv6_route,
        "arp": route_files.parse_arp,
        "dev": netdev_files.parse_dev,
    }

    def parse(content: str) -> list[Any]:
        found, __ = parsers[file](content)
        return list(found.items() if isinstance(found, dict) else found)

    with open(os.path.join(FIXTURES, "3.10/proc/net", file), encoding="ascii") as opened:
        content = opened.read()
    whole = parse(content)
    for length in range(len(content)):
        cut = parse(content[:length])
        assert cut == whole[: len(cut)]
