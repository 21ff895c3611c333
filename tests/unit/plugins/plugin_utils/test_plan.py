# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import fnmatch
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.plan import make_plan
from ansible_collections.nettriage.linux.plugins.plugin_utils.policy import PolicyError
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.catalogue import REMEDIES
from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.ports import merged_ports

Facts = dict[str, Any]

NGINX = {"pid": 7, "command": "nginx", "unit": "nginx.service", "container": None}

FACTS: Facts = {
    "meta": {"kernel": "6.1.0-18-amd64", "memory_bytes": 8 << 30, "capabilities": {}},
    "sockets": {
        "tcp": {
            "listeners_total": 1,
            "listeners": [
                {
                    "address": "0.0.0.0",
                    "port": 80,
                    "fill": 1.0,
                    "drops_delta": 4,
                    "backlog": 128,
                    "processes": [NGINX],
                }
            ],
            "destinations": [
                {
                    "address": "192.0.2.9",
                    "port": 5432,
                    "port_usage": 0.9,
                    "ports_used": 900,
                    "states": {"time_wait": 900},
                }
            ],
            "orphans": {"fin_wait2": 40},
            "quality": {
                "connections": 10,
                "keepalive_share": 0.5,
                "min_rtt_ms": {"median": 60.0, "p95": 80.0},
                "retransmit_ratio": 0.02,
                "reordering_max": 3,
            },
        },
        "udp": {
            "total": 4,
            "sockets": [{"port": 514, "receive_buffer_bytes": 212992, "drops_delta": 9, "processes": [NGINX]}],
        },
    },
    "tcp": {
        "delta": {"Tcp": {"PassiveOpens": 5}},
        "derived": {"memory_ratio": 0.1},
        "softnet": {"delta": {"dropped": 5, "squeezed": 3}},
    },
    "nic": {"interfaces": [{"has_default_route": True, "speed_mbps": 1000, "virtual": False}]},
    "conntrack": {"in_use": True, "count": 60000, "max": 65536, "buckets": 65536, "usage": 0.92},
    "routes": {
        "neighbours": {"ipv4": {"usage": 0.9, "total": 900, "table_fulls_delta": 0}, "ipv6": {"usage": 0.1}},
        "rp_filter": [{"interface": "bond0.101", "all": 1, "value": 1, "effective": 1}],
    },
    "sysctl": {
        "values": {
            "net.core.somaxconn": 128,
            "net.core.rmem_default": 212992,
            "net.core.rmem_max": 212992,
            "net.core.netdev_max_backlog": 1000,
            "net.core.netdev_budget": 300,
            "net.ipv4.ip_local_port_range": [32768, 60999],
            "net.ipv4.ip_local_reserved_ports": "",
            "net.ipv4.ip_unprivileged_port_start": 1024,
            "net.ipv4.neigh.default.gc_thresh1": 128,
            "net.ipv4.neigh.default.gc_thresh2": 512,
            "net.ipv4.neigh.default.gc_thresh3": 1024,
            "net.ipv4.tcp_available_congestion_control": ["reno", "cubic", "bbr"],
            "net.ipv4.tcp_allowed_congestion_control": ["reno", "cubic"],
            "net.ipv4.tcp_congestion_control": "cubic",
            "net.ipv4.tcp_fin_timeout": 60,
            "net.ipv4.tcp_keepalive_intvl": 75,
            "net.ipv4.tcp_keepalive_probes": 9,
            "net.ipv4.tcp_keepalive_time": 7200,
            "net.ipv4.tcp_max_syn_backlog": 512,
            "net.ipv4.tcp_max_tw_buckets": 65536,
            "net.ipv4.tcp_mem": [100000, 200000, 300000],
            "net.ipv4.tcp_mtu_probing": 0,
            "net.ipv4.tcp_rmem": [4096, 131072, 6291456],
            "net.ipv4.tcp_slow_start_after_idle": 1,
            "net.ipv4.tcp_syncookies": 2,
            "net.ipv4.tcp_timestamps": 1,
            "net.ipv4.tcp_tw_recycle": None,
            "net.ipv4.tcp_tw_reuse": 2,
            "net.ipv4.tcp_window_scaling": 1,
            "net.ipv4.tcp_wmem": [4096, 16384, 4194304],
            "net.netfilter.nf_conntrack_buckets": 65536,
            "net.netfilter.nf_conntrack_max": 65536,
        }
    },
}


def finding(name: str, remedies: list[str], refused: list[dict[str, str]] | None = None) -> dict[str, Any]:
    return {
        "id": name,
        "severity": "critical",
        "subject": "somebody",
        "remedies": remedies,
        "refused": refused or [],
        "command": "ss -tan",
        "cause": "because",
    }


def changed(path: str, value: Any) -> Facts:
    """The facts with one of them replaced; keys of sysctl.values hold dots, so they come after a slash."""
    facts = copy.deepcopy(FACTS)
    parts = ["sysctl", "values", path[1:]] if path.startswith("/") else path.split(".")
    place: Any = facts
    for part in parts[:-1]:
        place = place[int(part) if part.isdigit() else part]
    place[parts[-1]] = value
    return facts


def planned(facts: Facts, remedy: str, **options: Any) -> dict[str, Any]:
    rows = make_plan(facts, [], {"remedies": [remedy], **options})
    return {row["key"]: row["proposed"] for row in rows if row["status"] == "planned"}


def refusal(facts: Facts, remedy: str, **options: Any) -> str:
    (row,) = make_plan(facts, [], {"remedies": [remedy], **options})
    assert row["status"] == "refused"
    assert any(not guard["holds"] for guard in row["guards"])
    return str(row["refused"])


EXPECTED: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "tw_reuse": ({}, {"net.ipv4.tcp_tw_reuse": 1}),
    "port_range": ({}, {"net.ipv4.ip_local_port_range": [10240, 65535]}),
    "keepalive": (
        {},
        {
            "net.ipv4.tcp_keepalive_time": 300,
            "net.ipv4.tcp_keepalive_intvl": 30,
            "net.ipv4.tcp_keepalive_probes": 5,
        },
    ),
    "accept_backlog": ({}, {"net.core.somaxconn": 4096}),
    "syn_cookies": ({}, {"net.ipv4.tcp_syncookies": 1}),
    # 2 * 1 Gbit/s * 80 ms = 20,000,000 bytes, in whole steps of 64 KiB
    "buffers": (
        {},
        {"net.ipv4.tcp_rmem": [4096, 131072, 20054016], "net.ipv4.tcp_wmem": [4096, 16384, 20054016]},
    ),
    "congestion_control": ({}, {"net.ipv4.tcp_congestion_control": "bbr"}),
    "fin_timeout": ({}, {"net.ipv4.tcp_fin_timeout": 15}),
    "tw_buckets": ({}, {"net.ipv4.tcp_max_tw_buckets": 262144}),
    "conntrack_max": ({}, {"net.netfilter.nf_conntrack_max": 131072}),
    "netdev_queue": ({}, {"net.core.netdev_max_backlog": 2000, "net.core.netdev_budget": 600}),
    "mtu_probing": ({}, {"net.ipv4.tcp_mtu_probing": 1}),
    "rp_filter": ({"asymmetric_interfaces": ["bond0.101"]}, {"net/ipv4/conf/bond0.101/rp_filter": 2}),
    "slow_start": ({}, {"net.ipv4.tcp_slow_start_after_idle": 0}),
    "udp_buffers": ({}, {"net.core.rmem_default": 1048576}),
    "neighbours": (
        {},
        {
            "net.ipv4.neigh.default.gc_thresh1": 256,
            "net.ipv4.neigh.default.gc_thresh2": 1024,
            "net.ipv4.neigh.default.gc_thresh3": 2048,
        },
    ),
}


def test_every_remedy_has_an_expectation() -> None:
    assert list(EXPECTED) == list(REMEDIES)


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_remedy_that_is_asked_for(remedy: str) -> None:
    options, expected = EXPECTED[remedy]
    assert planned(FACTS, remedy, **options) == expected


@pytest.mark.parametrize("remedy", REMEDIES)
def test_missing_facts_are_refused_and_never_raise(remedy: str) -> None:
    rows = make_plan({"meta": {}}, [], {"remedies": [remedy]})
    assert [row["status"] for row in rows] == ["refused"]


REFUSED = [
    ("tw_reuse", "/net.ipv4.tcp_timestamps", 0, "timestamps"),
    ("port_range", "sockets.tcp.listeners_total", 2, "1 of 2 listeners"),
    ("port_range", "/net.ipv4.ip_unprivileged_port_start", 20000, "privileged"),
    ("keepalive", "sockets.tcp.quality.keepalive_share", 0, "SO_KEEPALIVE"),
    ("accept_backlog", "sockets.tcp.listeners.0.backlog", 5, "asked for 5"),
    ("accept_backlog", "tcp.delta.Tcp.PassiveOpens", 0, "hide"),
    ("buffers", "tcp.derived.memory_ratio", 0.9, "90%"),
    ("buffers", "/net.ipv4.tcp_mem", [100, 200, 300], "pressure begins"),
    ("buffers", "/net.ipv4.tcp_window_scaling", 0, "64 KiB"),
    ("buffers", "nic.interfaces.0.speed_mbps", None, "bandwidth unknown"),
    ("congestion_control", "meta.kernel", "4.4.0", "4.9"),
    ("congestion_control", "meta.netns", "blue", "tcp_allowed_congestion_control"),
    ("congestion_control", "meta.container", "docker", "a namespace may have reno, cubic"),
    ("congestion_control", "sockets.tcp.quality.min_rtt_ms", {"median": 0.4, "p95": 0.5}, "datacentre"),
    ("congestion_control", "sockets.tcp.quality.retransmit_ratio", 0.0, "loss"),
    ("congestion_control", "sockets.tcp.quality.retransmit_ratio", 0.3, "loss"),
    ("fin_timeout", "sockets.tcp.orphans.fin_wait2", 0, "0 of orphaned"),
    ("conntrack_max", "conntrack.in_use", False, "not loaded"),
    ("conntrack_max", "meta.memory_bytes", 256 << 20, "allowed"),
    ("rp_filter", "routes.rp_filter", [], "spoofed"),
    ("neighbours", "routes.neighbours.ipv4.usage", 0.1, "room"),
    ("udp_buffers", "sockets.udp.sockets.0.receive_buffer_bytes", 4096, "theirs to raise"),
    ("tw_buckets", "/net.ipv4.tcp_max_tw_buckets", None, "does not exist"),
]


@pytest.mark.parametrize(("remedy", "path", "value", "reason"), REFUSED)
def test_a_guard_that_does_not_hold(remedy: str, path: str, value: Any, reason: str) -> None:
    assert reason in refusal(changed(path, value), remedy)


def test_a_container_cannot_load_bbr_and_a_host_may() -> None:
    facts = changed("/net.ipv4.tcp_available_congestion_control", ["reno", "cubic"])
    assert planned(facts, "congestion_control") == {"net.ipv4.tcp_congestion_control": "bbr"}
    facts["meta"]["container"] = "docker"
    assert "only the host itself can load the module tcp_bbr" in refusal(facts, "congestion_control")


def test_keepalive_must_beat_the_middlebox() -> None:
    assert "idle timeout on the way 200 s" in refusal(FACTS, "keepalive", middlebox_idle_s=200)


def test_keepalive_is_never_made_slower() -> None:
    assert "net.ipv4.tcp_keepalive_time" not in planned(changed("/net.ipv4.tcp_keepalive_time", 60), "keepalive")


def test_listeners_inside_the_new_range_are_reserved_before_it_widens() -> None:
    facts = changed("sockets.tcp.listeners.0.port", 15672)
    rows = make_plan(facts, [], {"remedies": ["port_range"], "reserved_ports": "30000-32767"})
    assert [row["key"] for row in rows] == ["net.ipv4.ip_local_reserved_ports", "net.ipv4.ip_local_port_range"]
    assert rows[0]["proposed"] == "15672,30000-32767"


def test_tw_recycle_is_only_ever_turned_off() -> None:
    assert planned(changed("/net.ipv4.tcp_tw_recycle", 1), "tw_reuse")["net.ipv4.tcp_tw_recycle"] == 0


def test_ports_held_by_open_connections_are_no_case_for_reuse() -> None:
    facts = changed("sockets.tcp.destinations.0.states", {"established": 900})
    rows = make_plan(facts, [finding("tcp.ephemeral_ports", ["tw_reuse", "port_range"])], {})
    statuses = {row["remedy"]: row["status"] for row in rows}
    assert statuses == {"tw_reuse": "refused", "port_range": "planned"}


def test_without_evidence_nothing_is_planned() -> None:
    assert make_plan(FACTS, [], {}) == []


def test_evidence_is_named_beside_what_it_asks_for() -> None:
    (row,) = make_plan(FACTS, [finding("tcp.time_wait_overflow", ["tw_buckets"])], {})
    assert row["evidence"] == [{"id": "tcp.time_wait_overflow", "subject": "somebody"}]
    assert row["memory_cost"] == (262144 - 65536) * 256
    assert row["verify_by"] == "tcp.delta.TcpExt.TCPTimeWaitOverflow"


def test_a_restart_is_named() -> None:
    (row,) = make_plan(FACTS, [finding("tcp.accept_queue", ["accept_backlog"])], {})
    assert row["restart_needed"] == ["nginx.service"]


def test_what_a_rule_refuses_stays_refused() -> None:
    evidence = finding("tcp.accept_queue", [], [{"remedy": "accept_backlog", "why": "its own listen() is the limit"}])
    (row,) = make_plan(FACTS, [evidence], {})
    assert (row["status"], row["refused"]) == ("refused", "its own listen() is the limit")


def test_what_no_setting_cures_names_its_owner_and_the_next_command() -> None:
    (row,) = make_plan(FACTS, [finding("tcp.close_wait_leak", [])], {})
    assert row["status"] == "refused"
    assert row["owner"] == "somebody"
    assert row["command"] == "ss -tan"


def test_memory_is_budgeted_over_the_whole_plan() -> None:
    rows = make_plan(FACTS, [], {"remedies": ["tw_buckets"], "memory_share": 0.001})
    assert rows[0]["status"] == "refused"
    assert [guard["name"] for guard in rows[0]["guards"] if not guard["holds"]] == ["within the memory budget"]


@pytest.mark.parametrize("remedy", REMEDIES)
def test_a_second_plan_changes_nothing_once_the_evidence_is_gone(remedy: str) -> None:
    options, __ = EXPECTED[remedy]
    facts = copy.deepcopy(FACTS)
    facts["sysctl"]["values"].update(planned(facts, remedy, **options))
    facts["sockets"]["tcp"]["listeners"][0].update(fill=0.0, drops_delta=0)
    facts["sockets"]["udp"]["sockets"] = []
    facts["tcp"]["softnet"]["delta"] = {"dropped": 0, "squeezed": 0}
    facts["conntrack"].update(max=131072, usage=0.46)
    facts["routes"]["neighbours"]["ipv4"]["usage"] = 0.45
    facts["routes"]["rp_filter"][0]["effective"] = 2
    facts["sysctl"]["values"]["net.core.rmem_max"] = 1048576
    again = make_plan(facts, [], {"remedies": [remedy], **options})
    assert [row for row in again if row["status"] == "planned"] == []


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"remedies": ["tcp_magic"]}, "'tcp_magic' is not a remedy; accepted are tw_reuse, "),
        ({"remedies": "all"}, "give auto or a list"),
        ({"speed": 1}, "'speed' is not an option; accepted are remedies, "),
        ({"rtt_ms": "slow"}, "rtt_ms: 'slow' is not accepted; give a number from 0.01 to 60000"),
        ({"keepalive_time_s": True}, "keepalive_time_s: True is not accepted"),
        ({"port_range": [1025, 65535]}, "one end must be even and one odd"),
        ({"port_range": "60000 2000"}, "lowest first"),
        ({"port_range": 5}, "give the lowest and the highest port"),
    ],
)
def test_a_wrong_policy_is_refused_in_one_sentence(options: dict[str, Any], sentence: str) -> None:
    with pytest.raises(PolicyError) as caught:
        make_plan(FACTS, [], options)
    assert sentence in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("current", "stated", "ports", "expected"),
    [
        ("", "", [], ""),
        ("8080", "", [], "8080"),
        ("1-3,9", "4", [5, 11], "1-5,9,11"),
        (8080, "8081", [], "8080-8081"),
        (None, "", [7, 7], "7"),
    ],
)
def test_port_lists_are_united(current: object, stated: str, ports: list[int], expected: str) -> None:
    assert merged_ports(current, stated, ports) == expected


@pytest.mark.parametrize("name", list(REMEDIES))
def test_a_remedy_sets_only_what_it_names(name: str) -> None:
    remedy = REMEDIES[name]
    rows = make_plan(FACTS, [], {"remedies": [name]})
    assert remedy.propose.__doc__
    for row in rows:
        assert row["key"] is None or any(fnmatch.fnmatchcase(row["key"], key) for key in remedy.keys)
