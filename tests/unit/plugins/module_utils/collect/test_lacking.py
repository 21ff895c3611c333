# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kernels that lack something: what is not there is absent from the facts, never zero, and nothing is found for it."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import SUBSETS, health
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

if sys.version_info >= (3, 11):
    from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
else:  # rules are the controller's part

    def evaluate(facts: Any) -> list[dict[str, Any]]:
        return []


FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    shutil.copytree(os.path.join(FIXTURES, "6.18"), tmp_path / "6.18")
    (tmp_path / "6.18/sys").mkdir(exist_ok=True)
    return tmp_path / "6.18"


def look(root: Path) -> dict[str, Any]:
    params = {"interval": 0.0001, "top": 5, "gather_subset": ["all"], "as_json": False}
    found: dict[str, Any] = health(Host(str(root / "proc"), str(root / "sys")), params)["ansible_facts"]["nettriage"]
    assert all(found[name]["available"] for name in SUBSETS)
    return found


def without(root: Path, *patterns: str) -> dict[str, Any]:
    """The facts after the files that match *patterns* are gone; they must cause no new finding."""
    before = [finding["id"] for finding in evaluate(look(root))]
    for pattern in patterns:
        gone = list(root.glob(pattern))
        assert gone, f"{pattern} names nothing"
        for path in gone:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    found = look(root)
    assert set(before) >= {finding["id"] for finding in evaluate(found)}
    return found


def test_a_kernel_booted_without_ipv6(root: Path) -> None:
    found = without(root, "proc/net/*6", "proc/net/ipv6_route", "proc/net/stat/ndisc_cache", "proc/sys/net/ipv6")
    assert {"Ip", "Tcp", "Udp"} <= found["tcp"]["counters"].keys()
    assert not {"Ip6", "Icmp6", "Udp6"} & found["tcp"]["counters"].keys()
    assert not {"TCP6", "UDP6"} & found["tcp"]["sockstat"].keys()
    assert {row["family"] for row in found["sockets"]["tcp"]["listeners"]} == {"ipv4"}
    assert "ipv6" not in found["routes"]["counts"]
    assert found["routes"]["neighbours"]["ipv6"]["total"] is None
    assert found["routes"]["neighbours"]["ipv6"]["entries"] is None
    assert found["sysctl"]["values"]["net.ipv6.conf.all.disable_ipv6"] is None


def test_a_kernel_without_connection_tracking(root: Path) -> None:
    found = without(root, "proc/net/stat/nf_conntrack", "proc/sys/net/netfilter")
    assert found["conntrack"] == {"available": True, "limited": [], "in_use": False}


def test_interfaces_without_sysfs_have_no_link_state(root: Path) -> None:
    rows = look(root)["nic"]["interfaces"]
    assert rows
    for row in rows:
        for name in ("carrier", "speed_mbps", "duplex", "mtu", "driver", "ring", "queues", "virtual"):
            assert not row[name] and row[name] is not False and row[name] != 0, f"{name} is {row[name]!r}"


@pytest.mark.parametrize("file", ["snmp", "netstat", "sockstat", "softnet_stat"])
def test_without_one_file_of_counters_the_others_are_there(root: Path, file: str) -> None:
    found = without(root, f"proc/net/{file}")
    assert any(file in sentence for sentence in found["tcp"]["limited"])
    assert len(found["tcp"]["counters"]) > 3
