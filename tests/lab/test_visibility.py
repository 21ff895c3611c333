# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs that may not see everything: what they still find, and what they say that they could not see."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab.auditing import Audit, AuditOne
from ansible_collections.nettriage.linux.tests.lab.netlab import Actor, Lab, Namespace, says, wait_until

_NOBODY = 65534
_LEAKED = 60
# The module opens its target while it is root: a namespace may not be entered without.
_COLLECT = f"""
import heapq, ipaddress, json, os, sys  # the interpreter may lie where nobody else may read
from ansible_collections.nettriage.linux.plugins.module_utils.collect import flows, sockets_connections
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
host = open_target(params)
os.setgroups([])
os.setgid({_NOBODY})
os.setuid({_NOBODY})
json.dump(health(host, params)["ansible_facts"]["nettriage"], sys.stdout)
"""


@pytest.fixture(scope="module")
def leak(shared_lab: Lab) -> tuple[Namespace, Actor]:
    """A host with a program of root's that does not close."""
    client, server, link = shared_lab.pair()
    server.start("backend", "leaver", "leave", "0.0.0.0:8001")
    leaky = client.start("client", "leaky-app", "hold", _LEAKED, f"{link.addresses[1]}:8001")
    wait_until(lambda: len(client.ss("-t state close-wait")) == _LEAKED, "sockets in CLOSE_WAIT")
    return client, leaky


def unprivileged(namespace: Namespace, procfs: str = "/proc") -> Audit:
    params: dict[str, Any] = {"netns": namespace.name, "procfs": procfs, "sysfs": "/sys", "interval": 0.5, "top": 10}
    params.update(gather_subset=["all"], as_json=False)
    facts = says(_COLLECT, params)
    return Audit(facts, evaluate(facts))


def _leak_of_a_hidden_process(seen: Audit, leaky: Actor, reason: str) -> None:
    assert seen.facts["meta"]["privileged"] is False
    assert {name: part["why"] for name, part in seen.facts.items() if name != "meta" and not part["available"]} == {}
    assert any(reason in sentence for sentence in seen.facts["sockets"]["limited"])
    finding = seen.one("tcp.close_wait_leak")
    assert finding["evidence"]["close_wait"] == _LEAKED
    assert str(leaky.pid) not in finding["title"] and "leaky-app" not in finding["title"]
    assert any("privilege" in sentence for sentence in finding["advice"])


def test_a_leak_is_found_without_privilege(leak: tuple[Namespace, Actor]) -> None:
    _leak_of_a_hidden_process(unprivileged(leak[0]), leak[1], "CAP_SYS_PTRACE")


def test_a_leak_is_found_where_processes_are_hidden(leak: tuple[Namespace, Actor], hidden: str) -> None:
    _leak_of_a_hidden_process(unprivileged(leak[0], hidden), leak[1], "hidden from this run")


def test_root_sees_who_it_is_through_the_same_procfs(
    leak: tuple[Namespace, Actor], hidden: str, audit: AuditOne
) -> None:
    audit(leak[0], procfs=hidden).one("tcp.close_wait_leak", "leaky-app", leak[1].pid)


def test_ipv6_switched_off(lab: Lab, audit: AuditOne) -> None:
    """No address, no route and no finding; the counters of the protocol are still there."""
    host, __, link = lab.pair()
    for where in ("all", "default"):
        host.sysctl(f"net.ipv6.conf.{where}.disable_ipv6", 1)
    assert "inet6" not in host.ip("address show")
    seen = audit(host)
    assert seen.findings == []
    assert all(part["available"] for name, part in seen.facts.items() if name != "meta")
    assert seen.facts["sysctl"]["values"]["net.ipv6.conf.all.disable_ipv6"] == 1
    (row,) = (row for row in seen.facts["nic"]["interfaces"] if row["name"] == link.interfaces[0])
    assert row["addresses"] == [f"{link.addresses[0]}/24"]
    assert seen.facts["routes"]["counts"].get("ipv6", 0) == 0


def test_an_interface_without_ethtool(lab: Lab, audit: AuditOne) -> None:
    """The loopback has neither rings nor a speed: absent, not zero."""
    seen = audit(lab.namespace("alone"))
    (row,) = seen.facts["nic"]["interfaces"]
    assert row["name"] == "lo"
    assert row["speed_mbps"] is row["best_speed_mbps"] is row["duplex"] is row["ring"] is row["driver"] is None
    assert row["utilisation"] == {"rx": None, "tx": None}
    assert seen.findings == []
