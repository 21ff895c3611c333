# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that differs from its peers is told, and a group of individuals is left in peace."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils import catalogue
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Outlier
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.outliers import outliers
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import traits_of


def host(
    speed: int | None = 10000,
    mtu: int = 1500,
    somaxconn: int = 4096,
    ratio: float | None = 0.0001,
    *,
    virtual: bool = False,
    memory: float = 8e9,
    rmem: int = 6291456,
    kernel: str = "6.1.0-18-amd64",
    name: str = "eth0",
    segments: int = 50000,
) -> dict[str, Any]:
    return {
        "meta": {"kernel": kernel, "memory_bytes": memory},
        "nic": {
            "interfaces": [
                {
                    "name": name,
                    "carrier": True,
                    "virtual": virtual,
                    "has_default_route": True,
                    "speed_mbps": speed,
                    "mtu": mtu,
                    "duplex": "full",
                }
            ]
        },
        "sysctl": {
            "values": {"net.core.somaxconn": somaxconn, "net.ipv4.tcp_rmem": [4096, 131072, rmem], "absent": None}
        },
        "tcp": {"derived": {"retransmit_ratio": ratio, "data_segments_sent": segments}},
    }


def found(hosts: list[dict[str, Any]], limits: dict[str, Any] | None = None, group: str = "web") -> list[Outlier]:
    traits = {f"h{number}": traits_of(each) for number, each in enumerate(hosts)}
    groups = {name: [group] for name in traits}
    rows, total = outliers(traits, groups, {**catalogue.built_in_limits(), **(limits or {})})
    assert total == len(rows)
    return rows


def test_peers_that_are_alike_are_silent() -> None:
    assert found([host() for __ in range(20)]) == []


@pytest.mark.parametrize(
    ("odd", "name", "severity", "key", "value", "usual"),
    [
        ({"speed": 1000}, "nic.slow_link", "warning", "speed_mbps of the default route", 1000, 10000),
        ({"speed": 25000}, "fleet.link_differs", "info", "speed_mbps of the default route", 25000, 10000),
        ({"mtu": 9000}, "fleet.link_differs", "warning", "mtu of the default route", 9000, 1500),
        ({"somaxconn": 128}, "fleet.setting_differs", "info", "net.core.somaxconn", 128, 4096),
        ({"kernel": "5.10.0-1"}, "fleet.kernel_differs", "info", "kernel", "5.10", "6.1"),
        ({"ratio": 0.02}, "fleet.ratio_differs", "warning", "retransmit_ratio", 0.02, 0.0001),
    ],
)
def test_one_that_differs_is_told(
    odd: dict[str, Any], name: str, severity: str, key: str, value: Any, usual: Any
) -> None:
    (row,) = found([host() for __ in range(5)] + [host(**odd)])
    assert (row.id, row.severity, row.key, row.hosts, row.value, row.usual) == (
        name,
        severity,
        key,
        ["h5"],
        value,
        usual,
    )
    assert "h5" in row.title and "web" in row.title and row.peers == 5


@pytest.mark.parametrize(
    "hosts",
    [
        [host(), host(), host(speed=1000)],  # too few
        [host(speed=1000)] * 3 + [host()] * 5,  # two kinds of host
        [host(speed=number) for number in range(1, 30)],  # everyone for himself
        [host(virtual=True, speed=10000)] * 5 + [host(virtual=True, speed=1000)],  # speeds that mean nothing
        [host()] * 5 + [host(speed=None)],  # not known
        [host()] * 5 + [host(memory=64e9, rmem=33554432)],  # sized by the memory
        [host()] * 5 + [host(kernel="6.1.0-99-amd64")],  # the same release
        [host()] * 5 + [host(ratio=0.0009)],  # far from its peers, and nothing to speak of
        [host()] * 5 + [host(ratio=0.5, segments=20)],  # too few segments
        [host(ratio=0.02)] * 5 + [host(ratio=0.04)],  # all are as bad
        [host()] * 5 + [host(name="ens3")],  # a name is no role
    ],
)
def test_what_is_no_outlier_is_silent(hosts: list[dict[str, Any]]) -> None:
    assert found(hosts) == []


def test_the_same_value_on_some_hosts_is_one_row() -> None:
    (row,) = found([host()] * 18 + [host(somaxconn=128)] * 2)
    assert row.hosts == ["h18", "h19"] and row.title.startswith("2 hosts have 128 as net.core.somaxconn")


def test_limits_are_the_users() -> None:
    hosts = [host()] * 2 + [host(speed=1000)]
    assert found(hosts, {"outlier_members_min": 3}) == []
    (row,) = found(hosts, {"outlier_members_min": 3, "outlier_majority": 0.6})
    assert row.id == "nic.slow_link"


def test_a_difference_is_told_once_for_the_smallest_group() -> None:
    traits = {f"h{number}": traits_of(host(mtu=9000 if number == 3 else 1500)) for number in range(9)}
    groups = {name: ["prod", "web"] if number < 6 else ["prod"] for number, name in enumerate(traits)}
    rows, __ = outliers(traits, groups, catalogue.built_in_limits())
    assert [(row.group, row.hosts) for row in rows] == [("web", ["h3"])]


def test_it_is_bounded() -> None:
    hosts = [host() for __ in range(300)]
    for number, each in enumerate(hosts):
        each["sysctl"]["values"].update({f"key{other}": int(other == number) for other in range(300)})
    traits = {f"h{number}": traits_of(each) for number, each in enumerate(hosts)}
    rows, total = outliers(traits, {name: ["web"] for name in traits}, catalogue.built_in_limits())
    assert len(rows) == 200 and total == 300


@given(st.lists(st.floats(0, 1), min_size=4, max_size=12))
def test_whoever_is_no_worse_than_the_median_is_no_outlier(ratios: list[float]) -> None:
    rows = found([host(ratio=ratio) for ratio in ratios])
    middle = sorted(ratios)[len(ratios) // 2]
    assert all(row.value > row.usual and row.value >= middle for row in rows)
