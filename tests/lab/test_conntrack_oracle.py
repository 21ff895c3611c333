# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The same numbers as conntrack -C, -S and -L."""

from __future__ import annotations

import shutil
import socket
from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, says

pytestmark = pytest.mark.skipif(shutil.which("conntrack") is None, reason="conntrack(8) is not installed")

_DATAGRAMS = 40
_COLLECT = """
import json, os, sys
from ansible_collections.nettriage.linux.plugins.module_utils.collect.flows import conntrack_facts
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
host = open_target(params)
if params["unprivileged"]:
    os.setuid(65534)
json.dump(conntrack_facts(host, params)["ansible_facts"]["nettriage_conntrack"], sys.stdout)
"""


def collect(namespace: Namespace, unprivileged: bool = False) -> dict[str, Any]:
    params = {
        "netns": namespace.name,
        "procfs": "/proc",
        "sysfs": "/sys",
        "interval": 0,
        "top": 3,
        "flows": True,
        "unprivileged": unprivileged,
    }
    found: dict[str, Any] = says(_COLLECT, params)
    return found


@pytest.fixture(scope="module")
def tracked(shared_lab: Lab) -> Namespace:
    """A namespace that tracks some datagrams without an answer, one TCP connection and one of IPv6."""
    made = shared_lab.namespace("tracked")
    made.filter("input", "ct state new counter")
    with made.entered():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.bind(("127.0.0.1", 0))
            for port in range(10_000, 10_000 + _DATAGRAMS):
                datagrams.sendto(b"x", ("127.0.0.2", port))
        for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
            with socket.create_server((address, 0), family=family) as server:
                client = socket.create_connection(server.getsockname()[:2])
                accepted, __ = server.accept()
                client.close()
                accepted.close()
    return made


def statistics(namespace: Namespace) -> dict[str, int]:
    """The sums over the CPUs of ``conntrack -S``."""
    total: dict[str, int] = {}
    for line in namespace.run("conntrack", "-S").splitlines():
        for word in line.split()[1:]:
            name, __, value = word.partition("=")
            total[name] = total.get(name, 0) + int(value)
    return total


@pytest.mark.parametrize(("unprivileged", "source"), [(False, "netlink"), (True, "procfs")])
def test_count_and_statistics_are_those_of_conntrack(tracked: Namespace, unprivileged: bool, source: str) -> None:
    before = statistics(tracked)
    found = collect(tracked, unprivileged)
    after = statistics(tracked)
    assert found["in_use"] and found["source"] == source
    assert found["count"] == int(tracked.run("conntrack", "-C")) == _DATAGRAMS + 2
    assert found["max"] == int(tracked.sysctl("net.netfilter.nf_conntrack_max"))
    assert set(after) <= set(found["stats"])
    for name in after:
        assert before[name] <= found["stats"][name] <= after[name]


def test_what_fills_the_table_is_what_conntrack_lists(tracked: Namespace) -> None:
    found = collect(tracked)["top"]
    listed = [
        line.split()
        for family in ("ipv4", "ipv6")
        for line in tracked.run("conntrack", "-L", "-f", family).splitlines()
    ]
    assert found["complete"]
    assert found["flows"] == len(listed)
    assert found["protocols"] == {"udp": _DATAGRAMS, "tcp": 2}
    assert found["tcp_states"] == {"time_wait": sum("TIME_WAIT" in words for words in listed)}
    assert found["unreplied"] == sum("[UNREPLIED]" in words for words in listed)
    sources: dict[str, int] = {}
    for words in listed:
        source = next(word for word in words if word.startswith("src="))[4:]
        sources[source] = sources.get(source, 0) + 1
    assert {row["address"]: row["count"] for row in found["sources"]} == sources
    assert found["destinations_total"] == _DATAGRAMS + 2


def test_an_unprivileged_run_says_what_it_could_not_see(tracked: Namespace) -> None:
    found = collect(tracked, unprivileged=True)
    assert found["top"] is None
    assert len(found["limited"]) == 1
    assert found["limited"][0].endswith("they need CAP_NET_ADMIN")


def test_timeouts_are_those_of_the_namespace(tracked: Namespace) -> None:
    tracked.sysctl("net.netfilter.nf_conntrack_tcp_timeout_time_wait", 33)
    found = collect(tracked)["timeouts"]
    assert found["tcp_time_wait_s"] == 33
    assert found["udp_s"] == int(tracked.sysctl("net.netfilter.nf_conntrack_udp_timeout"))
