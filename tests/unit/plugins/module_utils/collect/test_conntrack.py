# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import shutil
import socket
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import conntrack, flows
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ctnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ctnetlink import Flow
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
KERNELS = ("3.10", "4.18", "5.14", "6.18")


def recorded(kernel: str) -> Host:
    return Host(os.path.join(FIXTURES, kernel, "proc"), FIXTURES)


def one_sample(host: Host) -> dict[str, Any]:
    return conntrack.facts(host, None, conntrack.sample(host), Window(None, 5))


@pytest.fixture
def proc(tmp_path: Path) -> Path:
    shutil.copytree(os.path.join(FIXTURES, "5.14", "proc"), tmp_path / "proc")
    return tmp_path / "proc"


@pytest.mark.parametrize("kernel", KERNELS)
def test_recorded_kernels(kernel: str) -> None:
    found = one_sample(recorded(kernel))
    assert found["available"] and found["in_use"]
    assert found["limited"] == []
    assert found["source"] == "procfs"
    assert (found["count"], found["max"], found["buckets"]) == (10815, 262144, 65536)
    assert found["usage"] == 0.0413
    assert found["entries_per_bucket"] == 4.0
    assert found["timeouts"] == {"tcp_established_s": 432000, "tcp_time_wait_s": 120, "udp_s": 30}
    assert {"found", "invalid", "insert_failed", "drop", "early_drop", "error", "search_restart"} <= set(found["stats"])
    assert found["delta"] is None and found["rates"] is None
    assert found["memory_estimate_bytes"] == 262144 * 384 + 65536 * 8


def test_columns_are_named_as_netlink_names_them() -> None:
    stats = one_sample(recorded("5.14"))["stats"]
    assert stats["clash_resolve"] == 0x647 + 0xAD6 + 0x923 + 0xDB3
    assert stats["chaintoolong"] > 0
    assert not {"clashres", "chainlength", "icmp_error", "entries"} & set(stats)


def test_columns_that_a_kernel_only_prints_zeros_for_are_absent() -> None:
    assert "new" in one_sample(recorded("3.10"))["stats"]
    assert not {"new", "searched", "delete", "delete_list"} & set(one_sample(recorded("4.18"))["stats"])


def test_without_the_module_it_is_not_in_use(tmp_path: Path) -> None:
    host = Host(str(tmp_path), FIXTURES)
    assert one_sample(host) == {"available": True, "limited": [], "in_use": False}


def test_netlink_is_not_even_opened_without_the_module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/stat").touch()

    def opened(*__: object) -> None:
        raise AssertionError("a netlink socket was opened")

    monkeypatch.setattr(conntrack, "Netlink", opened)
    assert one_sample(Host(str(tmp_path), FIXTURES))["in_use"] is False


def test_the_names_of_old_kernels(tmp_path: Path) -> None:
    old = tmp_path / "sys/net/ipv4/netfilter"
    old.mkdir(parents=True)
    (old / "ip_conntrack_count").write_text("5\n")
    (old / "ip_conntrack_buckets").write_text("16\n")
    (old / "ip_conntrack_tcp_timeout_established").write_text("432000\n")
    (tmp_path / "sys/net/ipv4/ip_conntrack_max").write_text("64\n")
    found = one_sample(Host(str(tmp_path), FIXTURES))
    assert (found["count"], found["max"], found["buckets"]) == (5, 64, 16)
    assert found["timeouts"] == {"tcp_established_s": 432000}
    assert len(found["limited"]) == 1 and "statistics" in found["limited"][0]
    assert found["stats"] == {}


def test_no_limit_gives_no_usage(proc: Path) -> None:
    (proc / "sys/net/netfilter/nf_conntrack_max").write_text("0\n")
    found = one_sample(Host(str(proc), FIXTURES))
    assert found["max"] == 0
    assert found["usage"] is None


def test_a_count_that_cannot_be_read_is_said(proc: Path) -> None:
    (proc / "sys/net/netfilter/nf_conntrack_count").write_text("many\n")
    found = one_sample(Host(str(proc), FIXTURES))
    assert found["count"] is None and found["usage"] is None
    assert found["limited"] == ["the number of tracked connections can be read neither from /proc/sys nor by netlink"]


def test_damaged_statistics_are_said(proc: Path) -> None:
    path = proc / "net/stat/nf_conntrack"
    path.write_text(path.read_text()[:-5])
    found = one_sample(Host(str(proc), FIXTURES))
    assert found["limited"] == ["stat/nf_conntrack: 1 line is damaged"]


def test_deltas_are_made_by_cpu() -> None:
    first = conntrack.Sample(True, "netlink", 1, 10, 1, {}, {0: {"drop": 0xFFFFFFFF}, 1: {"drop": 5, "found": 9}}, [])
    now = first._replace(stats={0: {"drop": 1}, 1: {"drop": 7, "found": 3}, 2: {"drop": 100}})
    found = conntrack.facts(recorded("5.14"), first, now, Window(2.0, 5))
    assert found["stats"] == {"drop": 108, "found": 3}
    # 32 bits wrapped on CPU 0; CPU 2 is new; found went back, so it was reset.
    assert found["delta"] == {"drop": 4, "found": None}
    assert found["rates"] == {"drop": 2.0, "found": None}


def test_samples_of_two_sources_are_not_compared() -> None:
    first = conntrack.Sample(True, "netlink", 1, 10, 1, {}, {0: {"drop": 1}}, [])
    now = first._replace(source="procfs", stats={0: {"drop": 7}})
    assert conntrack.facts(recorded("5.14"), first, now, Window(2.0, 5))["delta"] is None


class Table:
    """Stands for the netlink socket of a table with some flows."""

    interrupted = False

    def __init__(self, *rows: Flow) -> None:
        self.rows = rows

    def __enter__(self) -> Table:
        return self

    def __exit__(self, *__: object) -> None:
        pass


A, B, C = (socket.inet_aton(f"10.0.0.{n}") for n in (1, 2, 3))
ROWS = [
    Flow(6, A, B, 443, 3, True),
    Flow(6, A, B, 443, 7, True),
    Flow(6, A, C, 443, 42, False),
    Flow(17, B, C, 53, None, False),
    Flow(99, socket.inet_pton(socket.AF_INET6, "fe80::1"), C, None, None, False),
]


@pytest.fixture
def table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ctnetlink, "require", lambda _host: None)
    monkeypatch.setattr(ctnetlink, "flows", lambda link: iter(link.rows))
    monkeypatch.setattr(flows, "Netlink", lambda _family: Table(*ROWS))


@pytest.mark.usefixtures("table")
def test_who_fills_the_table() -> None:
    found = flows.top(recorded("5.14"), 2)
    assert found == {
        "flows": 5,
        "complete": True,
        "unreplied": 3,
        "protocols": {"tcp": 3, "udp": 1, "99": 1},
        "tcp_states": {"established": 1, "time_wait": 1, "42": 1},
        "sources_total": 3,
        "sources": [{"address": "10.0.0.1", "count": 3}, {"address": "10.0.0.2", "count": 1}],
        "destinations_total": 4,
        "destinations": [
            {"address": "10.0.0.2", "port": 443, "protocol": "tcp", "count": 2},
            {"address": "10.0.0.3", "port": 443, "protocol": "tcp", "count": 1},
        ],
    }


@pytest.mark.usefixtures("table")
def test_a_table_beyond_the_limit_is_said_to_be_incomplete(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(flows, "_MAX_FLOWS", 2)
    found = flows.top(recorded("5.14"), 2)
    assert (found["flows"], found["complete"]) == (2, False)


@pytest.mark.usefixtures("table")
def test_flows_are_returned_on_request_only() -> None:
    params = {"interval": 0, "top": 2, "flows": False}
    assert "top" not in flows.conntrack_facts(recorded("5.14"), params)["ansible_facts"]["nettriage_conntrack"]
    found = flows.conntrack_facts(recorded("5.14"), {**params, "flows": True})["ansible_facts"]["nettriage_conntrack"]
    assert found["top"]["flows"] == 5


def test_flows_that_may_not_be_read_are_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(_family: int) -> None:
        raise Unavailable("netlink: Operation not permitted")

    monkeypatch.setattr(ctnetlink, "require", lambda _host: None)
    monkeypatch.setattr(flows, "Netlink", forbidden)
    params = {"interval": 0, "top": 2, "flows": True}
    found = flows.conntrack_facts(recorded("5.14"), params)["ansible_facts"]["nettriage_conntrack"]
    assert found["top"] is None
    assert found["limited"] == ["flows: netlink: Operation not permitted; they need CAP_NET_ADMIN"]


def test_recorded_files_have_no_flows() -> None:
    params = {"interval": 0, "top": 2, "flows": True}
    found = flows.conntrack_facts(recorded("5.14"), params)["ansible_facts"]["nettriage_conntrack"]
    assert found["top"] is None
    assert "recorded files" in found["limited"][0]
