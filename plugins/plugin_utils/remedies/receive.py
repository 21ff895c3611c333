# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedy for packets that the host drops before its protocols see them. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Proposal,
    Remedy,
    enough,
)

# Twice the kernel's defaults.
_BACKLOG, _BUDGET = 2000, 600
_HIGHEST = 1 << 16


def _netdev_queue(case: Case) -> Proposal:
    """Lets more packets wait for a CPU, and has a CPU take more of them at once."""
    delta = case.at("tcp.softnet.delta") or {}
    changes = []
    for key, sensible, counter, why in (
        (
            "net.core.netdev_max_backlog",
            _BACKLOG,
            "dropped",
            "packets wait here for a CPU on the RPS path",
        ),
        ("net.core.netdev_budget", _BUDGET, "squeezed", "a CPU takes more packets before it leaves the rest for later"),
    ):
        current = case.number(key) or 0
        target = enough(current, sensible, _HIGHEST, bool(delta.get(counter)))
        if target > current:
            changes.append(Change(key, target, why, "tcp.softnet.delta.dropped"))
    return Proposal(changes, [case.exists("net.core.netdev_max_backlog", "net.core.netdev_budget")])


NETDEV_QUEUE = Remedy(
    "netdev_queue",
    ("host.softnet_drops", "nic.drops"),
    "low",
    ("net.core.netdev_max_backlog", "net.core.netdev_budget"),
    _netdev_queue,
)
