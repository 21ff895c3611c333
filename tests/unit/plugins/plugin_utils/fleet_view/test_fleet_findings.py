# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One problem that several hosts see is one finding of the fleet."""

from __future__ import annotations

import pathlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils import catalogue
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view import findings as folding
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.owners import Owners
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import nodes, traits_of

SERVER = {"pid": 7, "command": "app", "unit": "app.service", "container": None}


def host(address: str, gateway: str | None = None, **listeners: int) -> dict[str, Any]:
    return {
        "nic": {"interfaces": [{"name": "eth0", "addresses": [f"{address}/24"]}]},
        "routes": {"default": [{"gateway": gateway}] if gateway else []},
        "sockets": {
            "tcp": {
                "listeners_total": len(listeners),
                "listeners": [{"address": "::", "port": port, "processes": [SERVER]} for port in listeners.values()],
            }
        },
    }


FLEET = {
    "a": host("10.0.0.1", "10.0.0.254"),
    "c": host("10.0.0.3", "10.0.0.254"),
    "d": host("10.0.0.4"),
    "b": host("10.0.0.2", web=8080, ssh=22),
    "gate": host("10.0.0.254"),
}


def finding(name: str, subject: str = "host", severity: str = "warning", **evidence: Any) -> dict[str, Any]:
    return {
        "id": name,
        "severity": severity,
        "subject": subject,
        "title": f"{name} of {subject}",
        "evidence": evidence,
        "command": f"ss {name}",
    }


def folded(
    stated: dict[str, str] | None = None, hosts: dict[str, Any] | None = None, **found: list[dict[str, Any]]
) -> list[FleetFinding]:
    traits = nodes({name: traits_of(each) for name, each in (FLEET if hosts is None else hosts).items()})
    rows, total = folding.fleet_findings(found, traits, Owners(traits, stated or {}), catalogue.built_in_limits())
    assert total == len(rows)
    return rows


STUCK = finding("tcp.syn_sent_stuck", "10.0.0.2:8080", syn_sent=12, syn_sent_retried=11)
FULL = finding("tcp.accept_queue", "[::]:8080", "critical", accept_queue=129, backlog=128, processes=[SERVER])


def test_both_ends_of_a_full_accept_queue_are_one() -> None:
    (row,) = folded(a=[STUCK], c=[STUCK | {"evidence": {"syn_sent": 3}}], b=[FULL])
    assert (row.id, row.severity, row.host, row.subject) == (
        "fleet.not_accepting",
        "critical",
        "b",
        "b (10.0.0.2:8080)",
    )
    assert "app[7] (app.service) on b" in row.title and "2 host(s)" in row.title
    assert row.hosts == ["b", "a", "c"] and row.hosts_total == 3
    assert [(part.host, part.end, part.id) for part in row.parts] == [
        ("b", "far", "tcp.accept_queue"),
        ("a", "near", "tcp.syn_sent_stuck"),
        ("c", "near", "tcp.syn_sent_stuck"),
    ]
    assert row.evidence["syn_sent"] == 15 and row.evidence["accept_queue"] == 129
    assert row.command == FULL["command"]


@pytest.mark.parametrize(
    "far",
    [
        finding("tcp.accept_queue", "[::]:22", "critical"),  # another service of that host
        finding("tcp.close_wait_leak", "app[7]", "critical"),  # another problem
    ],
)
def test_what_does_not_belong_together_stays_apart(far: dict[str, Any]) -> None:
    assert folded(a=[STUCK], b=[far]) == []


def test_one_end_alone_is_no_finding_of_the_fleet() -> None:
    assert folded(a=[STUCK]) == [] and folded(b=[FULL]) == []


def test_a_reader_that_is_slow_is_joined_by_its_peers() -> None:
    near = finding("tcp.send_queue", "cp[3] to 10.0.0.2:8080", queued_bytes=100000, peers=["10.0.0.2:8080"])
    far = finding("tcp.slow_reader", "app[7]", peers=["10.0.0.1:40000"], pid=7, command="app")
    (row,) = folded(a=[near], b=[far])
    assert row.id == "fleet.not_reading" and row.host == "b" and "app[7]" in row.title
    assert row.evidence["queued_bytes"] == 100000
    elsewhere = finding("tcp.slow_reader", "x[9]", peers=["192.0.2.9:40000"], pid=9)
    assert folded(a=[near], b=[elsewhere]) == []


def test_loss_at_the_link_of_the_far_host_is_named() -> None:
    worst = [{"address": "10.0.0.2", "port": 8080, "retransmitted_delta": 50}]
    near = finding("tcp.retransmits", "10.0.0.2:8080", retransmitted_segments=50, worst_destinations=worst)
    (row,) = folded(a=[near], c=[near], b=[finding("nic.ring_overrun", "eth0", missed_delta=70)])
    assert (row.id, row.host, row.hosts_total) == ("fleet.host_loses", "b", 3)
    assert row.evidence["retransmitted_segments"] == 100 and row.evidence["missed_delta"] == 70


def test_many_hosts_that_lose_towards_one_name_it_even_if_it_is_not_ours() -> None:
    near = finding("tcp.retransmits", "192.0.2.9:443", retransmitted_segments=50)
    (row,) = folded(a=[near], c=[near], d=[near])
    assert (row.id, row.host, row.subject, row.hosts) == ("fleet.loss_towards", None, "192.0.2.9", ["a", "c", "d"])
    assert folded(a=[near], c=[near]) == []


def test_a_place_that_is_only_among_others_is_not_blamed_by_many() -> None:
    worst = [{"address": "192.0.2.9", "port": 443}]
    near = [finding("tcp.retransmits", f"10.9.0.{n}:443", worst_destinations=worst) for n in range(3)]
    assert folded(a=[near[0]], c=[near[1]], d=[near[2]]) == []


def test_the_gateway_is_to_blame_for_the_hosts_behind_it() -> None:
    near = finding("tcp.syn_sent_stuck", "192.0.2.1:443", syn_sent=20)
    full = finding("conntrack.near_full", "host", "critical", count=99, max=100)
    (row,) = folded(a=[near], c=[near], gate=[full])
    assert (row.id, row.host, row.hosts) == ("fleet.gateway_tracks_too_much", "gate", ["gate", "a", "c"])


def test_a_host_that_is_down_explains_its_clients() -> None:
    near = finding("tcp.syn_sent_stuck", "10.0.0.66:443", syn_sent=20)
    (row,) = folded({"dead": "10.0.0.66"}, a=[near], dead=[finding("host.unreachable", severity="critical", why="x")])
    assert (row.id, row.host, row.severity) == ("fleet.host_down", "dead", "critical")


def test_a_silent_gateway_is_one_finding() -> None:
    near = finding("ip.gateway_unreachable", "10.0.0.9 on eth0", "critical", gateway="10.0.0.9")
    (row,) = folded(a=[near], c=[near], d=[near])
    assert (row.id, row.subject, row.severity) == ("fleet.gateway_silent", "10.0.0.9", "critical")


def test_a_name_server_that_drops_questions_is_joined_by_its_port() -> None:
    near = finding("dns.slow", "10.0.0.2:53", "critical")
    (row,) = folded(a=[near], b=[finding("udp.receive_errors", "0.0.0.0:53", receive_buffer_errors_delta=9)])
    assert (row.id, row.host, row.evidence["receive_buffer_errors_delta"]) == ("fleet.nameserver_overrun", "b", 9)
    assert folded(a=[near], b=[finding("udp.receive_errors", "0.0.0.0:514")]) == []
    silent = [finding("dns.unreachable", "192.0.2.53:53", "critical")]
    (outside,) = folded(a=silent, c=silent, d=silent)
    assert (outside.id, outside.subject) == ("fleet.nameserver_silent", "192.0.2.53:53")


POD = {"name": "pid:7", "container": "web", "pod": None, "unit": None, "pid": 7, "command": "app"}


def test_a_container_that_does_not_accept_is_not_its_host() -> None:
    """Port 8080 of a container is another one than port 8080 of the host that it runs on."""
    inner = {**FULL, "subject": "[::]:8080 in container web", "namespace": POD}
    assert folded(a=[STUCK], b=[inner]) == []
    hosts = {**FLEET, "b": {**FLEET["b"], "namespaces": {"list": [{**host("10.244.0.7", web=8080), **POD}]}}}
    near = {**STUCK, "subject": "10.244.0.7:8080"}
    (row,) = folded(hosts=hosts, a=[near], b=[inner])
    assert (row.id, row.host, row.subject) == ("fleet.not_accepting", "b", "b (container web) (10.244.0.7:8080)")
    assert folded(hosts=hosts, a=[near], b=[FULL]) == []


def test_what_a_host_loses_its_containers_lose() -> None:
    hosts = {**FLEET, "b": {**FLEET["b"], "namespaces": {"list": [{**host("10.244.0.7", web=8080), **POD}]}}}
    near = finding("tcp.retransmits", "10.244.0.7:8080", retransmitted_segments=50)
    (row,) = folded(hosts=hosts, a=[near], b=[finding("host.softnet_drops", dropped_delta=7)])
    assert (row.id, row.host) == ("fleet.host_loses", "b")


def test_a_finding_belongs_to_one_problem_only() -> None:
    rows = folded(a=[STUCK], c=[STUCK], d=[STUCK], b=[FULL])
    assert [row.id for row in rows] == ["fleet.not_accepting"]


@pytest.mark.parametrize(
    ("subject", "found"),
    [
        ("10.0.0.1:443", [("10.0.0.1", 443)]),
        ("[2001:db8::1]:443", [("2001:db8::1", 443)]),
        ("cp[12] to 10.0.0.1:443, [fe80::1%eth0]:80 and 3 more", [("10.0.0.1", 443), ("fe80::1", 80)]),
        ("10.0.0.254 on eth0", [("10.0.0.254", None)]),
        ("10.0.0.999:80", []),
        ("v1.2.3.4.5", []),
        ("host", []),
        (None, []),
    ],
)
def test_endpoints_are_read_from_what_findings_say(subject: Any, found: list[tuple[str, int | None]]) -> None:
    assert folding.endpoints({"subject": subject}) == found


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=12) | st.sampled_from(["10.0.0.2:8080", "[::]:8080"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["peers", "pid", "processes"]), inner),
    max_leaves=6,
)


@given(VALUES, VALUES)
def test_evidence_of_any_shape_is_survived(subject: Any, evidence: Any) -> None:
    rows = folded(
        a=[{**STUCK, "evidence": evidence}, {**STUCK, "id": "tcp.retransmits", "subject": subject}],
        b=[{**FULL, "evidence": evidence}, {**FULL, "id": "tcp.slow_reader", "subject": subject, "evidence": evidence}],
    )
    assert all(isinstance(row.title, str) for row in rows)


def test_every_id_of_the_table_is_a_rule() -> None:
    known = {rule["id"] for rule in catalogue.built_in_rules()} | {folding.UNREACHABLE}
    assert {name for join in folding.joins() for name in join.near | join.far} <= known


def test_every_figure_of_the_table_is_evidence_of_a_rule() -> None:
    evidence = {rule["id"]: set(rule.get("evidence", {})) for rule in catalogue.built_in_rules()}
    for join in folding.joins():
        assert set(join.sum) <= set().union(*(evidence.get(name, set()) for name in join.near)), join.id
        assert set(join.give) <= set().union(*(evidence.get(name, set()) for name in join.far)), join.id


def test_titles_of_the_table_name_the_place() -> None:
    text = (pathlib.Path(folding.__file__).parent / "joins.yml").read_text()
    assert text.count("- id:") == len(folding.joins()) == len({join.id for join in folding.joins()})
