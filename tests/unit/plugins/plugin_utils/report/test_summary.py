# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One sentence for a fleet, and where to begin."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, join, verdict_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding, Joined, Part
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.summary import first, verdict


def finding(severity: str, layer: str = "4", name: str = "tcp.some", **more: Any) -> dict[str, Any]:
    return {"id": name, "severity": severity, "layer": layer, "title": f"{name} is bad", "advice": ["Mend it."], **more}


def host(name: str, *findings: dict[str, Any]) -> Host:
    return Host(name, verdict_of(findings), findings)


def fleet(hosts: Iterable[Host]) -> Fleet:
    return join(hosts, "2024-01-01T00:00:00Z", "0.1.0")


def made(**number: int) -> Fleet:
    """So many hosts of each verdict."""
    found = {"critical": [finding("critical")], "warning": [finding("warning")], "ok": [], "unreachable": []}
    return fleet(Host(f"{name}{n}", name, found[name]) for name, count in number.items() for n in range(count))


@pytest.mark.parametrize(
    ("hosts", "told"),
    [
        (made(), "No host was looked at."),
        (made(critical=1), "Traffic suffers now on this host."),
        (made(warning=1), "No traffic suffers now, but somebody should look at this host."),
        (made(ok=1), "Nothing is wrong on this host."),
        (made(unreachable=1), "The host could not be looked at."),
        (made(unreachable=3), "No host could be looked at."),
        (made(critical=4, warning=1, ok=1), "Traffic suffers now on 4 of 6 hosts. 1 more host needs a look."),
        (made(critical=1, warning=2), "Traffic suffers now on 1 of 3 hosts. 2 more need a look."),
        (made(warning=3, ok=197), "No traffic suffers now, but somebody should look at 3 of 200 hosts."),
        (made(ok=5, unreachable=1), "Nothing is wrong on 5 of 6 hosts. 1 host could not be looked at."),
        (made(critical=1, unreachable=1), "Traffic suffers now on 1 of 2 hosts. 1 host could not be looked at."),
    ],
)
def test_the_state_of_the_fleet_is_one_sentence(hosts: Fleet, told: str) -> None:
    assert verdict(hosts) == told


def test_one_begins_with_the_worst_and_there_with_the_lowest_layer() -> None:
    steps = first(
        fleet(
            [
                host("a", finding("critical", "4", "tcp.b"), finding("warning", "1/2", "nic.a")),
                host(
                    "b", finding("critical", "3", "ip.a"), finding("critical", "4", "tcp.a"), finding("info", "7", "x")
                ),
                host("c", finding("critical", "4", "tcp.b")),
            ]
        )
    )
    assert [step.title for step in steps] == ["ip.a is bad", "tcp.b is bad", "tcp.a is bad"]
    assert (steps[1].host, steps[1].others, steps[1].advice) == ("a", 1, "Mend it.")


def test_what_several_hosts_see_stands_before_what_each_of_them_sees() -> None:
    part = Part("a", "near", "tcp.b", "critical", "x", "Seen by a", {})
    whole = FleetFinding("fleet.a", "critical", "4", "b", "x", "One for all", {}, "", [], "", ["a", "b"], 2, [part], 1)
    hosts = [host("a", finding("critical", "4", "tcp.b")), host("b", finding("critical", "1/2", "nic.a"))]
    steps = first(join(hosts, "", "", Joined(findings=[whole], findings_total=1)))
    assert [(step.anchor, step.host, step.title) for step in steps] == [
        ("f0", "b", "One for all"),
        ("c0", "b", "nic.a is bad"),
    ]


def test_what_is_worth_knowing_only_is_no_place_to_begin() -> None:
    assert first(fleet([host("a", finding("info"))])) == []


def test_a_step_of_many_hosts_names_what_they_share() -> None:
    found = [finding("critical", title=f"worker[{n}] leaks", advice=[f"Look in worker[{n}]."]) for n in range(2)]
    (step,) = first(fleet(host(str(n), each) for n, each in enumerate(found)))
    assert (step.title, step.advice) == ("worker[…] leaks", "Look in worker[…].")
