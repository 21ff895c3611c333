# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same numbers as nstat, in the namespace that was asked for."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import GAUGES
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, says

_BYTES = 50_000
_COLLECT = """
import json, os, sys
from ansible_collections.nettriage.linux.plugins.module_utils.collect import meta, resolver, tcp
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import gather
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
host = open_target(params)
if params["unprivileged"]:
    os.setuid(65534)
json.dump(gather(host, {"meta": meta, "tcp": tcp, "resolver": resolver}, 0, 10), sys.stdout)
"""


def collect(netns: str, unprivileged: bool = False) -> dict[str, Any]:
    params = {"netns": netns, "procfs": "/proc", "sysfs": "/sys", "unprivileged": unprivileged}
    found: dict[str, Any] = says(_COLLECT, params)
    return found


@pytest.fixture(scope="module")
def busy(shared_lab: Lab) -> Namespace:
    """A namespace in which packets went every way that a counter can tell, and that is quiet now."""
    made = shared_lab.namespace("busy")
    with made.entered():
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
            accepted, __ = server.accept()
            client.sendall(b"x" * _BYTES)
            received = 0
            while received < _BYTES:
                received += len(accepted.recv(_BYTES))
            accepted.close()
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
                datagrams.sendto(b"nobody listens", (address, 9))
            with socket.socket(family) as refused:
                assert refused.connect_ex((address, 9)) != 0
    return made


def nstat(namespace: Namespace) -> dict[str, int]:
    table: dict[str, int] = json.loads(namespace.run("nstat", "-azsj"))["kernel"]
    return table


def flat(counters: dict[str, dict[str, int]]) -> dict[str, int]:
    return {
        group + name: value
        for group, fields in counters.items()
        for name, value in fields.items()
        if name not in GAUGES.get(group, ()) or group == "MPTcpExt"
    }


@pytest.mark.parametrize("unprivileged", [False, True])
def test_every_counter_is_that_of_nstat(busy: Namespace, unprivileged: bool) -> None:
    before = nstat(busy)
    found = collect(busy.name, unprivileged)["tcp"]
    after = nstat(busy)
    assert found["limited"] in ([], [sentence for sentence in found["limited"] if sentence.startswith("tcp_mem:")])
    ours = flat(found["counters"])
    assert set(ours) == set(after)
    # What moved between the two calls of nstat lies between them.
    assert {name: value for name, value in ours.items() if not before[name] <= value <= after[name]} == {}
    assert ours["TcpPassiveOpens"] == 1
    assert ours["TcpExtTCPOrigDataSent"] > 0
    assert ours["UdpNoPorts"] == ours["Udp6NoPorts"] == 1
    assert ours["TcpAttemptFails"] == 2


def test_the_namespace_is_the_one_that_was_asked_for(busy: Namespace, shared_lab: Lab) -> None:
    idle = shared_lab.namespace("idle")
    assert collect(idle.name)["tcp"]["counters"]["Tcp"]["PassiveOpens"] == 0
    assert collect(busy.name)["tcp"]["counters"]["Tcp"]["PassiveOpens"] == 1


@pytest.mark.parametrize("form", ["name", "path", "pid"])
def test_a_namespace_may_be_named_in_three_ways(busy: Namespace, form: str) -> None:
    with subprocess.Popen(
        ["ip", "netns", "exec", busy.name, "cat"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as inhabitant:
        try:
            assert inhabitant.stdin is not None and inhabitant.stdout is not None
            print("stands", file=inhabitant.stdin, flush=True)
            assert inhabitant.stdout.readline() == "stands\n"
            netns = {"name": busy.name, "path": busy.path, "pid": f"pid:{inhabitant.pid}"}[form]
            found = collect(netns)
        finally:
            inhabitant.kill()
    assert found["meta"]["netns"] == netns
    assert found["tcp"]["counters"]["Tcp"]["PassiveOpens"] == 1
    assert found["resolver"]["available"], found["resolver"]


def test_a_namespace_has_its_own_names(busy: Namespace) -> None:
    directory = f"/etc/netns/{busy.name}"
    made = not os.path.isdir("/etc/netns")
    os.makedirs(directory)
    try:
        with open(f"{directory}/resolv.conf", "w", encoding="ascii") as file:
            file.write("nameserver 192.0.2.77\n")
        found = collect(busy.name)["resolver"]
        assert found["path"] == f"{directory}/resolv.conf"
        assert found["nameservers"] == ["192.0.2.77"]
        # ip netns exec shows a program of that namespace the same file.
        assert busy.run("cat", "/etc/resolv.conf") == "nameserver 192.0.2.77\n"
    finally:
        os.unlink(f"{directory}/resolv.conf")
        os.rmdir(directory)
        if made:
            os.rmdir("/etc/netns")


def test_an_unprivileged_run_knows_that_it_is_one(busy: Namespace) -> None:
    assert collect(busy.name, unprivileged=True)["meta"]["privileged"] is False
    assert collect(busy.name)["meta"]["capabilities"]["net_admin"] is True


def test_socket_counts_are_those_of_ss(busy: Namespace) -> None:
    with busy.entered(), socket.create_server(("127.0.0.1", 0)) as server:
        connections = [socket.create_connection(server.getsockname()) for __ in range(3)]
        try:
            found = collect(busy.name)["tcp"]
        finally:
            for connection in connections:
                connection.close()
    # Three connections with both ends here, and the listener.
    assert found["sockstat"]["TCP"]["inuse"] == 7
    assert found["counters"]["Tcp"]["CurrEstab"] == 6
