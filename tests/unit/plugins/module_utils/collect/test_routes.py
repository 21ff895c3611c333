# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import shutil
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import routes
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.routes import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.neighbours import Neighbours, Table
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import Default, Routes

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
V4, V6 = 2, 10


def sample(**what: Any) -> Sample:
    empty: dict[str, Any] = {
        "names": {1: "lo", 2: "eth0", 3: "eth1"},
        "routes": Routes({V4: 0, V6: 0}, []),
        "rules": [],
        "neighbours": Neighbours({}, {}, {}, {V4: 0, V6: 0}),
        "tables": {},
        "exempt_counts": False,
        "rp_filter": {},
        "ways": [],
        "limited": [],
    }
    return Sample(**{**empty, **what})


def facts(now: Sample, before: dict[int, Table] | None = None, top: int = 10) -> dict[str, Any]:
    found = routes.facts(Host(), before, now, Window(1.0 if before else None, top))
    json.dumps(found).encode("utf-8")
    return found


def hop(ifindex: int, gateway: str, metric: int = 0, table: str = "main", family: int = V4) -> Default:
    return Default(family, gateway, ifindex, metric, None, table, True)


def test_default_routes_come_in_the_order_in_which_they_are_used() -> None:
    hops = [
        hop(2, "10.0.0.2", 200),
        hop(3, "10.0.0.3", table="99"),
        hop(2, "10.0.0.1", 100),
        hop(2, "fe80::1", family=V6),
    ]
    states = {(2, "10.0.0.1"): "failed"}
    found = facts(sample(routes=Routes({V4: 9, V6: 1}, hops), neighbours=Neighbours({}, {}, states, {})), top=3)
    assert [(row["gateway"], row["table"], row["gateway_state"]) for row in found["default"]] == [
        ("10.0.0.1", "main", "failed"),
        ("10.0.0.2", "main", None),
        ("10.0.0.3", "99", None),
    ]
    assert (found["default_total"], found["counts"]) == (4, {"ipv4": 9, "ipv6": 1})


def test_neighbours_by_state_and_by_interface() -> None:
    counts = {
        (V4, 2, "reachable"): 6,
        (V4, 2, "failed"): 3,
        (V6, 2, "incomplete"): 1,
        (V4, 3, "stale"): 5,
        (V4, 3, "failed"): 1,
    }
    now = sample(
        neighbours=Neighbours(counts, {2: ["10.0.0.9"]}, {}, {V4: 0, V6: 0}), routes=Routes({}, [hop(2, "10.0.0.1")])
    )
    found = facts(now)["neighbours"]
    assert found["ipv4"]["states"] == {"reachable": 6, "failed": 4, "stale": 5}
    assert (found["ipv4"]["total"], found["ipv6"]["total"]) == (15, 1)
    assert found["interfaces"][0] == {
        "name": "eth0", "total": 10, "failed": 3, "incomplete": 1, "failing_share": 0.4, "has_default_route": True,
        "examples": ["10.0.0.9"],
    }  # fmt: skip
    assert found["interfaces"][1]["name"] == "eth1"


@pytest.mark.parametrize(("exempt_counts", "usage"), [(False, 0.5), (True, 0.9)])
def test_usage_counts_what_the_kernel_counts(exempt_counts: bool, usage: float) -> None:
    now = sample(
        tables={V4: Table(900, 128, 512, 1000, 3)},
        neighbours=Neighbours({}, {}, {}, {V4: 400, V6: 0}),
        exempt_counts=exempt_counts,
    )
    assert facts(now)["neighbours"]["ipv4"]["usage"] == usage


def test_a_table_that_was_full_in_the_interval() -> None:
    def tables(times: int | None) -> dict[int, Table]:
        return {V4: Table(1024, 128, 512, 1024, times)}

    def full(times: int | None) -> Sample:
        return sample(tables=tables(times))

    assert facts(full(12), tables(5))["neighbours"]["ipv4"]["table_fulls_delta"] == 7
    assert facts(full(12))["neighbours"]["ipv4"]["table_fulls_delta"] is None
    assert facts(full(None), tables(None))["neighbours"]["ipv4"]["table_fulls_delta"] is None
    assert facts(full(1), tables(1))["neighbours"]["ipv6"]["usage"] is None


def test_the_larger_reverse_path_filter_counts() -> None:
    now = sample(rp_filter={-1: 1, -2: 1, 1: 0, 2: 2, 3: 1}, routes=Routes({}, [hop(2, "10.0.0.1")]))
    found = facts(now)
    assert found["rp_filter"] == [
        {"interface": "eth0", "all": 1, "value": 2, "effective": 2},
        {"interface": "lo", "all": 1, "value": 0, "effective": 1},
        {"interface": "eth1", "all": 1, "value": 1, "effective": 1},
    ]
    assert facts(now, top=1)["rp_filter_total"] == 3
    assert len(facts(now, top=1)["rp_filter"]) == 1


def test_many_neighbours_stay_small() -> None:
    counts = {(V4, index, state): 500 for index in range(1, 400) for state in ("reachable", "failed", "stale")}
    now = sample(
        names={index: f"veth{index}" for index in range(1, 400)}, neighbours=Neighbours(counts, {}, {}, {V4: 0, V6: 0})
    )
    found = facts(now)
    assert found["neighbours"]["interfaces_total"] == 399
    assert len(json.dumps(found)) < 4000


def recorded(kernel: str) -> Host:
    return Host(os.path.join(FIXTURES, kernel, "proc"), os.path.join(FIXTURES, kernel))


def test_recorded_files() -> None:
    now = routes.sample(recorded("3.10"))
    found = facts(now)
    assert "recorded files" in found["limited"][0]
    assert found["counts"] == {"ipv4": 3, "ipv6": 3}
    assert [(row["family"], row["gateway"], row["interface"], row["metric"]) for row in found["default"]] == [
        ("ipv4", "192.168.0.1", "eth0", 100),
        ("ipv6", "fe80::1", "eth0", 1024),
    ]
    assert found["default"][0]["gateway_state"] == "incomplete"
    assert (found["rules"], found["rules_total"], found["route_get"]) == (None, None, [])
    v4, v6 = found["neighbours"]["ipv4"], found["neighbours"]["ipv6"]
    assert v4["states"] == {"incomplete": 1, "complete": 1, "permanent": 1}
    assert (v4["gc_thresh3"], v4["entries"], v4["table_fulls"]) == (1024, 0x9E, None), "3.10 has no table_fulls"
    assert (v6["total"], v6["states"]) == (None, None)
    assert {"interface": "eth0", "all": 1, "value": 0, "effective": 1} in found["rp_filter"]


def test_a_newer_recorded_kernel_tells_when_the_table_was_full() -> None:
    host = recorded("6.18")
    assert facts(routes.sample(host), routes.baseline(host))["neighbours"]["ipv4"]["table_fulls_delta"] == 0


def test_without_routes_it_is_unavailable(tmp_path: Any) -> None:
    with pytest.raises(Unavailable, match="neither net/route nor net/ipv6_route"):
        routes.sample(Host(str(tmp_path), str(tmp_path)))
    with pytest.raises(Unavailable, match="recorded"):
        routes.route_get(Host(str(tmp_path), str(tmp_path)), "192.0.2.1")


def test_one_damaged_file_does_not_cost_the_others(tmp_path: Any) -> None:
    root = tmp_path / "proc"
    shutil.copytree(os.path.join(FIXTURES, "3.10", "proc"), root)
    (root / "net/arp").write_bytes(b"\xff\x00 garbage\n" * 3)
    (root / "net/stat/arp_cache").write_bytes(b"entries table_fulls\nzz 0\n0000000")
    found = facts(routes.sample(Host(str(root), str(tmp_path))))
    assert found["counts"]["ipv4"] == 3
    assert found["neighbours"]["ipv4"]["total"] is None
    assert found["neighbours"]["ipv4"]["table_fulls"] is None
    assert any("arp_cache" in sentence for sentence in found["limited"])


def test_the_loopback_is_the_way_to_itself() -> None:
    found = routes.route_get(Host(), "127.0.0.1")
    assert (found["interface"], found["source"], found["error"]) == ("lo", "127.0.0.1", None)
    assert found["mtu"] >= 1500
    assert "no IP address" in routes.route_get(Host(), "nowhere")["error"]
