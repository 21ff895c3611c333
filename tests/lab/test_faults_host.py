# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces, queues, UDP buffers and connection tracking."""

from __future__ import annotations

import os
import re

import pytest

from ansible_collections.nettriage.linux.tests.lab.auditing import AuditMany
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, wait_until

_AFFORDABLE_ENTRIES = 600_000


def test_a_cable_that_is_out(lab: Lab, audits: AuditMany) -> None:
    """Admin up without carrier is named; admin down is somebody's wish."""
    sick, other, link = lab.pair("sick", "other")
    twin, peer, twin_link = lab.pair("twin", "peer")
    spare = lab.connect(twin, peer)
    other.ip(f"link set {link.interfaces[1]} down")
    twin.ip(f"link set {spare.interfaces[0]} down")
    found, healthy = audits(sick, twin)
    found.one("nic.link_down", link.interfaces[0])
    healthy.silent("nic.link_down")
    assert twin_link.interfaces[0] in [row["name"] for row in healthy.facts["nic"]["interfaces"]]


def test_an_egress_queue_that_drops(lab: Lab, audits: AuditMany) -> None:
    """A shaper with too short a queue drops; its interface is named."""
    sick, __, link = lab.pair("sick", "other")
    twin, __, twin_link = lab.pair("twin", "peer")
    for host, interface, limit in ((sick, link.interfaces[0], 3000), (twin, twin_link.interfaces[0], 3_000_000)):
        host.run(*f"tc qdisc add dev {interface} root tbf rate 2mbit burst 3000 limit {limit}".split())
    sick.start("datagrams", "flooder", 40, 1000, "0.0.0.0", f"{link.addresses[1]}:9")
    twin.start("datagrams", "trickler", 1, 1000, "0.0.0.0", f"{twin_link.addresses[1]}:9")

    found, healthy = audits(sick, twin)
    found.one("nic.drops", link.interfaces[0])
    healthy.silent("nic.drops")


def test_a_udp_socket_that_overflows(lab: Lab, audits: AuditMany) -> None:
    """Of two sockets the one that loses datagrams is named, with its process."""
    client, server, link = lab.pair()
    twin = lab.namespace("twin")
    other = lab.connect(client, twin).addresses[1]
    deaf = server.start("receiver", "deaf-udp", "deaf", "0.0.0.0:5001", 4096)
    for host in (server, twin):
        host.start("receiver", "good-udp", "hear", "0.0.0.0:5002", 0)
    addresses = (f"{link.addresses[1]}:5001", f"{link.addresses[1]}:5002", f"{other}:5002")
    client.start("datagrams", "flooder", 5, 400, "0.0.0.0", *addresses)
    wait_until(lambda: server.counter("UdpRcvbufErrors") > 0, "RcvbufErrors")

    found, healthy = audits(server, twin)
    finding = found.one("udp.receive_errors", "5001", "deaf-udp", deaf.pid)
    assert "5002" not in finding["subject"]
    healthy.silent("udp.receive_errors")


@pytest.mark.parametrize(("share", "severity"), [(0.8, "warning"), (0.93, "critical")])
def test_conntrack_that_is_nearly_full(lab: Lab, audits: AuditMany, share: float, severity: str) -> None:
    """The count belongs to the namespace and the maximum to all: filling one namespace harms no other."""
    host, twin = lab.namespace("host"), lab.namespace("twin")
    most = int(host.sysctl("net.netfilter.nf_conntrack_max"))
    if most > _AFFORDABLE_ENTRIES:
        pytest.skip(f"nf_conntrack_max is {most}: filling it would cost too much memory")
    for each, entries in ((host, int(most * share)), (twin, 1000)):
        each.start("tracker", "tracker", "assured", entries)
    assert int(host.run("conntrack", "-C")) == int(most * share)

    found, healthy = audits(host, twin)
    assert found.one("conntrack.near_full")["severity"] == severity
    found.silent("conntrack.dropping")
    healthy.silent("conntrack.near_full", "conntrack.dropping")


@pytest.mark.parametrize(("kind", "moved"), [("assured", "drop"), ("unanswered", "early_drop")])
def test_conntrack_that_is_full_drops(lab: Lab, audits: AuditMany, kind: str, moved: str) -> None:
    """A full table refuses new connections, or throws out flows without an answer to make room."""
    client, server, link = lab.pair()
    most = int(server.sysctl("net.netfilter.nf_conntrack_max"))
    if most > _AFFORDABLE_ENTRIES:
        pytest.skip(f"nf_conntrack_max is {most}: filling it would cost too much memory")
    server.filter("input", "ct state invalid drop")
    server.start("tracker", "tracker", kind, most + 1)
    server.start("backend", "backend", "serve", "0.0.0.0:80")
    # More in a second than the kernel makes room for at once, which are over a hundred.
    client.start("dialer", "dialer", 20, 20, f"{link.addresses[1]}:80")
    wait_until(lambda: re.search(rf"\b{moved}=[1-9]", server.run("conntrack", "-S")), moved)

    found, healthy = audits(server, client)
    found.one("conntrack.dropping")
    assert found.one("conntrack.near_full")["severity"] == "critical"
    assert found.facts["conntrack"]["delta"][moved] > 0
    healthy.silent("conntrack.near_full", "conntrack.dropping")


@pytest.mark.skipif(os.cpu_count() == 1, reason="two packets meet in the kernel only on two CPUs")
def test_conntrack_insertions_that_race(lab: Lab, audits: AuditMany) -> None:
    """Two packets of one new flow at once: one is lost although the table is all but empty."""
    host, __, link = lab.pair("host", "server")
    twin, __, twin_link = lab.pair("twin", "tserver")
    for each in (host, twin):
        each.filter("output", "ct state invalid drop")
    host.start("racers", "racers", link.addresses[0], f"{link.addresses[1]}:80")
    twin.start("dialer", "dialer", 5, 1, f"{twin_link.addresses[1]}:80")
    wait_until(lambda: re.search("insert_failed=[1-9]", host.run("conntrack", "-S")), "insert_failed")

    found, healthy = audits(host, twin)
    assert found.facts["conntrack"]["delta"]["insert_failed"] > 0
    found.one("conntrack.dropping")
    found.silent("conntrack.near_full")
    healthy.silent("conntrack.dropping")
