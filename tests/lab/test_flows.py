# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who uses the bandwidth of a link, and all figures of a connection, beside ss and the interface's own counters."""

from __future__ import annotations

import os
import re
import signal
import time
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab.auditing import Audit, audit
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until
from ansible_collections.nettriage.linux.tests.lab.test_sockets_oracle import collect

_RATE_MBPS = 40
_PORT = 873
_UNITS = {"bps": 1e-6, "Kbps": 1e-3, "Mbps": 1.0, "Gbps": 1e3, "Tbps": 1e6}


def _acked(namespace: Namespace, port: int) -> int:
    """How many bytes of all connections to *port* were acknowledged, by ss."""
    lines = namespace.ss(f"-tiO state established dport = :{port}")
    return sum(int(found) for line in lines for found in re.findall(r"bytes_acked:(\d+)", line))


def _as_cable(facts: dict[str, Any], interface: str) -> Audit:
    """The findings as if *interface* were a card: no rule believes the speed that a TUN interface states."""
    (row,) = (row for row in facts["nic"]["interfaces"] if row["name"] == interface)
    row["virtual"] = False
    return Audit(facts, evaluate(facts))


def test_a_full_link_names_who_fills_it(lab: Lab) -> None:
    """Two programs on one line; the figures are those of ss and of the interface within a tenth."""
    client, server = lab.namespace("client"), lab.namespace("server")
    line = lab.line(client, server, 1, rate_mbps=_RATE_MBPS)
    client.run("ethtool", "-s", line.interfaces[0], "speed", str(_RATE_MBPS), "duplex", "full")
    server.start("backend", "archived", "serve", f"0.0.0.0:{_PORT}", f"[{line.addresses6[1]}]:{_PORT}", "0.0.0.0:80")
    small = client.start("sender", "metrics", 2, 2048, 20, f"{line.addresses[1]}:80")
    idle = _as_cable(audit(client).facts, line.interfaces[0])
    idle.silent("nic.saturated")

    big = client.start(
        "sender", "rsync", 2, 65536, 5, f"{line.addresses[1]}:{_PORT}", f"[{line.addresses6[1]}]:{_PORT}"
    )
    begun = _acked(client, _PORT)
    wait_until(lambda: _acked(client, _PORT) > begun + 4_000_000, "a full line")
    before, started = _acked(client, _PORT), time.monotonic()
    facts = audit(client, interval=2.0).facts
    by_ss = (_acked(client, _PORT) - before) * 8e-6 / (time.monotonic() - started)

    bandwidth = facts["sockets"]["tcp"]["bandwidth"]
    first, second = bandwidth["processes"][:2]
    assert (first["pid"], first["command"], first["connections"]) == (big.pid, "rsync", 4)
    assert (second["pid"], second["command"], second["connections"]) == (small.pid, "metrics", 2)
    assert first["tx_mbps"] == pytest.approx(by_ss, rel=0.1)
    assert second["tx_mbps"] == pytest.approx(2 * 2048 * 8e-6 / 0.02, rel=0.3)  # a busy machine skips steps
    places = {(row["address"], row["port"]): row for row in bandwidth["destinations"]}
    assert set(places) == {(line.addresses[1], _PORT), (line.addresses6[1], _PORT), (line.addresses[1], 80)}
    assert sum(row["tx_mbps"] for row in places.values()) == pytest.approx(bandwidth["tx_mbps"], abs=0.01)
    assert [process["pid"] for process in places[line.addresses6[1], _PORT]["processes"]] == [big.pid]
    (interface,) = bandwidth["interfaces"]
    assert interface["name"] == line.interfaces[0]
    (row,) = (row for row in facts["nic"]["interfaces"] if row["name"] == line.interfaces[0])
    assert interface["tx_mbps"] == pytest.approx(row["tx_mbps"], rel=0.1)

    finding = _as_cable(facts, line.interfaces[0]).one("nic.saturated", "rsync", big.pid, line.addresses6[1])
    assert finding["title"].partition("most by ")[2].startswith(f"rsync[{big.pid}]")
    assert finding["evidence"]["connections_share"] > 0.9
    assert "packets wait" in finding["cause"] and "no TCP connection" not in finding["cause"]


def test_traffic_that_is_forwarded_is_nobodys(lab: Lab) -> None:
    """A router whose line is full has no connection that could be named, and says so."""
    client, router = lab.namespace("client"), lab.namespace("router")
    near = lab.connect(client, router)
    server = lab.namespace("server")
    far = lab.line(router, server, 1, rate_mbps=_RATE_MBPS)
    router.run("ethtool", "-s", far.interfaces[0], "speed", str(_RATE_MBPS), "duplex", "full")
    router.sysctl("net.ipv4.ip_forward", 1)
    client.ip(f"route add default via {near.addresses[1]}")
    server.ip(f"route add default via {far.addresses[0]}")
    server.start("backend", "archived", "serve", f"0.0.0.0:{_PORT}")
    client.start("sender", "rsync", 4, 65536, 5, f"{far.addresses[1]}:{_PORT}")
    wait_until(lambda: _acked(client, _PORT) > 4_000_000, "a full line")
    finding = _as_cable(audit(router).facts, far.interfaces[0]).one("nic.saturated", far.interfaces[0])
    assert "no connection that could be seen" in finding["title"]
    assert "forwarded" in finding["cause"]


# Fields of tcp_info by their names in ss: numbers that stand still while nothing is sent.
_SAME = {
    "mss": "mss",
    "pmtu": "path_mtu",
    "rcvmss": "receive_mss",
    "advmss": "advertised_mss",
    "cwnd": "congestion_window",
    "ssthresh": "slow_start_threshold",
    "bytes_sent": "bytes_sent",
    "bytes_retrans": "bytes_retransmitted",
    "bytes_acked": "bytes_acked",
    "bytes_received": "bytes_received",
    "segs_out": "segments_out",
    "segs_in": "segments_in",
    "data_segs_out": "data_segments_out",
    "data_segs_in": "data_segments_in",
    "delivered": "delivered_segments",
    "dsack_dups": "spurious_retransmits",
    "reordering": "reordering",
    "reord_seen": "reordering_seen",
    "rcv_ooopack": "out_of_order_segments",
    "rcv_space": "receive_space_bytes",
    "snd_wnd": "send_window_bytes",
    "rcv_wnd": "receive_window_bytes",
    "unacked": "unacked",
    "lost": "lost",
    "sacked": "sacked",
    "notsent": "bytes_not_sent",
    "backoff": "backoff",
}
_TIMES = {"rto": "retransmit_timeout_ms", "minrtt": "min_rtt_ms", "rcv_rtt": "receive_rtt_ms"}
_AGES = {"lastsnd": "last_sent_ms", "lastrcv": "last_received_ms", "lastack": "last_ack_received_ms"}
_RATES = {"pacing_rate": "pacing_mbps", "delivery_rate": "delivery_mbps"}


def _mbps(text: str) -> float:
    number, unit = re.fullmatch(r"([\d.]+)([A-Za-z]*)", text).groups()  # type: ignore[union-attr]
    return float(number) * _UNITS[unit or "bps"]


def _compare(line: str, row: dict[str, Any]) -> set[str]:
    """Compare a line of ``ss -tino`` with the row of the same connection; return the names that ss shows."""
    info = row["tcp_info"]
    words = line.split()
    shown = dict(word.split(":", 1) for word in words[4:] if ":" in word)
    pairs = dict(zip(words, words[1:]))
    for theirs, ours in _SAME.items():
        if theirs in shown:
            assert info[ours] == int(shown[theirs]), (theirs, line)
    for theirs, ours in _TIMES.items():
        if theirs in shown:
            assert info[ours] == pytest.approx(float(shown[theirs]), abs=1), (theirs, line)
    for theirs, ours in _AGES.items():
        if theirs in shown:
            assert info[ours] == pytest.approx(int(shown[theirs]), abs=5000), (theirs, line)
    for theirs, ours in _RATES.items():
        if theirs in pairs:
            assert info[ours] == pytest.approx(_mbps(pairs[theirs]), rel=0.01), (theirs, line)
    smoothed, variation = map(float, shown["rtt"].split("/"))
    assert (info["rtt_ms"], info["rtt_variation_ms"]) == (pytest.approx(smoothed), pytest.approx(variation))
    assert f"{info['send_window_scale']},{info['receive_window_scale']}" == shown["wscale"]
    assert {"timestamps": "ts", "sack": "sack"}.keys() <= set(info["options"]) and {"ts", "sack"} <= set(words)
    assert info["delivery_app_limited"] is ("app_limited" in words)
    if "retrans" in shown:
        assert f"{info['retransmitted_unacked']}/{info['retransmitted_total']}" == shown["retrans"]
    if "busy" in shown:
        assert info["busy_ms"] == pytest.approx(int(shown["busy"].removesuffix("ms")), abs=1)
    for name in ("rwnd_limited", "sndbuf_limited"):
        share = re.search(r"\(([\d.]+)%\)", shown.get(name, ""))
        assert (info[f"{name}_share"] or 0.0) * 100 == pytest.approx(float(share[1]) if share else 0.0, abs=0.1), (
            name,
            line,
        )
    timer = re.match(r"\((\w+),([^,]*),(\d+)\)", shown.get("timer", ""))
    assert (row["timer"] or "") == ({"on": "retransmit"}.get(timer[1], timer[1]) if timer else "")
    return {*shown, *pairs}


def test_every_figure_of_a_connection_is_that_of_ss(lab: Lab) -> None:
    """On a lossy, slow line, after the senders were halted and everything had arrived."""
    client, server = lab.namespace("client"), lab.namespace("server")
    line = lab.line(client, server, 5, loss=0.02, rate_mbps=_RATE_MBPS)
    server.start("backend", "archived", "serve", f"0.0.0.0:{_PORT}")
    sender = client.start("sender", "rsync", 3, 65536, 5, f"{line.addresses[1]}:{_PORT}")
    wait_until(lambda: _acked(client, _PORT) > 2_000_000, "some traffic", 30)
    client.start("client", "keeper", "alive", 1, f"{line.addresses[1]}:{_PORT}")
    os.kill(sender.pid, signal.SIGSTOP)
    under_way = re.compile("unacked:|notsent:")
    wait_until(lambda: not under_way.search("".join(client.ss("-tiO state established"))), "silence", 30)
    seen: set[str] = set()
    for host in (client, server):
        rows = {
            (f"{row['local_address']}:{row['local_port']}", f"{row['peer_address']}:{row['peer_port']}"): row
            for row in collect(host.name, states=["established"])["connections"]
        }
        lines = host.ss("-tinoO state established")
        assert len(lines) == len(rows) >= 4
        for text in lines:
            seen |= _compare(text, rows[text.split()[2], text.split()[3]])
    wanted = {"retrans", "ssthresh", "bytes_retrans", "rcv_ooopack", "pacing_rate", "delivery_rate", "busy", "timer"}
    assert wanted <= seen, wanted - seen
    os.kill(sender.pid, signal.SIGCONT)
