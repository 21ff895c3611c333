# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the rules take for one host, and for a fleet. Goal: at most 10 ms a host with 50 KB of facts.

Usage: python tests/bench/findings.py [HOSTS]   (2000 by default), with the root above ansible_collections on
PYTHONPATH.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue, facts_of, judge

ROUNDS = 50
GOAL_MS = 10.0


def busy_host(rows: int = 10) -> dict[str, Any]:
    """Facts of a busy host, each list full; every tenth row is at fault."""
    process = {"pid": 4711, "command": "backend", "unit": "backend.service", "container": None}
    quality = [
        {
            "address": f"10.0.{row}.7",
            "port": 443,
            "connections": 40,
            "rtt_ms": 31.5,
            "min_rtt_ms": 28.0,
            "retransmit_ratio": 0.002,
            "retransmitted_delta": row % 10,
            "lost": 0,
            "sndbuf_limited_share": 0.01,
            "rwnd_limited_share": 0.02,
            "reordering": 3,
            "path_mtu": 1500,
            "processes": [process],
        }
        for row in range(rows)
    ]
    listeners = [
        {
            "address": "0.0.0.0",
            "port": 8000 + row,
            "family": "dual",
            "accept_queue": 129 if row % 10 == 9 else 0,
            "accept_queue_before": 129 if row % 10 == 9 else 0,
            "backlog": 128,
            "fill": 0.0,
            "drops": 5,
            "drops_delta": 0,
            "syn_recv": row % 3,
            "connections": 100,
            "processes": [process] * 3,
        }
        for row in range(rows)
    ]
    destinations = [
        {
            "source": "10.0.0.1",
            "address": f"10.1.{row}.9",
            "port": 5432,
            "ports_used": 24000 if row == 0 else 30,
            "capacity": 28232,
            "port_usage": 0.85 if row == 0 else 0.001,
            "sustainable_per_s": 470.5,
            "states": {"established": 30, "time_wait": 23970 if row == 0 else 0},
            "syn_sent_delta": 0,
            "syn_sent_retried": 0,
            "processes": [process],
        }
        for row in range(rows)
    ]
    names = [f"{kind}{number}" for kind in ("rx_packets", "tx_bytes", "rx_errors") for number in range(9)]
    interfaces = [
        {
            "name": f"eth{row}",
            "kind": "physical",
            "virtual": False,
            "admin_up": True,
            "carrier": row % 10 != 9,
            "carrier_changes": 2,
            "carrier_changes_delta": 0,
            "speed_mbps": 10000,
            "best_speed_mbps": 10000,
            "duplex": "full",
            "mtu": 1500,
            "addresses": ["10.0.0.1/24"],
            "counters": dict.fromkeys(names, 123456789),
            "delta": dict.fromkeys(names, 1234),
            "rates": dict.fromkeys(names, 1233.5),
            "errors": dict.fromkeys(("crc", "frame", "length", "missed", "fifo", "no_buffer", "carrier", "dropped"), 0),
            "errors_delta": dict.fromkeys(("crc", "frame", "length", "missed", "fifo", "no_buffer", "carrier"), 0),
            "ring": {"rx": 256, "rx_max": 4096},
            "queues": {"rx": 0, "combined": 4, "combined_max": 4},
            "qdisc": [{"kind": "fq_codel", "drops": 7, "drops_delta": 0, "backlog_bytes": 0}],
            "utilisation": {"rx": 0.2, "tx": 0.3},
            "error_ratio": 0.0,
            "has_default_route": row == 0,
        }
        for row in range(rows)
    ]
    counters = {f"Counter{number}": 1234567890 for number in range(130)}
    return {
        "meta": {"kernel": "6.1.0-18-amd64", "uptime_s": 86400.0, "interval_s": 1.0, "netns": None},
        "sockets": {
            "available": True,
            "tcp": {
                "states": {"established": 1200, "time_wait": 24000},
                "listeners": listeners,
                "destinations": destinations,
                "processes": [
                    {
                        **process,
                        "states": {"close_wait": 3},
                        "close_wait_persistent": 3,
                        "close_wait_delta": 0,
                        "peers": [],
                    }
                    for __ in range(rows)
                ],
                "close_wait": {"total": 30, "unowned": 0},
                "orphans": {"fin_wait2": 12},
                "syn_recv_sources": [{"address": f"192.0.2.{row}", "count": 1} for row in range(rows)],
                "queues": {"receive": [], "send": []},
                "stalled": [],
                "quality": {
                    "connections": 1200,
                    "idle_connections": 300,
                    "keepalive_share": 0.4,
                    "flows": [{"local": "10.0.0.1:443", "peer": "10.9.9.9:5", "rx_mbps": 3.0, "tx_mbps": 4.0}] * rows,
                    "destinations": quality,
                },
            },
            "udp": {"sockets": [{"address": "0.0.0.0", "port": row, "drops_delta": 0} for row in range(rows)]},
        },
        "tcp": {
            "counters": {"TcpExt": counters},
            "delta": {"TcpExt": {**counters, "ListenOverflows": 3, "SyncookiesSent": 0}, "Tcp": {"InSegs": 90000}},
            "rates": {"TcpExt": counters},
            "derived": {
                "retransmit_ratio": 0.02,
                "retransmitted_segments": 400,
                "data_segments_sent": 20000,
                "resets_sent_per_s": 3.0,
            },
            "softnet": {"delta": {"dropped": 0, "squeezed": 3}, "rates": {"squeezed": 3.0}},
        },
        "nic": {"interfaces": interfaces},
        "conntrack": {"in_use": True, "usage": 0.3, "count": 78000, "max": 262144, "entries_per_bucket": 4.0},
        "sysctl": {
            "values": {
                "net.core.somaxconn": 128,
                "net.ipv4.tcp_timestamps": 1,
                "net.ipv4.tcp_tw_reuse": 2,
                "net.ipv4.tcp_syncookies": 1,
                "net.ipv4.tcp_congestion_control": "cubic",
                "net.ipv4.tcp_rmem": [4096, 131072, 6291456],
                "net.ipv4.tcp_wmem": [4096, 16384, 4194304],
                "net.ipv4.tcp_keepalive_time": 7200,
                "net.ipv4.tcp_keepalive_intvl": 75,
                "net.ipv4.tcp_keepalive_probes": 9,
            }
        },
        "routes": {"default": [{"gateway": "10.0.0.254", "interface": "eth0", "gateway_state": "reachable"}]},
        "resolver": {"queries_per_short_name": 4, "search": ["example.org"], "options": {"ndots": 1}},
    }


def _timed_ms(function: Any, *arguments: Any) -> float:
    started = time.perf_counter()
    function(*arguments)
    return (time.perf_counter() - started) * 1000


def main(hosts: int) -> int:
    text = json.dumps(busy_host(), separators=(",", ":"))
    made = _timed_ms(Catalogue)
    catalogue = Catalogue()
    found = judge(facts_of(text), catalogue)
    one = statistics.median(_timed_ms(lambda: judge(facts_of(text), catalogue)) for __ in range(ROUNDS))
    fleet_s = _timed_ms(lambda: [judge(facts_of(text), catalogue) for __ in range(hosts)]) / 1000
    print(f"{len(catalogue.rules)} rules, {len(text) / 1024:.0f} KB of facts, {len(found)} findings")
    print(f"catalogue, cold   {made:8.2f} ms")
    print(f"one host, median  {one:8.2f} ms   goal {GOAL_MS:.0f} ms")
    print(f"{hosts} hosts      {fleet_s:8.2f} s")
    return 0 if one <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
