# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Long paths that buffers or the congestion control keep slow: measured before and after the real playbook."""

from __future__ import annotations

import json
import pathlib

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until
from ansible_collections.nettriage.linux.tests.lab.tuning import Tuner, mbps

SMALL = "4096 65536 65536"
ALGORITHM = "net.ipv4.tcp_congestion_control"
RECEIVE, SEND = "net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"


def loss_based(host: Namespace) -> str:
    """A congestion control that takes loss for congestion, and that a namespace may have here."""
    allowed = host.sysctl("net.ipv4.tcp_allowed_congestion_control").split()
    return "cubic" if "cubic" in allowed else "reno"


def test_stated_buffers_fill_a_long_path(lab: Lab, tmp_path: pathlib.Path) -> None:
    """64 KiB on both ends of 80 ms: many times faster after the plan; a second run changes nothing; back again."""
    client, server = lab.namespace("client"), lab.namespace("server")
    where = f"{lab.line(client, server, 40, rate_mbps=100).addresses[1]}:8001"
    server.start("backend", "archive", "serve", where)
    for host in (client, server):
        host.sysctl(RECEIVE, SMALL)
        host.sysctl(SEND, SMALL)
    tune = Tuner(tmp_path, client, server)
    was = [tune.values(host) for host in tune.hosts]
    stated = {"tune_remedies": ["buffers"], "tune_rtt_ms": 80, "tune_bandwidth_mbps": 100}

    before = mbps(client, where, 1 << 20)
    done = tune.tuned(**stated)
    # Twice 100 Mbit/s times 80 ms, in steps of 64 KiB.
    for host in tune.hosts:
        assert tune.values(host)[RECEIVE] == tune.values(host)[SEND] == "4096 65536 2031616", done.text
    after = mbps(client, where, 6 << 20)
    print(f"buffers, both ends, 80 ms: {before:.1f} -> {after:.1f} Mbit/s")
    assert after > 3 * before, f"{before:.1f} Mbit/s before, {after:.1f} Mbit/s after"

    assert tune.tuned(**stated).changed() == 0
    assert tune("rollback").returncode == 0
    assert [tune.values(host) for host in tune.hosts] == was


def test_a_sender_that_its_buffer_limits(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Its connections show it: planned without a request, kept, carried out from the saved plan, and faster then."""
    client, server = lab.namespace("client"), lab.namespace("server")
    where = f"{lab.line(client, server, 40).addresses[1]}:8001"
    server.start("backend", "archive", "serve", where)
    client.sysctl(SEND, SMALL)
    client.sysctl(ALGORITHM, loss_based(client))
    before = mbps(client, where, 1 << 20)
    uploader = client.start("sender", "uploader", 1, 1 << 14, 1, where)
    wait_until(lambda: "sndbuf_limited" in client.ss("-tiO dport = :8001")[0], "a sender that its buffer limits")
    tune = Tuner(tmp_path, client)
    was, plan = tune.values(), str(tmp_path / "plan.json")

    unstated = tune.tuned("--check")
    assert "state rtt_ms and bandwidth_mbps where they cannot be measured" in unstated.words
    looked = tune.tuned("--check", tune_bandwidth_mbps=50, tune_plan_file=plan)
    assert "net.ipv4.tcp_wmem: 4096 65536 65536 -> 4096 65536" in looked.words
    assert tune.values() == was
    rows = json.loads((tmp_path / "plan.json").read_text())["hosts"]["client"]
    (row,) = (row for row in rows if row["key"] == SEND)
    assert [found["id"] for found in row["evidence"]] == ["tcp.buffers_below_bdp"]
    (guard,) = (guard for guard in row["guards"] if guard["name"] == "fits into tcp_mem")
    assert guard["holds"] and "this namespace does not show tcp_mem" in guard["detail"]

    done = tune.tuned(tune_bandwidth_mbps=50, tune_plan_file=plan)
    assert done.changed() and tune.values()[SEND] == " ".join(map(str, row["proposed"]))
    uploader.stop()
    after = mbps(client, where, 6 << 20)
    print(f"send buffer, on evidence, 80 ms: {before:.1f} -> {after:.1f} Mbit/s")
    assert after > 3 * before, f"{before:.1f} Mbit/s before, {after:.1f} Mbit/s after"


def test_a_long_path_that_loses_packets(lab: Lab, tmp_path: pathlib.Path) -> None:
    """BBR on evidence: new connections are several times faster."""
    client, server = lab.namespace("client"), lab.namespace("server")
    if "bbr" not in client.sysctl("net.ipv4.tcp_allowed_congestion_control").split():
        pytest.skip("a namespace may not have bbr here: net.ipv4.tcp_allowed_congestion_control of the host lacks it")
    client.sysctl(ALGORITHM, loss_based(client))
    where = f"{lab.line(client, server, 30, loss=0.015, rate_mbps=50).addresses[1]}:8001"
    server.start("backend", "archive", "serve", where)
    before = mbps(client, where, 1 << 20)
    uploader = client.start("sender", "uploader", 4, 1 << 20, 5, where)
    wait_until(lambda: client.counter("TcpRetransSegs") > 30, "retransmissions")
    tune = Tuner(tmp_path, client)

    done = tune.tuned()
    assert done.changed() and tune.values()[ALGORITHM] == "bbr", done.text
    uploader.stop()
    after = mbps(client, where, 4 << 20)
    print(f"BBR, 60 ms, 1.5 % loss: {before:.1f} -> {after:.1f} Mbit/s")
    assert after > 3 * before, f"{before:.1f} Mbit/s before, {after:.1f} Mbit/s after"


def test_no_bbr_within_a_datacentre(lab: Lab, tmp_path: pathlib.Path) -> None:
    """The same loss over a short cable: asked for by name, and refused for the round-trip time."""
    client, server, link = lab.pair()
    client.sysctl(ALGORITHM, loss_based(client))
    where = f"{link.addresses[1]}:8001"
    server.start("backend", "archive", "serve", where)
    server.filter("input", "tcp dport 8001 numgen random mod 100 < 2 drop")
    client.start("sender", "uploader", 8, 32768, 20, where)
    wait_until(lambda: client.counter("TcpRetransSegs") > 30, "retransmissions")
    tune = Tuner(tmp_path, client)
    was = tune.values()

    looked = tune.tuned("--check", tune_remedies=["congestion_control"])
    done = tune.tuned(tune_remedies=["congestion_control"])
    for run in (looked, done):
        assert "within a datacentre BBR gains nothing and takes from others" in run.words
        assert run.changed() == 0
    assert tune.values() == was
