# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets that a process, or its peer, leaves standing."""

from __future__ import annotations

import re

from ansible_collections.nettriage.linux.tests.lab.auditing import AuditMany, AuditOne, refused
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until

_IDLE_MS = 60_000


def _count(host: Namespace, state: str) -> int:
    return len(host.ss(f"-t state {state}"))


def _queues(host: Namespace) -> list[tuple[int, int]]:
    """(Recv-Q, Send-Q) of every established socket, as ss shows them."""
    return [(int(line.split()[0]), int(line.split()[1])) for line in host.ss("-t state established")]


def _idle_ms(host: Namespace) -> int:
    """How long the busiest connection has had no data, in either direction."""
    shown = " ".join(host.ss("-tOi state established"))
    return min(map(int, re.findall(r"last(?:snd|rcv):(\d+)", shown)))


def test_close_wait_leaks(lab: Lab, audits: AuditMany) -> None:
    """A process that never closes what its peer closed: a growing leak is critical, a standing one a warning."""
    server = lab.namespace("server")
    growing, standing, twin = lab.namespace("growing"), lab.namespace("standing"), lab.namespace("twin")
    addresses = [lab.connect(host, server).addresses[1] for host in (growing, standing, twin)]
    server.start("backend", "leaver", "leave", "0.0.0.0:8001")
    leak = growing.start("client", "leaky-app", "leak", 60, f"{addresses[0]}:8001")
    still = standing.start("client", "still-app", "hold", 60, f"{addresses[1]}:8001")
    twin.start("client", "fine-app", "churn", 1, f"{addresses[2]}:8001")
    for host in (growing, standing):
        wait_until(lambda host=host: _count(host, "close-wait") >= 60, "60 sockets in CLOSE_WAIT")  # type: ignore[misc]

    worse, bad, healthy = audits(growing, standing, twin)
    finding = worse.one("tcp.close_wait_leak", "leaky-app", leak.pid)
    assert finding["severity"] == "critical"
    assert not finding["remedies"] and refused(finding)
    (row,) = (row for row in worse.facts["sockets"]["tcp"]["processes"] if row["pid"] == leak.pid)
    assert row["close_wait_persistent"] >= 60 and row["close_wait_delta"] > 0
    finding = bad.one("tcp.close_wait_leak", "still-app", still.pid)
    assert finding["severity"] == "warning"
    healthy.silent("tcp.close_wait_leak")


def test_a_leak_spread_over_the_workers_of_a_server(lab: Lab, audits: AuditMany) -> None:
    """No worker alone has many, all together do; the twin's workers have few."""
    server, twin, client = lab.namespace("server"), lab.namespace("twin"), lab.namespace("client")
    addresses = [lab.connect(client, host).addresses[1] for host in (server, twin)]
    parent = server.start("workers", "pre-fork", 8, "0.0.0.0:8001")
    twin.start("workers", "pre-fork", 8, "0.0.0.0:8001")
    for address, count in zip(addresses, (160, 24)):
        client.start("client", "caller", "close", count, f"{address}:8001")
    wait_until(lambda: _count(server, "close-wait") == 160, "160 sockets in CLOSE_WAIT")

    sick, healthy = audits(server, twin)
    rows = sick.facts["sockets"]["tcp"]["processes"]
    assert max(row["states"].get("close_wait", 0) for row in rows) < 160, "one worker took them all"
    finding = sick.one("tcp.close_wait_leak", "pre-fork")
    assert finding["evidence"]["close_wait"] == 160
    assert parent.pid not in finding["evidence"]["pids"]
    assert 1 < finding["evidence"]["processes_total"] <= 8
    healthy.silent("tcp.close_wait_leak")


def test_orphaned_fin_wait2(lab: Lab, audits: AuditMany) -> None:
    """This side has closed and gone, the peer never closes: orphans in FIN_WAIT2."""
    server = lab.namespace("server")
    sick, twin = lab.namespace("sick"), lab.namespace("twin")
    one, other = lab.connect(sick, server).addresses[1], lab.connect(twin, server).addresses[1]
    twin.sysctl("net.ipv4.tcp_rfc1337", 1)  # a late duplicate's RST must not end a TIME_WAIT that is counted
    server.start("backend", "keeper", "keep", "0.0.0.0:8001")
    server.start("backend", "backend", "serve", "0.0.0.0:8002")
    sick.start("client", "closer", "close", 1200, f"{one}:8001")
    twin.start("client", "closer", "close", 1200, f"{other}:8002")
    wait_until(lambda: _count(sick, "fin-wait-2") == 1200, "1200 sockets in FIN_WAIT2")
    wait_until(lambda: _count(twin, "time-wait") == 1200, "1200 sockets in TIME_WAIT")

    found, healthy = audits(sick, twin)
    assert found.facts["sockets"]["tcp"]["orphans"]["fin_wait2"] == 1200
    finding = found.one("tcp.fin_wait2")
    assert finding["remedies"] == ["fin_timeout"]
    healthy.silent("tcp.fin_wait2")
    assert healthy.facts["sockets"]["tcp"]["orphans"]["fin_wait2"] == 0


def test_a_reader_that_does_not_read(lab: Lab, audits: AuditMany) -> None:
    """Receive queue at one end, send queue at the other; each end names its process, and the twins are silent."""
    server, client = lab.namespace("server"), lab.namespace("client")
    twin_server, twin_client = lab.namespace("tserver"), lab.namespace("tclient")
    link, twin_link = lab.connect(client, server), lab.connect(twin_client, twin_server)
    reader = server.start("backend", "slow-reader", "hold", "0.0.0.0:8001")
    twin_server.start("backend", "backend", "serve", "0.0.0.0:8001")
    sender = client.start("sender", "pusher", 1, 1 << 20, 5, f"{link.addresses[1]}:8001")
    twin_client.start("sender", "pusher", 1, 1 << 14, 5, f"{twin_link.addresses[1]}:8001")
    wait_until(lambda: any(received > 1 << 16 for received, __ in _queues(server)), "the receive queue stands")
    wait_until(lambda: "timer:(persist" in "".join(client.ss("-to")), "the sender probes a window that is closed")

    at_server, at_client, *healthy = audits(server, client, twin_server, twin_client)
    finding = at_server.one("tcp.slow_reader", "slow-reader", reader.pid)
    assert refused(finding) and not finding["remedies"]
    at_client.one("tcp.send_queue", "pusher", sender.pid, link.addresses[1])
    at_client.silent("tcp.slow_reader")
    for host in healthy:
        host.silent("tcp.slow_reader", "tcp.send_queue")


def test_keepalive_is_inert_without_so_keepalive(lab: Lab, audits: AuditMany) -> None:
    """Idle connections that never asked for keepalive: no sysctl helps them; those that asked are another case."""
    server, without, twin = lab.namespace("server"), lab.namespace("without"), lab.namespace("twin")
    one, other = lab.connect(without, server).addresses[1], lab.connect(twin, server).addresses[1]
    for key, value in (("time", 300), ("intvl", 30), ("probes", 5)):
        twin.sysctl(f"net.ipv4.tcp_keepalive_{key}", value)
    server.start("backend", "backend", "serve", "0.0.0.0:8001")
    without.start("client", "idle-pool", "hold", 20, f"{one}:8001")
    twin.start("client", "idle-pool", "alive", 20, f"{other}:8001")

    changed = lab.namespace("changed")
    changed.sysctl("net.ipv4.tcp_keepalive_time", 300)
    changed.start("client", "idle-pool", "hold", 20, f"{lab.connect(changed, server).addresses[1]}:8001")

    for host in (without, changed, twin):
        wait_until(lambda host=host: _idle_ms(host) > _IDLE_MS, "connections idle for a minute", _IDLE_MS / 500)  # type: ignore[misc]

    found, inert, healthy = audits(without, changed, twin)
    inert.one("sysctl.keepalive_inert")
    assert found.facts["sockets"]["tcp"]["quality"]["keepalive_share"] == 0
    assert healthy.facts["sockets"]["tcp"]["quality"]["keepalive_share"] == 1
    finding = found.one("tcp.keepalive_slow")
    assert "keepalive" in refused(finding)
    healthy.silent("tcp.keepalive_slow", "sysctl.keepalive_inert")


def test_tw_reuse_is_inert_without_timestamps(lab: Lab, audits: AuditMany) -> None:
    """tcp_tw_reuse=1 with tcp_timestamps=0 reuses nothing."""
    sick, twin = lab.namespace("sick"), lab.namespace("twin")
    for host in (sick, twin):
        host.sysctl("net.ipv4.tcp_tw_reuse", 1)
    sick.sysctl("net.ipv4.tcp_timestamps", 0)
    found, healthy = audits(sick, twin)
    finding = found.one("sysctl.timestamps_off")
    assert "tw_reuse" in str(finding)
    healthy.silent("sysctl.timestamps_off")


def test_rp_filter_zero_under_all_is_inert(lab: Lab, audit: AuditOne) -> None:
    """The effective value is the larger one of all and the interface's own."""
    client, __, link = lab.pair()
    client.sysctl("net.ipv4.conf.all.rp_filter", 1)
    client.sysctl(f"net.ipv4.conf.{link.interfaces[0]}.rp_filter", 0)
    found = audit(client, interval=0)
    (row,) = (row for row in found.facts["routes"]["rp_filter"] if row["interface"] == link.interfaces[0])
    assert (row["all"], row["value"], row["effective"]) == (1, 0, 1)
    found.names("sysctl.rp_filter_inert", link.interfaces[0])


def test_prunes_name_the_receiver_that_cannot_keep_up(lab: Lab, audits: AuditMany) -> None:
    """A small receive buffer under many tiny segments is pruned and collapsed."""
    server, client = lab.namespace("server"), lab.namespace("client")
    twin_server, twin_client = lab.namespace("tserver"), lab.namespace("tclient")
    link, twin_link = lab.connect(client, server), lab.connect(twin_client, twin_server)
    for host in (server, twin_server):
        host.sysctl("net.ipv4.tcp_rmem", "4096 8192 8192")
    server.start("backend", "small-buffer", "sip", "0.0.0.0:8001")
    twin_server.start("backend", "backend", "serve", "0.0.0.0:8001")
    client.start("sender", "dripper", 40, 16, 2, f"{link.addresses[1]}:8001")
    twin_client.start("sender", "dripper", 1, 16, 2, f"{twin_link.addresses[1]}:8001")
    wait_until(lambda: server.counter("TcpExtPruneCalled") > 0, "PruneCalled")

    found, healthy = audits(server, twin_server)
    found.one("tcp.receive_pruned")
    healthy.silent("tcp.receive_pruned")
