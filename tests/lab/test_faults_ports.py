# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ephemeral ports and TIME_WAIT."""

from __future__ import annotations

from ansible_collections.nettriage.linux.tests.lab.auditing import AuditMany, refused
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until

CAPACITY = 200
PORT_RANGE = "40001 40200"


def _client(lab: Lab, label: str, server: Namespace) -> tuple[Namespace, str]:
    """A client with few ephemeral ports, and the server's address as it sees it."""
    client = lab.namespace(label)
    server_address = lab.connect(client, server).addresses[1]
    client.sysctl("net.ipv4.ip_local_port_range", PORT_RANGE)
    client.sysctl("net.ipv4.tcp_tw_reuse", 0)
    client.sysctl("net.ipv4.tcp_rfc1337", 1)  # a late duplicate's RST must not end a TIME_WAIT that is counted
    return client, server_address


def _time_wait(client: Namespace) -> int:
    return len(client.ss("-t state time-wait"))


def test_one_backend_takes_all_ports(lab: Lab, audits: AuditMany) -> None:
    """connect() fails with EADDRNOTAVAIL towards one backend; the same TIME_WAIT over many backends is no trouble."""
    server = lab.namespace("server")
    sick, one = _client(lab, "sick", server)
    twin, many = _client(lab, "twin", server)
    ports = range(8001, 8021)
    server.start("backend", "backend", "serve", *(f"0.0.0.0:{port}" for port in ports))

    said = sick.start("client", "greedy", "close", CAPACITY + 1, f"{one}:8001", ready=False).hear()
    assert said["connected"] == CAPACITY and set(said["errors"]) == {"EADDRNOTAVAIL"}
    twin.start("client", "modest", "close", CAPACITY // len(ports), *(f"{many}:{port}" for port in ports))
    assert _time_wait(sick) == _time_wait(twin) == CAPACITY

    found, healthy = audits(sick, twin)
    finding = found.names("tcp.ephemeral_ports", one, "8001")
    assert finding["severity"] == "critical"
    assert finding["remedies"] == ["port_range", "tw_reuse"]
    (row,) = found.facts["sockets"]["tcp"]["destinations"]
    assert (row["ports_used"], row["capacity"], row["port_usage"]) == (CAPACITY, CAPACITY, 1.0)
    healthy.silent("tcp.ephemeral_ports")
    assert healthy.facts["sockets"]["tcp"]["destinations_total"] == len(ports)


def test_a_pool_that_leaks_is_not_called_time_wait(lab: Lab, audits: AuditMany) -> None:
    """Ports held by ESTABLISHED: the finding says so and names the process that holds them."""
    server = lab.namespace("server")
    sick, address = _client(lab, "sick", server)
    server.start("backend", "backend", "keep", "0.0.0.0:8001")
    holder = sick.start("client", "hoarder", "hold", CAPACITY * 9 // 10, f"{address}:8001")

    (found,) = audits(sick)
    finding = found.names("tcp.ephemeral_ports", address, "8001", "hoarder", holder.pid)
    assert finding["severity"] == "critical"
    assert "ESTABLISHED" in finding["cause"]
    assert "tw_reuse" in refused(finding) and "tw_reuse" not in finding["remedies"]


def test_loopback_takes_time_wait_over_by_default(lab: Lab, audits: AuditMany) -> None:
    """tcp_tw_reuse=2, the kernel's own value: connect() to this host becomes slow and does not fail."""
    host = lab.namespace("host")
    host.sysctl("net.ipv4.ip_local_port_range", PORT_RANGE)
    host.sysctl("net.ipv4.tcp_tw_reuse", 0)  # or the first ones are taken over before the last are there
    host.sysctl("net.ipv4.tcp_rfc1337", 1)
    host.start("backend", "backend", "serve", "127.0.0.1:8001")
    host.start("client", "greedy", "close", CAPACITY, "127.0.0.1:8001")
    assert _time_wait(host) == CAPACITY
    host.sysctl("net.ipv4.tcp_tw_reuse", 2)

    def connects() -> bool:
        return bool(host.start("client", "late", "close", 1, "127.0.0.1:8001", ready=False).hear()["connected"])

    wait_until(connects, "a port whose connection closed more than a second ago is taken over")
    assert host.counter("TcpExtTWRecycled") > 0

    (found,) = audits(host)
    finding = found.names("tcp.ephemeral_ports", "127.0.0.1", "8001")
    assert finding["severity"] == "warning"
    assert "tw_reuse" in refused(finding) and finding["remedies"] == ["port_range"]


def test_two_sources_have_a_range_each(lab: Lab, audits: AuditMany) -> None:
    """Over IPv6: the ports of one source address are used up; spread over two source addresses they are not."""
    server = lab.namespace("server")
    server.start("backend", "backend", "serve", "[::]:8001")
    hosts = []
    for label in ("sick", "twin"):
        host = lab.namespace(label)
        link = lab.connect(host, server)
        host.sysctl("net.ipv4.ip_local_port_range", PORT_RANGE)
        host.sysctl("net.ipv4.tcp_tw_reuse", 0)
        host.sysctl("net.ipv4.tcp_rfc1337", 1)
        hosts.append((host, link))
    (sick, sick_link), (twin, twin_link) = hosts
    said = sick.start("client", "greedy", "close", CAPACITY + 1, f"[{sick_link.addresses6[1]}]:8001", ready=False)
    assert set(said.hear()["errors"]) == {"EADDRNOTAVAIL"}
    # The same server by its two addresses: from IPv6 and from IPv4, half of the ports each.
    half = CAPACITY * 2 // 5
    twin.start("client", "modest", "close", half, f"[{twin_link.addresses6[1]}]:8001", f"{twin_link.addresses[1]}:8001")

    found, healthy = audits(sick, twin)
    assert found.one("tcp.ephemeral_ports", sick_link.addresses6[1], "8001")["severity"] == "critical"
    healthy.silent("tcp.ephemeral_ports")
    rows = healthy.facts["sockets"]["tcp"]["destinations"]
    assert sorted(row["ports_used"] for row in rows) == [half, half]
    assert {row["address"] for row in rows} == {twin_link.addresses6[1], twin_link.addresses[1]}


def test_inbound_time_wait_is_no_port_trouble(lab: Lab, audits: AuditMany) -> None:
    """A server that closes first has TIME_WAIT on its own listener's port: no ephemeral port is used."""
    client, server, link = lab.pair()
    server.sysctl("net.ipv4.ip_local_port_range", "40001 40200")
    server.start("backend", "closer", "leave", f"{link.addresses[1]}:40100")
    visitor = client.start("client", "visitor", "hold", CAPACITY, f"{link.addresses[1]}:40100")
    wait_until(lambda: len(client.ss("-t state close-wait")) == CAPACITY, "the server has closed first")
    visitor.stop()
    wait_until(lambda: _time_wait(server) == CAPACITY, "the server holds TIME_WAIT")

    (healthy,) = audits(server)
    healthy.silent("tcp.ephemeral_ports")
    assert healthy.facts["sockets"]["tcp"]["destinations_total"] == 0


def test_time_wait_overflow(lab: Lab, audits: AuditMany) -> None:
    """More TIME_WAIT than tcp_max_tw_buckets: connections are forgotten early."""
    server = lab.namespace("server")
    sick, one = _client(lab, "sick", server)
    twin, other = _client(lab, "twin", server)
    sick.sysctl("net.ipv4.tcp_max_tw_buckets", 20)
    server.start("backend", "backend", "serve", "0.0.0.0:8001")
    sick.start("client", "churner", "churn", 3, f"{one}:8001")
    twin.start("client", "churner", "churn", 1, f"{other}:8001")

    found, healthy = audits(sick, twin)
    assert sick.counter("TcpExtTCPTimeWaitOverflow") > 0
    found.one("tcp.time_wait_overflow")
    assert found.facts["tcp"]["delta"]["TcpExt"]["TCPTimeWaitOverflow"] > 0
    healthy.silent("tcp.time_wait_overflow")
