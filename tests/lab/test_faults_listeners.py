# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Accept queues, SYN queues and connections that nobody answers."""

from __future__ import annotations

import pytest

from ansible_collections.nettriage.linux.tests.lab.auditing import AuditMany, refused
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until


def _queue(server: Namespace, port: int) -> tuple[int, int]:
    """What ss shows of a listener: (Recv-Q, Send-Q)."""
    (line,) = server.ss(f"-lt sport = :{port}")
    received, limit = line.split()[1:3]
    return int(received), int(limit)


@pytest.mark.parametrize(
    ("backlog", "somaxconn", "remedy_helps"),
    [(100, 16, True), (8, 4096, False)],
    ids=["limited by somaxconn", "limited by the application"],
)
def test_a_full_accept_queue(lab: Lab, audits: AuditMany, backlog: int, somaxconn: int, remedy_helps: bool) -> None:
    """Of two listeners the one that does not accept is named, and the sysctl is offered only where it is the limit."""
    server, client = lab.namespace("server"), lab.namespace("client")
    twin = lab.namespace("twin")
    address = lab.connect(client, server).addresses[1]
    healthy_address = lab.connect(client, twin).addresses[1]
    for host in (server, twin):
        host.sysctl("net.core.somaxconn", somaxconn)
        host.start("backend", "goodserver", "serve", "0.0.0.0:8080")
    culprit = server.start("listener", "deafserver", "0.0.0.0:9090", backlog)
    limit = min(backlog, somaxconn)
    client.start("dialer", "dialer", limit + 5, 2, f"{address}:9090")
    client.start("client", "visitor", "churn", 1, f"{address}:8080", f"{healthy_address}:8080")
    wait_until(lambda: _queue(server, 9090) == (limit + 1, limit), "the accept queue is full")

    found, healthy = audits(server, twin)
    assert server.counter("TcpExtListenOverflows") > 0
    finding = found.one("tcp.accept_queue", "9090", "deafserver", culprit.pid)
    assert "8080" not in finding["subject"]
    offered = finding["remedies"]
    if remedy_helps:
        assert "accept_backlog" in offered and "accept_backlog" not in refused(finding)
    else:
        assert "accept_backlog" in refused(finding) and "accept_backlog" not in offered
    (row,) = (row for row in found.facts["sockets"]["tcp"]["listeners"] if row["port"] == 9090)
    assert (row["accept_queue"], row["backlog"]) == (limit + 1, limit)
    assert row["drops_delta"] > 0
    healthy.silent("tcp.accept_queue", "tcp.syn_queue", "tcp.syn_flood")


def test_the_full_one_of_two_listeners_of_one_port(lab: Lab, audits: AuditMany) -> None:
    """A dual-stack listener that is deaf beside one of its own port on one address that is well."""
    client, server, link = lab.pair()
    deaf = server.start("listener", "deaf-dual", "[::]:9090", 8)
    own = lab.connect(client, server)
    server.start("backend", "one-address", "serve", f"{own.addresses[1]}:9090")
    client.start("dialer", "dialer", 14, 1, f"{link.addresses[1]}:9090")
    client.start("client", "visitor", "churn", 1, f"{own.addresses[1]}:9090")
    wait_until(lambda: "9" in [line.split()[1] for line in server.ss("-lt sport = :9090")], "the accept queue is full")

    (found,) = audits(server)
    finding = found.one("tcp.accept_queue", "9090", "deaf-dual", deaf.pid)
    assert own.addresses[1] not in finding["subject"] and "one-address" not in finding["title"]
    rows = {row["family"]: row for row in found.facts["sockets"]["tcp"]["listeners"]}
    assert rows["dual"]["accept_queue"] == 9 and rows["dual"]["drops_delta"] > 0
    assert rows["ipv4"]["accept_queue"] <= 1 and rows["ipv4"]["drops_delta"] == 0


@pytest.mark.parametrize(
    ("syncookies", "max_syn_backlog", "moved"),
    [
        (1, 32, "TcpExtTCPReqQFullDoCookies"),
        (0, 1024, "TcpExtTCPReqQFullDrop"),
        # Without cookies the last quarter of tcp_max_syn_backlog is kept for proven peers; no counter of its own tells.
        (0, 32, "TcpExtListenDrops"),
    ],
    ids=["cookies", "backlog", "max_syn_backlog"],
)
def test_a_syn_queue_that_is_full(
    lab: Lab, audits: AuditMany, syncookies: int, max_syn_backlog: int, moved: str
) -> None:
    """SYNs whose senders never answer fill one listener's queue; its quiet twin has nothing to report."""
    server, client, twin = lab.namespace("server"), lab.namespace("client"), lab.namespace("twin")
    link = lab.connect(client, server)
    healthy_address = lab.connect(client, twin).addresses[1]
    server.sysctl("net.ipv4.tcp_syncookies", syncookies)
    server.sysctl("net.ipv4.tcp_max_syn_backlog", max_syn_backlog)
    server.sysctl("net.ipv4.conf.all.rp_filter", 0)
    # The SYN-ACKs find a route and no one who answers: the client drops what is not for it.
    server.ip(f"route add 10.66.0.0/16 via {link.addresses[0]}")
    for host in (server, twin):
        host.start("listener", "webserver", "0.0.0.0:443", 64)
        host.start("listener", "bystander", "0.0.0.0:444", 64)
    client.start("syns", "syns", 20, 50, "10.66", f"{link.addresses[1]}:443")
    client.start("client", "visitor", "hold", 1, f"{healthy_address}:443")
    wait_until(lambda: server.counter(moved) > 0, moved)

    found, healthy = audits(server, twin)
    assert found.facts["sockets"]["tcp"]["states"]["syn_recv"] > 16
    assert found.facts["sockets"]["tcp"]["syn_recv_sources_total"] > 10
    ids = found.ids()
    assert "tcp.syn_queue" in ids or "tcp.syn_flood" in ids, ids
    named = found.all("tcp.syn_queue") + found.all("tcp.syn_flood")
    assert any("443" in str(finding) and "webserver" in str(finding) for finding in named), named
    assert not any(":444" in finding["subject"] for finding in named), named
    healthy.silent("tcp.syn_queue", "tcp.syn_flood")


def test_a_filtered_peer(lab: Lab, audits: AuditMany) -> None:
    """SYNs to a port that a firewall drops: the destination is named."""
    client, server, link = lab.pair()
    twin = lab.namespace("twin")
    other = lab.connect(twin, server).addresses[1]
    server.filter("input", "tcp dport 5432 drop")
    server.start("backend", "backend", "serve", "0.0.0.0:8080")
    dialer = client.start("dialer", "poolfiller", 30, 1, f"{link.addresses[1]}:5432")
    twin.start("client", "visitor", "churn", 1, f"{other}:8080")
    wait_until(lambda: len(client.ss("-t state syn-sent")) >= 30, "30 sockets in SYN_SENT")

    found, healthy = audits(client, twin)
    finding = found.one("tcp.syn_sent_stuck", link.addresses[1], "5432")
    assert "poolfiller" in str(finding) and str(dialer.pid) in str(finding)
    healthy.silent("tcp.syn_sent_stuck")


def test_max_syn_backlog_is_inert_with_cookies(lab: Lab, audits: AuditMany) -> None:
    """With syncookies on, the limit is the listen backlog: more SYN_RECV than tcp_max_syn_backlog stand."""
    server, client, link = lab.pair("server", "client")
    twin = lab.namespace("twin")
    for host, cookies in ((server, 1), (twin, 0)):
        host.sysctl("net.ipv4.tcp_syncookies", cookies)
        host.sysctl("net.ipv4.tcp_max_syn_backlog", 8)
    server.ip(f"route add 10.66.0.0/16 via {link.addresses[1]}")
    server.start("listener", "webserver", "0.0.0.0:443", 256)
    client.start("syns", "syns", 4, 50, "10.66", f"{link.addresses[0]}:443")
    wait_until(lambda: len(server.ss("-t state syn-recv")) > 100, "far more than 8 SYN_RECV")

    found, healthy = audits(server, twin)
    found.one("sysctl.syn_backlog_inert")
    assert found.facts["sockets"]["tcp"]["states"]["syn_recv"] > 100
    healthy.silent("sysctl.syn_backlog_inert")


def test_a_listener_that_has_to_listen_again(lab: Lab, audits: AuditMany) -> None:
    """A raised somaxconn does not reach a listener that is there already: it keeps the limit that it got."""
    sick, twin = lab.namespace("sick"), lab.namespace("twin")
    early = sick.start("listener", "early-bird", "0.0.0.0:8080", 100_000)
    for host in (sick, twin):
        host.sysctl("net.core.somaxconn", 16384)
    twin.start("listener", "restarted", "0.0.0.0:8080", 100_000)
    assert _queue(sick, 8080)[1] < 16384 == _queue(twin, 8080)[1]

    found, healthy = audits(sick, twin, interval=0)
    found.one("sysctl.somaxconn_inert", "8080", "early-bird", early.pid)
    healthy.silent("sysctl.somaxconn_inert")


def test_a_port_on_which_nothing_listens(lab: Lab, audits: AuditMany) -> None:
    """A service that is down: attempts fail at one end, resets leave at the other."""
    client, server, link = lab.pair()
    twin = lab.namespace("twin")
    server.start("backend", "backend", "serve", "0.0.0.0:8080")
    other = lab.connect(twin, server).addresses[1]
    client.start("dialer", "dialer", 10, 8, f"{link.addresses[1]}:8081")
    twin.start("client", "visitor", "churn", 1, f"{other}:8080")
    wait_until(lambda: client.counter("TcpAttemptFails") > 10, "AttemptFails")

    at_client, at_server, healthy = audits(client, server, twin)
    at_client.one("tcp.resets")
    at_server.one("tcp.resets")
    healthy.silent("tcp.resets")
