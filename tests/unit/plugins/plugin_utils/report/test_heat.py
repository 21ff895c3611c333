# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How bad it is on which layer."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Host, join, verdict_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import heat


def host(name: str, groups: list[str], *found: tuple[str, str]) -> Host:
    findings = [{"id": "a.b", "severity": severity, "layer": layer} for layer, severity in found]
    return Host(name, verdict_of(findings), findings, groups=groups)


def test_a_host_has_its_worst_severity_on_each_layer() -> None:
    hot = heat.of_host(host("a", [], ("4", "warning"), ("4", "critical"), ("4", "critical"), ("1/2", "info")))
    assert hot == {"4": ("critical", 2), "1/2": ("info", 1)}


def test_groups_are_compared_worst_first() -> None:
    hosts = [
        host("a", ["web", "north"], ("4", "critical"), ("3", "warning")),
        host("b", ["web"], ("4", "critical"), ("4", "warning")),
        host("c", ["db", "north"], ("3", "warning")),
    ]
    web, north, db = heat.groups(join(hosts, "", ""))
    assert (web.name, web.hosts, web.verdicts) == ("web", 2, {"critical": 2})
    assert web.heat == {"4": ("critical", 2), "3": ("warning", 1)}
    assert (north.name, north.verdicts) == ("north", {"critical": 1, "warning": 1})
    assert (db.name, db.heat) == ("db", {"3": ("warning", 1)})


def test_one_group_alone_is_the_fleet_again() -> None:
    assert heat.groups(join([host("a", ["web"], ("4", "critical"))], "", "")) == []
