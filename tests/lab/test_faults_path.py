# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the way between two hosts does to packets."""

from __future__ import annotations

import pytest

from ansible_collections.nettriage.linux.tests.lab.auditing import AuditMany
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until


def _bulk(client: Namespace, where: str, command: str = "uploader") -> int:
    """Start a process that sends some 8 MB/s to *where*; return its pid."""
    return client.start("sender", command, 8, 32768, 20, where).pid


def test_loss_on_the_way_to_one_destination(lab: Lab, audits: AuditMany) -> None:
    """A router that loses every twentieth packet to one of two servers: that server is named."""
    client, router, server, link = lab.routed()
    other = lab.namespace("other")
    far = lab.connect(router, other)
    other.ip(f"route add default via {far.addresses[0]}")
    twin, twin_address = lab.namespace("twin"), ""
    near = lab.connect(twin, other)
    twin_address = near.addresses[1]
    for host in (server, other):
        host.start("backend", "backend", "serve", "0.0.0.0:8001")
    router.filter("forward", f"ip daddr {link.addresses[1]} tcp dport 8001 numgen random mod 100 < 5 drop")
    _bulk(client, f"{link.addresses[1]}:8001")
    _bulk(client, f"{far.addresses[1]}:8001", "innocent")
    _bulk(twin, f"{twin_address}:8001")
    wait_until(lambda: client.counter("TcpRetransSegs") > 50, "retransmissions")

    found, healthy = audits(client, twin)
    finding = found.one("tcp.retransmits", link.addresses[1])
    assert finding["severity"] in ("warning", "critical")
    worst, *__ = found.facts["sockets"]["tcp"]["quality"]["destinations"]
    assert worst["address"] == link.addresses[1] and worst["retransmit_ratio"] > 0.01
    assert [process["command"] for process in worst["processes"]] == ["uploader"]
    healthy.silent("tcp.retransmits", "tcp.spurious_retransmits", "tcp.reordering", "tcp.slow_reader", "tcp.send_queue")


def test_a_path_mtu_black_hole_is_seen_in_the_sockets(lab: Lab, audits: AuditMany) -> None:
    """A smaller MTU on the way whose router is silent about it: full segments vanish, small ones arrive."""
    client, router, server, link = lab.routed()
    twin, twin_router, twin_server, twin_link = lab.routed("twin", "tserver")
    for hop, target in ((router, server), (twin_router, twin_server)):
        (interface,) = (name for name in _interfaces(hop) if target.label[:7] in name)
        hop.ip(f"link set {interface} mtu 1400")
    router.filter("output", "icmp type destination-unreachable drop")
    for host in (server, twin_server):
        host.start("backend", "backend", "serve", "0.0.0.0:8001", "0.0.0.0:8002")
    uploader = client.start("sender", "uploader", 1, 1 << 20, 5, f"{link.addresses[1]}:8001")
    client.start("sender", "pinger", 1, 64, 20, f"{link.addresses[1]}:8002")
    twin.start("sender", "uploader", 1, 1 << 14, 20, f"{twin_link.addresses[1]}:8001")
    twin.start("sender", "pinger", 1, 64, 20, f"{twin_link.addresses[1]}:8002")
    wait_until(lambda: _backoff(client, 8001) >= 3, "the retransmission timer has backed off three times")

    found, healthy = audits(client, twin)
    found.one("path.mtu_black_hole", link.addresses[1], "uploader", uploader.pid)
    healthy.silent("path.mtu_black_hole")


def _interfaces(host: Namespace) -> list[str]:
    return [line.split(":")[1].split("@")[0].strip() for line in host.ip("-o link").splitlines()]


def _backoff(host: Namespace, port: int) -> int:
    """How often the retransmission timer of the connection to *port* has doubled."""
    (line,) = (" ".join(host.ss(f"-tOi dport = :{port}")),)
    __, __, rest = line.partition("backoff:")
    return int(rest.split()[0]) if rest else 0


def test_a_queue_on_the_way_makes_it_slow(lab: Lab, audits: AuditMany) -> None:
    """A shaper with a long queue in front of one destination: round trips of more than half a second."""
    client, router, server, link = lab.routed()
    other = lab.namespace("other")
    far = lab.connect(router, other)
    other.ip(f"route add default via {far.addresses[0]}")
    (interface,) = (name for name in _interfaces(router) if "server" in name)
    router.run(*f"tc qdisc add dev {interface} root tbf rate 1mbit burst 3000 limit 600000".split())
    for host in (server, other):
        host.start("backend", "backend", "serve", "0.0.0.0:8001")
    client.start("sender", "backup", 8, 1 << 14, 10, f"{link.addresses[1]}:8001")
    client.start("sender", "backup", 8, 1 << 10, 10, f"{far.addresses[1]}:8001")
    wait_until(lambda: _round_trip_ms(client, link.addresses[1]) > 700, "round trips of 700 ms")

    (found,) = audits(client)
    found.one("path.latency", link.addresses[1], "8001")


def _round_trip_ms(host: Namespace, address: str) -> float:
    """The best smoothed round-trip time of the connections to *address*."""
    return min(float(line.partition(" rtt:")[2].split("/")[0]) for line in host.ss(f"-tOi dst {address}"))


def test_a_peer_that_has_gone_leaves_a_send_queue(lab: Lab, audits: AuditMany) -> None:
    """Nothing at all arrives any more: the send queue stands, and this is no question of packet size."""
    client, router, server, link = lab.routed()
    server.start("backend", "backend", "serve", "0.0.0.0:8001")
    sender = client.start("sender", "uploader", 1, 1 << 16, 5, f"{link.addresses[1]}:8001")
    router.filter("forward", "drop")
    wait_until(lambda: _backoff(client, 8001) >= 2, "the retransmission timer has backed off twice")

    (found,) = audits(client)
    found.one("tcp.send_queue", "uploader", sender.pid, link.addresses[1])
    found.silent("path.mtu_black_hole")


def test_reverse_path_filter_drops(lab: Lab, audits: AuditMany) -> None:
    """Packets whose way back is another interface are dropped by a strict filter, and the interface is named."""
    host, twin = lab.namespace("host"), lab.namespace("twin")
    sender = lab.namespace("sender")
    # Else it would ask for the neighbour in the strange name, and the answer would be filtered as well.
    sender.sysctl("net.ipv4.conf.all.arp_announce", 2)
    interfaces = []
    for number, victim in enumerate((host, twin)):
        uplink, strange = lab.namespace(f"up{number}"), lab.connect(victim, sender)
        path = lab.connect(victim, uplink)
        victim.ip(f"route add 172.31.{number}.0/24 via {path.addresses[1]}")
        sender.ip(f"address add 172.31.{number}.7/32 dev lo")
        victim.sysctl(f"net.ipv4.conf.{strange.interfaces[0]}.rp_filter", 1 if victim is host else 2)
        interfaces.append(strange.interfaces[0])
        victim.sysctl("net.ipv4.conf.all.rp_filter", 0)
        victim.start("receiver", "hearer", "hear", "0.0.0.0:5000", 0)
        sender.start("datagrams", "stranger", 2, 64, f"172.31.{number}.7", f"{strange.addresses[0]}:5000")
    wait_until(lambda: host.counter("TcpExtIPReversePathFilter") > 0, "IPReversePathFilter")

    found, healthy = audits(host, twin)
    found.one("ip.rp_filter_drops", interfaces[0])
    healthy.silent("ip.rp_filter_drops")


def test_no_route(lab: Lab, audits: AuditMany) -> None:
    """A router without a route to where its neighbour sends."""
    client, router, server, __ = lab.routed()
    client.start("datagrams", "lost", 2, 64, "0.0.0.0", "192.0.2.9:9")
    wait_until(lambda: router.counter("IpExtInNoRoutes") > 0, "InNoRoutes")
    found, healthy = audits(router, server)
    found.one("ip.no_route")
    healthy.silent("ip.no_route")


def test_neighbours_that_do_not_answer(lab: Lab, audits: AuditMany) -> None:
    """Many neighbours in FAILED or INCOMPLETE on the interface of the default route; a few elsewhere are nothing."""
    sick, __, link = lab.pair("sick", "gateway")
    twin, __, twin_link = lab.pair("twin", "other")
    sick.ip(f"route add default via {link.addresses[1]}")
    twin.ip(f"route add default via {twin_link.addresses[1]}")
    nets = [ends.addresses[0].rpartition(".")[0] for ends in (link, twin_link)]
    sick.start("datagrams", "caller", 1, 16, "0.0.0.0", *(f"{nets[0]}.{number}:9" for number in range(10, 60)))
    twin.start("datagrams", "caller", 1, 16, "0.0.0.0", f"{nets[1]}.10:9", f"{twin_link.addresses[1]}:9")
    wait_until(lambda: _unresolved(sick) >= 40, "40 neighbours that do not answer")

    found, healthy = audits(sick, twin)
    found.one("ip.neighbours_failing", link.interfaces[0])
    healthy.silent("ip.neighbours_failing")


def _unresolved(host: Namespace) -> int:
    return sum("FAILED" in line or "INCOMPLETE" in line for line in host.ip("neighbour show").splitlines())


@pytest.mark.parametrize("spurious", [False, True], ids=["single packets", "whole bursts"])
def test_two_ways_of_different_length(lab: Lab, audits: AuditMany, spurious: bool) -> None:
    """A flow takes turns on a fast and a slow way: it arrives out of order, and what is late is sent twice."""
    client, server = lab.namespace("client"), lab.namespace("server")
    fast, slow = lab.connect(client, server), lab.connect(client, server)
    for host, end in ((client, 0), (server, 1)):
        host.sysctl("net.ipv4.conf.all.rp_filter", 0)
        host.sysctl("net.ipv4.tcp_congestion_control", "reno")
        for link in (fast, slow):
            host.sysctl(f"net.ipv4.conf.{link.interfaces[end]}.rp_filter", 0)
            if not spurious:  # else nftables sees large segments before they are cut
                host.ip(f"link set {link.interfaces[end]} gso_max_segs 1")
    client.run(*f"tc qdisc add dev {slow.interfaces[0]} root tbf rate 40mbit burst 3000 limit 300000".split())
    client.ip(f"route add {fast.addresses[1]}/32 dev {slow.interfaces[0]} table 7 src {fast.addresses[0]}")
    client.ip("rule add fwmark 7 table 7")
    client.ip(f"neigh replace {fast.addresses[1]} lladdr {_mac(server, slow.interfaces[1])} dev {slow.interfaces[0]}")
    client.filter("output", "tcp dport 8001 numgen inc mod 4 0 meta mark set 7", "route")
    server.start("backend", "backend", "serve", "0.0.0.0:8001")
    _bulk(client, f"{fast.addresses[1]}:8001")
    moved = (client, "TcpExtTCPDSACKRecv", 20) if spurious else (server, "TcpExtTCPOFOQueue", 200)
    wait_until(lambda: moved[0].counter(moved[1]) > moved[2], moved[1])

    receiver, sender = audits(server, client)
    if spurious:
        assert sender.facts["tcp"]["derived"]["spurious_ratio"] > 0.2
        sender.one("tcp.spurious_retransmits")
    else:
        assert receiver.facts["tcp"]["derived"]["out_of_order_ratio"] > 0.01
        receiver.one("tcp.reordering")
    for seen in (receiver, sender):
        seen.silent("tcp.accept_queue", "tcp.slow_reader", "path.mtu_black_hole")


def _mac(host: Namespace, interface: str) -> str:
    return host.ip(f"-br link show {interface}").split()[2]
