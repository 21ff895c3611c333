# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedy for a neighbour table that is too small. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
    enough,
)

_ENTRY_BYTES = 512
_HIGHEST = 1 << 20


def _neighbours(case: Case) -> Proposal:
    """Doubles the room of a neighbour table that is nearly full, with the limits at which it is cleaned."""
    changes: list[Change] = []
    guards = []
    for family in ("ipv4", "ipv6"):
        table = case.at(f"routes.neighbours.{family}") or {}
        if not (table.get("usage") or 0) > 0.8 and not table.get("table_fulls_delta"):
            continue
        keys = [f"net.{family}.neigh.default.gc_thresh{number}" for number in (1, 2, 3)]
        guards.append(case.exists(*keys))
        current = [case.number(key) or 0 for key in keys]
        # The three keep their proportion: collection must begin below the limit.
        for key, now in zip(keys, current):
            target = enough(now, 0, _HIGHEST, short=True)
            if target > now:
                cost = (target - now) * _ENTRY_BYTES if key == keys[2] else 0
                path = f"routes.neighbours.{family}.table_fulls_delta"
                changes.append(
                    Change(key, target, f"{table.get('total')} neighbours, room for {current[2]}", path, cost)
                )
    guards.append(
        Guard("a table is nearly full", bool(guards), "see routes.neighbours" if guards else "both tables have room")
    )
    return Proposal(changes, guards)


_KEYS = tuple(f"net.{family}.neigh.default.gc_thresh{number}" for family in ("ipv4", "ipv6") for number in (1, 2, 3))

NEIGHBOURS = Remedy("neighbours", ("ip.neighbours_full",), "low", _KEYS, _neighbours)
