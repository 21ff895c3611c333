# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How bad it is on which layer. Private to this collection."""

from __future__ import annotations

from collections import Counter
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, severity_rank
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import VERDICTS

Heat = dict[str, tuple[str, int]]
"""For a layer the worst severity, and how many (findings, or hosts) have it."""


class Group(NamedTuple):
    """One group of the inventory.

    :ivar verdicts: how many of its hosts have which verdict, without zeros.
    :ivar heat: for each layer the worst severity, and on how many hosts.
    """

    name: str
    hosts: int
    verdicts: dict[str, int]
    heat: Heat


def of_host(host: Host) -> Heat:
    """For each layer with findings the worst severity, and how many findings have it."""
    found: Heat = {}
    for finding in sorted(host.findings, key=severity_rank):
        severity, number = found.setdefault(finding["layer"], (finding["severity"], 0))
        if severity == finding["severity"]:
            found[finding["layer"]] = severity, number + 1
    return found


def groups(fleet: Fleet) -> list[Group]:
    """The inventory's groups, worst first; none where there are no two to compare."""
    members: dict[str, list[Host]] = {}
    for host in fleet.hosts:
        for name in host.groups:
            members.setdefault(name, []).append(host)
    if len(members) < 2:
        return []
    made = [_group(name, hosts) for name, hosts in members.items()]
    return sorted(made, key=lambda group: ([-group.verdicts.get(verdict, 0) for verdict in VERDICTS], group.name))


def _group(name: str, hosts: list[Host]) -> Group:
    counts = Counter(host.verdict for host in hosts)
    heat: dict[str, Counter[str]] = {}
    for host in hosts:
        for layer, (severity, __) in of_host(host).items():
            heat.setdefault(layer, Counter())[severity] += 1
    worst = {
        layer: min(found, key=lambda severity: severity_rank({"severity": severity})) for layer, found in heat.items()
    }
    return Group(
        name,
        len(hosts),
        {verdict: counts[verdict] for verdict in VERDICTS if counts[verdict]},
        {layer: (severity, heat[layer][severity]) for layer, severity in worst.items()},
    )
