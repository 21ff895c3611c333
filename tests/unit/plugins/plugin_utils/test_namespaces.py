# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils import namespaces
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.plugins.plugin_utils.plan import make_plan

IDENTITY = {"name": "blue", "pid": 20, "command": "nginx", "container": None, "pod": None, "unit": None}
LISTENER = {
    "address": "0.0.0.0",
    "port": 80,
    "accept_queue": 9,
    "accept_queue_before": 9,
    "backlog": 8,
    "fill": 1.1,
    "drops_delta": 4,
    "processes": [{"pid": 20, "command": "nginx"}],
}


def facts(*rows: Any, **own: Any) -> dict[str, Any]:
    return {
        "meta": {"netns": None, "kernel": "6.1.0"},
        "sysctl": {"values": {"net.core.somaxconn": 4096}},
        "tcp": {"delta": {"TcpExt": {"ListenOverflows": 0, "TCPTimeouts": 0}, "Tcp": {"OutRsts": 5}}},
        "namespaces": {"available": True, "list": list(rows)},
        **own,
    }


def row(**parts: Any) -> dict[str, Any]:
    return {**IDENTITY, "inode": 7, "in_full": True, **parts}


def test_what_is_left_out_is_zero_or_the_hosts() -> None:
    given = facts(
        row(tcp={"delta": {"TcpExt": {"ListenOverflows": 4}, "Icmp": {"InMsgs": None}}}, sysctl={"differing": {"k": 1}})
    )
    ((identity, found),) = namespaces.each(given)
    assert identity == IDENTITY
    assert found["tcp"]["delta"] == {
        "TcpExt": {"ListenOverflows": 4, "TCPTimeouts": 0},
        "Tcp": {"OutRsts": 0},
        "Icmp": {"InMsgs": None},
    }
    assert found["sysctl"]["values"] == {"net.core.somaxconn": 4096, "k": 1}
    assert found["meta"] == {"netns": "blue", "kernel": "6.1.0"}
    assert not {"resolver", "nic", "conntrack", "routes"} & set(found)


def test_without_an_interval_there_is_still_no_change() -> None:
    ((__, found),) = namespaces.each(facts(row(tcp={"sockstat": {}})))
    assert found["tcp"]["delta"] is None


@pytest.mark.parametrize(
    "damaged", [None, {"list": None}, {"list": [None, 3, {"name": None}, {}]}, {"available": False}, []]
)
def test_damaged_namespaces_are_none(damaged: Any) -> None:
    assert list(namespaces.each({"namespaces": damaged})) == []
    assert evaluate({"meta": {}, "namespaces": damaged}) == []


@pytest.mark.parametrize(
    ("identity", "label"),
    [
        ({}, "namespace blue"),
        ({"container": "ab" * 32}, "container abababababab"),
        ({"container": "web1"}, "container web1"),
        ({"container": "ab" * 32, "pod": "0a1b-2c"}, "pod 0a1b-2c"),
        ({"name": "pid:20"}, "namespace pid:20 (nginx)"),
        ({"name": "pid:20", "unit": "web.service"}, "namespace pid:20 (web.service)"),
        ({"name": "/run/docker/netns/x", "command": None}, "namespace /run/docker/netns/x"),
    ],
)
def test_what_people_call_it(identity: dict[str, Any], label: str) -> None:
    assert namespaces.label({**IDENTITY, **identity}) == label


def test_a_finding_names_its_namespace() -> None:
    (finding,) = evaluate(facts(row(sockets={"tcp": {"listeners": [LISTENER]}})))
    assert finding["id"] == "tcp.accept_queue"
    assert finding["namespace"] == IDENTITY
    assert finding["subject"] == "0.0.0.0:80 in namespace blue"
    assert finding["title"].startswith("In namespace blue: ")
    assert finding["command"] == "ip netns exec blue ss -ltnp sport = :80"


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("pid:20", "nsenter --net --target 20 "),
        ("/srv/a b", "nsenter --net='/srv/a b' "),
        ("blue", "ip netns exec blue "),
    ],
)
def test_the_command_enters_it(name: str, before: str) -> None:
    (finding,) = evaluate(facts(row(name=name, sockets={"tcp": {"listeners": [LISTENER]}})))
    assert finding["command"].startswith(before)


def test_the_hosts_own_finding_is_as_without_namespaces() -> None:
    sockets = {"tcp": {"listeners": [LISTENER]}}
    alone = evaluate(facts(sockets=sockets))
    assert evaluate(facts(row(), sockets=sockets)) == alone
    assert "namespace" not in alone[0] and alone[0]["subject"] == "0.0.0.0:80"


def test_a_rule_about_the_kernel_is_applied_once() -> None:
    rules = [
        {
            "id": f"site.{scope}",
            "layer": "4",
            "severity": "info",
            "when": "facts.meta.kernel",
            "title": "x",
            "scope": scope,
        }
        for scope in ("kernel", "namespace")
    ]
    found = evaluate(facts(row(), row(name="red")), rules=rules)
    assert [(each["id"], (each.get("namespace") or {}).get("name")) for each in found] == [
        ("site.kernel", None),
        ("site.namespace", None),
        ("site.namespace", "blue"),
        ("site.namespace", "red"),
    ]
    with pytest.raises(ValueError, match="scope: 'host' is not accepted; give one of namespace, kernel"):
        evaluate(facts(), rules=[{**rules[0], "scope": "host"}])


def test_no_plan_for_the_host_from_what_is_found_elsewhere() -> None:
    given = facts(row(sockets={"tcp": {"listeners": [{**LISTENER, "backlog": 4096, "accept_queue": 4097}]}}))
    findings = evaluate(given)
    assert [each["remedies"] for each in findings] == [["accept_backlog"]]
    assert make_plan(given, findings, {}) == []
