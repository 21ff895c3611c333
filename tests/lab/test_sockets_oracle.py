# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is told of sockets beside what ss tells of the same sockets."""

from __future__ import annotations

import json
import os
import re
import socket
from collections import Counter
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, says, wait_until

_STATES = {"estab": "established", "unconn": "close", "fin_wait_1": "fin_wait1", "fin_wait_2": "fin_wait2"}
_DUMMY_PEER = "203.0.113.9"
_COLLECT = """
import heapq, ipaddress, json, os, sys  # the interpreter may lie where nobody else may read
from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_sample
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_connections import socket_facts
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
host = open_target(params)
if params["unprivileged"]:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
if params["no_sock_diag"]:
    def missing():
        raise Unavailable("netlink family 4: this kernel has no such netlink family")
    sockets_sample.SockDiag = missing
json.dump(socket_facts(host, params)["ansible_facts"]["nettriage_sockets"], sys.stdout)
"""


def collect(netns: str, **options: Any) -> dict[str, Any]:
    """What socket_facts tells of a namespace."""
    params = {
        **{"netns": netns, "procfs": "/proc", "sysfs": "/sys", "interval": 0, "top": 100, "limit": 1000},
        **{"connections": True, "states": None, "address": None, "port": None, "process": None},
        **{"unprivileged": False, "no_sock_diag": False},
        **options,
    }
    found: dict[str, Any] = says(_COLLECT, params)
    return found


@pytest.fixture(scope="module")
def crowd(shared_lab: Lab) -> Iterator[Namespace]:
    """A namespace with sockets in most states, still for the length of the module."""
    made = shared_lab.namespace("crowd")
    kept: list[socket.socket] = []

    def listen(address: str, port: int, backlog: int = 16, only6: bool = False, reuse: bool = False) -> socket.socket:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        if reuse:
            one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        if one.family == socket.AF_INET6:
            one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, only6)
        one.bind((address, port))
        one.listen(backlog)
        kept.append(one)
        return one

    def pair(listener: socket.socket, address: str) -> tuple[socket.socket, socket.socket]:
        client = socket.create_connection((address, listener.getsockname()[1]))
        server, __ = listener.accept()
        kept.extend((client, server))
        return client, server

    with made.entered():
        plain, dual = listen("0.0.0.0", 8080), listen("::", 8086)
        listen("::", 8087, only6=True)
        full = listen("127.0.0.1", 8091, backlog=1)
        for __ in range(2):
            listen("127.0.0.1", 8090, reuse=True)
            kept.append(socket.create_connection(full.getsockname()))
        for address in ("127.0.0.1", "127.0.0.2"):
            client, server = pair(plain, address)
            server.sendall(b"x" * 5000)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        pair(dual, "::1")
        pair(dual, "127.0.0.1")
        for __ in range(3):
            pair(plain, "127.0.0.1")[0].shutdown(socket.SHUT_WR)
        for __ in range(4):
            client, server = pair(plain, "127.0.0.1")
            client.close()
            server.close()
        made.ip(f"route add {_DUMMY_PEER} dev lo")
        made.filter("output", f"ip daddr {_DUMMY_PEER} drop")
        for __ in range(2):
            lost = socket.socket()
            lost.setblocking(False)
            lost.connect_ex((_DUMMY_PEER, 443))
            kept.append(lost)
        bound = socket.socket()
        bound.bind(("127.0.0.1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        datagrams.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2304)
        datagrams.bind(("127.0.0.1", 5353))
        for __ in range(20):
            bound_to = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            bound_to.sendto(b"z" * 500, ("127.0.0.1", 5353))
            bound_to.close()
        named = socket.socket(socket.AF_UNIX)
        named.bind("\0nettriage-oracle")
        named.listen()
        kept += [bound, datagrams, named]
    wait_until(lambda: len(made.ss("-t state close-wait")) == 3, "three half closed")
    yield made
    for one in kept:
        one.close()


def ss_states(namespace: Namespace) -> Counter[str]:
    """All states but close: only newer ones than iproute2 6.1 show what is bound and not connected."""
    words = (line.split()[0].lower().replace("-", "_") for line in namespace.ss("-ta"))
    shown = Counter(_STATES.get(word, word) for word in words)
    del shown["close"]
    return shown


@pytest.mark.parametrize("options", [{}, {"unprivileged": True}, {"no_sock_diag": True}])
def test_states_are_those_of_ss(crowd: Namespace, options: dict[str, bool]) -> None:
    found = collect(crowd.name, **options)
    assert found["source"] == ("procfs" if options.get("no_sock_diag") else "netlink")
    states = dict(found["tcp"]["states"])
    bound = states.pop("close")
    assert bound in (0, 1)
    assert Counter(states) == ss_states(crowd)
    assert found["tcp"]["total"] == sum(states.values()) + bound


def test_listeners_are_those_of_ss(crowd: Namespace) -> None:
    shown = {"ipv4": "", "ipv6": "", "dual": ""}
    theirs = []
    for line in crowd.ss("-tl"):
        __, queue, backlog, local, *__rest = line.split()
        address, __, port = local.rpartition(":")
        theirs.append(({"*": "::"}.get(address, address.strip("[]")), int(port), int(queue), int(backlog)))
    found = collect(crowd.name)["tcp"]
    rows = found["listeners"]
    assert sorted((row["address"], row["port"], row["accept_queue"], row["backlog"]) for row in rows) == sorted(theirs)
    assert {row["family"] for row in rows} == shown.keys()
    worst = rows[0]
    assert (worst["port"], worst["accept_queue"], worst["backlog"], worst["fill"]) == (8091, 2, 1, 2.0)
    assert {row["port"]: row["family"] for row in rows if row["address"] == "::"} == {8086: "dual", 8087: "ipv6"}


def test_a_dual_listener_has_its_ipv4_connections(crowd: Namespace) -> None:
    (row,) = [row for row in collect(crowd.name)["tcp"]["listeners"] if row["port"] == 8086]
    assert row["connections"] == 2


def test_destinations_and_their_owner(crowd: Namespace) -> None:
    rows = {(row["address"], row["port"]): row for row in collect(crowd.name)["tcp"]["destinations"]}
    lost = rows[_DUMMY_PEER, 443]
    assert lost["states"] == {"syn_sent": 2}
    assert [process["pid"] for process in lost["processes"]] == [os.getpid()]
    ours = [line for line in crowd.ss("-ta dst 127.0.0.1:8080") if "127.0.0.1:8080" in line.split()[4]]
    assert sum(rows["127.0.0.1", 8080]["states"].values()) == rows["127.0.0.1", 8080]["ports_used"] == len(ours)


def test_udp_and_unix_are_those_of_ss(crowd: Namespace) -> None:
    found = collect(crowd.name)
    (resolver,) = [row for row in found["udp"]["sockets"] if row["port"] == 5353]
    (line,) = crowd.ss("-uamO sport = :5353")
    memory = re.search(r"skmem:\(r\d+,rb(\d+),.*,d(\d+)\)", line)
    assert memory is not None
    assert (resolver["receive_buffer_bytes"], resolver["drops"]) == (int(memory[1]), int(memory[2]))
    assert resolver["receive_queue_bytes"] == int(line.split()[1])
    assert found["udp"]["total"] == len(crowd.ss("-ua"))
    assert found["unix"] == {"total": len(crowd.ss("-xa")), "listeners": len(crowd.ss("-xl"))}


def test_every_connection_has_the_figures_of_ss(crowd: Namespace) -> None:
    rows = {
        (f"{row['local_address']}:{row['local_port']}", f"{row['peer_address']}:{row['peer_port']}"): row
        for row in collect(crowd.name, states=["established"], address="127.0.0.0/8")["connections"]
    }
    compared = 0
    for line in crowd.ss("-tiOm4 state established"):
        words = line.split()
        row = rows[words[2], words[3]]
        info = row["tcp_info"]
        figures = dict(word.split(":", 1) for word in words[4:] if ":" in word)
        assert (row["receive_queue_bytes"], row["send_queue_bytes"]) == (int(words[0]), int(words[1]))
        assert row["congestion_control"] in words
        assert info["rtt_ms"] == pytest.approx(float(figures["rtt"].split("/")[0]), abs=0.001)
        assert info["rtt_variation_ms"] == pytest.approx(float(figures["rtt"].split("/")[1]), abs=0.001)
        for name, theirs in (("mss", "mss"), ("path_mtu", "pmtu"), ("congestion_window", "cwnd")):
            assert info[name] == int(figures[theirs]), theirs
        for name, theirs in (("bytes_acked",) * 2, ("bytes_received",) * 2, ("segments_out", "segs_out")):
            assert info[name] == int(figures.get(theirs, 0)), theirs
        assert info["min_rtt_ms"] == pytest.approx(float(figures["minrtt"]), abs=0.001)
        assert row["receive_buffer_bytes"] == int(re.findall(r"rb(\d+)", line)[0])
        compared += 1
    assert compared >= 8


def test_the_keepalive_timer_is_seen(crowd: Namespace) -> None:
    timers = [row["timer"] for row in collect(crowd.name, states=["established"])["connections"]]
    theirs = [line for line in crowd.ss("-to state established") if "timer:(keepalive" in line]
    assert timers.count("keepalive") == len(theirs) == 1


def test_bound_sockets_are_there_when_they_are_asked_for(crowd: Namespace) -> None:
    found = collect(crowd.name, states=["close"])
    if not found["tcp"]["states"]["close"]:
        pytest.skip("this kernel does not tell them (before Linux 6.8)")
    assert found["connections_total"] == 1


def test_an_unprivileged_run_says_what_it_could_not_see(crowd: Namespace) -> None:
    found = collect(crowd.name, unprivileged=True)
    assert {json.dumps(row["processes"]) for row in found["tcp"]["listeners"]} == {"[]"}
    (sentence,) = [sentence for sentence in found["limited"] if sentence.startswith("owners: ")]
    assert re.match(r"owners: (\d+) of \1 sockets have no process: .*CAP_SYS_PTRACE", sentence)
    assert collect(crowd.name)["limited"] == []


def test_hidden_processes_are_told(crowd: Namespace, hidden: str) -> None:
    """Other users' processes do not even appear."""
    found = collect(crowd.name, procfs=hidden, unprivileged=True)
    assert found["source"] == "netlink"
    assert found["tcp"]["processes"] == []
    assert any("hidden from this run" in sentence for sentence in found["limited"])


def test_without_sock_diag_the_text_tells_the_same(crowd: Namespace) -> None:
    text, netlink = collect(crowd.name, no_sock_diag=True), collect(crowd.name)
    assert any("no such netlink family" in sentence for sentence in text["limited"])
    assert text["tcp"]["destinations"] == netlink["tcp"]["destinations"]
    assert text["tcp"]["close_wait"] == netlink["tcp"]["close_wait"]
    assert text["udp"]["total"] == netlink["udp"]["total"]
    assert [row["drops"] for row in text["udp"]["sockets"]] == [row["drops"] for row in netlink["udp"]["sockets"]]
    assert text["unix"] == netlink["unix"]
    fields = ("address", "port", "accept_queue", "connections", "syn_recv", "processes")
    assert sorted(json.dumps([row[name] for name in fields]) for row in text["tcp"]["listeners"]) == sorted(
        json.dumps([row[name] for name in fields]) for row in netlink["tcp"]["listeners"]
    )


def test_an_mptcp_listener_is_counted_once(lab: Lab) -> None:
    made = lab.namespace("multipath")
    with made.entered():
        try:
            one = socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262)
        except OSError:
            pytest.skip("this kernel has no MPTCP")
        with one:
            one.bind(("127.0.0.1", 8443))
            one.listen(7)
            found = collect(made.name)["tcp"]
    (row,) = found["listeners"]
    assert (found["listeners_total"], row["port"], row["backlog"]) == (1, 8443, 7)
    assert [process["pid"] for process in row["processes"]] == [os.getpid()]
