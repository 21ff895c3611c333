# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which namespaces are shown, and how much of them; real ones are in the lab."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import everywhere_rows as rows
from ansible_collections.nettriage.linux.plugins.module_utils.collect.everywhere import MAX_NAMESPACES, View
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.namespace_list import Namespace

CONTAINER = "ab" * 32
HERE = {"net.core.somaxconn": 8192, "net.ipv4.tcp_fin_timeout": 60, "net.ipv4.tcp_mem": [1, 2, 3], "fs.file-nr": [1, 2]}
OWN: dict[str, Any] = {
    "sysctl": {"values": HERE},
    "resolver": {
        "available": True,
        "nameservers": ["192.0.2.1"],
        "search": [],
        "options": {},
        "path": "/etc/resolv.conf",
    },
    "sockets": {"ports": {"low": 1, "high": 2}},
}

NO_CARRIER = {
    "kind": "veth",
    "admin_up": True,
    "carrier": False,
    "errors_delta": None,
    "qdisc": None,
    "delta": None,
    "errors": {},
    "rates": None,
}


@pytest.fixture
def host(tmp_path: Path) -> Host:
    for pid in (20, 21):
        (tmp_path / str(pid)).mkdir()
        (tmp_path / f"{pid}/cgroup").write_text(f"0::/kubepods/pod0a1b/{CONTAINER}\n")
        (tmp_path / f"{pid}/comm").write_text("nginx\n")
    return Host(str(tmp_path), "/sys")


def view(host: Host, name: str, facts: dict[str, Any], pids: list[int] | None = None) -> View:
    made = View(
        Host(host.procfs, "/sys", "/etc", name), Namespace(7, [] if name.startswith("pid:") else [name], pids or [])
    )
    made.facts = facts
    return made


def tcp(total: int = 1, **parts: Any) -> dict[str, Any]:
    return {"sockets": {"available": True, "limited": [], "tcp": {"total": total, **parts}, "udp": {"total": 0}}}


def test_who_it_is(host: Host) -> None:
    (row,) = rows.facts(host, OWN, [view(host, "pid:20", tcp(), [20, 21])], 1, [], 10)["list"]
    assert row == {
        "name": "pid:20",
        "names": [],
        "inode": 7,
        "pid": 20,
        "command": "nginx",
        "container": CONTAINER,
        "pod": "0a1b",
        "unit": None,
        "processes_total": 2,
        "in_full": True,
        "sockets": {"available": True, "tcp": {"total": 1}, "udp": {"total": 0}},
    }


def test_a_name_that_is_no_text_can_be_told(host: Host) -> None:
    (row,) = rows.facts(host, OWN, [view(host, "/srv/\udcff", tcp())], 1, [], 10)["list"]
    assert row["name"] == "/srv/\ufffd" and row["names"] == ["/srv/\ufffd"]


def test_what_it_shares_is_left_out(host: Host) -> None:
    found = {
        "tcp": {
            "available": True,
            "limited": ["tcp_mem: the kernel shows it elsewhere", "snmp: damaged"],
            "counters": {"Tcp": {"InSegs": 7}},
            "delta": {"Tcp": {"InSegs": 0, "OutSegs": 3, "OutRsts": None}, "Udp": {"InErrors": 0}},
            "derived": {"memory_ratio": 0.9, "retransmit_ratio": 0.0, "spurious_ratio": None},
            "sockstat": {"TCP": {"inuse": 3, "orphan": 1, "tw": 2, "mem": 9}},
            "softnet": {"delta": {"dropped": 5}},
        },
        "sysctl": {"values": {**HERE, "net.core.somaxconn": 128, "net.ipv4.tcp_mem": None, "fs.file-nr": [9, 9]}},
        "resolver": {**OWN["resolver"], "path": "/proc/20/root/etc/resolv.conf"},
        "conntrack": {"available": True, "in_use": False},
    }
    (row,) = rows.facts(host, OWN, [view(host, "blue", found)], 1, [], 10)["list"]
    assert row["tcp"] == {
        "available": True,
        "limited": ["snmp: damaged"],
        "delta": {"Tcp": {"OutSegs": 3, "OutRsts": None}},
        "derived": {"retransmit_ratio": 0.0},
        "sockstat": {"TCP": {"inuse": 3, "tw": 2}},
    }
    assert row["sysctl"] == {"differing": {"net.core.somaxconn": 128}}
    assert "resolver" not in row and "conntrack" not in row


def test_nothing_moved_is_not_the_same_as_not_compared(host: Host) -> None:
    still = view(host, "still", {"tcp": {"delta": {"Tcp": {"InSegs": 0}}, "sockstat": {}, "available": True}})
    once = view(host, "once", {"tcp": {"delta": None, "sockstat": {}, "available": True}})
    found = {row["name"]: row for row in rows.facts(host, OWN, [still, once], 2, [], 10)["list"]}
    assert found["still"]["tcp"]["delta"] == {}
    assert "delta" not in found["once"]["tcp"]


@pytest.mark.parametrize(
    "trouble",
    [
        {"tcp": {"delta": {"TcpExt": {"ListenOverflows": 1}}, "sockstat": {}}},
        tcp(listeners=[{"fill": 1.2}]),
        tcp(destinations=[{"port_usage": 0.6}]),
        tcp(close_wait={"total": 60}),
        tcp(stalled=[{}]),
        tcp(queues={"receive": [{"bytes_before": 5}], "send": []}),
        {"conntrack": {"usage": 0.95}},
        {"nic": {"interfaces": [NO_CARRIER]}},
    ],
)
def test_trouble_goes_before_size(host: Host, trouble: dict[str, Any]) -> None:
    busy = view(host, "busy", tcp(50_000, listeners=[{"fill": 0.1}]))
    found = rows.facts(host, OWN, [busy, view(host, "sick", trouble)], 2, [], 10)
    assert [row["name"] for row in found["list"]] == ["sick", "busy"]


def test_many_namespaces_stay_within_their_room_and_what_is_cut_is_said(host: Host) -> None:
    large = [{"address": "192.0.2.1", "port": port, "text": "x" * 100} for port in range(20)]
    views = [view(host, f"n{number}", tcp(number, listeners=large)) for number in range(MAX_NAMESPACES)]
    found = rows.facts(host, OWN, views, 300, [], 10)
    assert len(json.dumps(found["list"])) <= 10 * rows.BYTES_PER_TOP + 4 * len(found["list"])
    assert found["total"] == 300
    assert 0 < found["in_full"] < len(found["list"]) < MAX_NAMESPACES
    assert [row["in_full"] for row in found["list"]] == sorted((row["in_full"] for row in found["list"]), reverse=True)
    assert found["list"][0]["name"] == f"n{MAX_NAMESPACES - 1}"
    assert "sockets" in found["list"][-1] and "listeners" not in found["list"][-1]["sockets"]["tcp"]
    not_looked, without, not_shown = found["limited"]
    assert not_looked.startswith("44 of 300 were not looked into")
    assert without.startswith(
        f"{len(found['list']) - found['in_full']} of 300, those with least trouble, are shown without"
    )
    assert not_shown.startswith(
        f"{MAX_NAMESPACES - len(found['list'])} of 300, those with least trouble, are not shown"
    )


def test_a_larger_top_has_more_room(host: Host) -> None:
    large = [{"address": "192.0.2.1", "port": port, "text": "x" * 100} for port in range(20)]
    views = [view(host, f"n{number}", tcp(number, listeners=large)) for number in range(40)]
    assert rows.facts(host, OWN, views, 40, [], 60)["in_full"] == 40


def test_settings_that_differ_are_told_as_for_a_tuned_host(host: Host) -> None:
    own: dict[str, Any] = {"sysctl": {"values": HERE, "namespaces": []}}
    views = [
        view(
            host, "pid:20", {"sysctl": {"values": {**HERE, "net.core.somaxconn": 128, "net.ipv4.tcp_mem": None}}}, [20]
        ),
        view(host, "same", {"sysctl": {"values": HERE}}),
        view(host, "alone", {"sysctl": {"values": {**HERE, "net.core.somaxconn": 1}}, "nic": {"interfaces_total": 1}}),
    ]
    rows.settings(host, own, views)
    (row,) = own["sysctl"]["namespaces"]
    assert row["netns"] == "pid:20" and row["container"] == CONTAINER
    assert row["differing"] == {"net.core.somaxconn": {"host": "8192", "here": "128"}}
    assert own["sysctl"]["namespaces_total"] == 1
