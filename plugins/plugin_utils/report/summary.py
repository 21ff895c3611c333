# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says in one sentence, and where to begin. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Cause, Fleet
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.alike import titles, variants
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS, SEVERITIES, count

_STEPS = 3


class Step(NamedTuple):
    """One of the few things to begin with.

    :ivar anchor: where the page tells more: ``c0`` for the first kind of finding, ``f0`` for the first of the fleet.
    :ivar host: the one to look at first; ``others`` is how many more are concerned.
    :ivar advice: the first thing to do; empty where the rule has none.
    """

    anchor: str
    severity: str
    layer: str
    title: str
    host: str
    others: int
    advice: str


def verdict(fleet: Fleet) -> str:
    """The state of the fleet: ``Traffic suffers now on 4 of 6 hosts. 1 more host needs a look.``"""
    total, number = len(fleet.hosts), fleet.verdicts
    if not total:
        return "No host was looked at."
    if total == number["unreachable"]:
        return "No host could be looked at." if total > 1 else "The host could not be looked at."
    told = _state(total, number)
    if number["unreachable"]:
        told += f" {count(number['unreachable'], 'host')} could not be looked at."
    return told


def _state(total: int, number: Mapping[str, int]) -> str:
    if number["critical"]:
        if total == 1:
            return "Traffic suffers now on this host."
        more, needs = number["warning"], "needs" if number["warning"] == 1 else "need"
        told = f"Traffic suffers now on {number['critical']} of {total} hosts."
        return f"{told} {count(more, 'more host').replace('more hosts', 'more')} {needs} a look." if more else told
    if number["warning"]:
        if total == 1:
            return "No traffic suffers now, but somebody should look at this host."
        return f"No traffic suffers now, but somebody should look at {number['warning']} of {total} hosts."
    return "Nothing is wrong on this host." if total == 1 else f"Nothing is wrong on {number['ok']} of {total} hosts."


def first(fleet: Fleet) -> list[Step]:
    """Where to begin: of what is worst the lowest layer, as what is below explains what is above.

    What several hosts see together comes before that which each of them sees of it.
    """
    together = [_of_fleet(number, finding) for number, finding in enumerate(fleet.joined.findings)]
    known = {(part.host, part.id) for finding in fleet.joined.findings for part in finding.parts}
    single = [
        _of_cause(number, cause)
        for number, cause in enumerate(fleet.causes)
        if any((host, cause.id) not in known for host, __ in cause.rows)
    ]
    steps = [step for step in together + single if step.severity != "info"]
    # Sorting keeps the order of what is equal: problems of the fleet stand first.
    steps.sort(
        key=lambda step: (SEVERITIES.index(step.severity), step.anchor[0] != "f", _layer(step.layer), -step.others)
    )
    return steps[:_STEPS]


def _layer(layer: str) -> int:
    return LAYERS.index(layer) if layer in LAYERS else len(LAYERS)


def _of_fleet(number: int, finding: FleetFinding) -> Step:
    host = finding.host or (finding.hosts[0] if finding.hosts else "")
    advice = finding.advice[0] if finding.advice else ""
    others = max(0, finding.hosts_total - 1)
    return Step(f"f{number}", finding.severity, finding.layer, finding.title, host, others, advice)


def _of_cause(number: int, cause: Cause) -> Step:
    said = variants(cause.rows)[0]
    title = titles([finding for __, finding in said.rows])
    advice = said.advice[0] if said.advice else ""
    hosts, worst = cause.hosts, cause.worst
    return Step(f"c{number}", worst["severity"], str(worst.get("layer")), title, hosts[0], len(hosts) - 1, advice)
