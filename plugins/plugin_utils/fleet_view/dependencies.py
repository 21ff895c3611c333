# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose destination is whose listener. Private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Dependencies, Dependency
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.owners import Owners
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import Destination, Node, Traits

_ROWS = 500
_CANDIDATES = 5


def dependencies(traits: Mapping[Node, Traits], owners: Owners) -> Dependencies:
    """The map of the fleet, as far as each host's facts reach: they hold its busiest destinations."""
    rows: list[Dependency] = []
    outside: set[tuple[str, int]] = set()
    for node, each in traits.items():
        for (address, port), destination in _joined(each.destinations).items():
            place = owners.find(node, address, port)
            if place is None:
                continue
            if place.node is None and not place.candidates:
                outside.add((address, port))
                continue
            rtt_ms, ratio = each.quality.get((address, port), (None, None))
            rows.append(
                Dependency(
                    node.host,
                    destination.processes,
                    place.host,
                    [str(candidate) for candidate in place.candidates[:_CANDIDATES]],
                    address,
                    port,
                    place.listener,
                    sum(destination.states.values()),
                    destination.states,
                    rtt_ms,
                    ratio,
                    place.note,
                    node.inside,
                    place.inside,
                )
            )
    rows.sort(key=_order)
    ambiguous = sum(1 for row in rows if row.target is None)
    return Dependencies(rows[:_ROWS], len(rows), ambiguous, len(outside))


def _joined(rows: list[Destination]) -> dict[tuple[str, int], Destination]:
    """*rows* by address and port: the facts have one for each source address."""
    found: dict[tuple[str, int], Destination] = {}
    for row in rows:
        key = row.address, row.port
        if key in found:
            other = found[key]
            states = dict(Counter(other.states) + Counter(row.states))
            row = Destination(*key, states, other.processes or row.processes)
        found[key] = row
    return found


def _order(row: Dependency) -> tuple[object, ...]:
    return -row.stuck, -(row.retransmit_ratio or 0), -row.connections, row.source, row.address, row.port
