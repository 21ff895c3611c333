# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset ``sockets``: connections, listeners, destinations, their owners and their quality.

Private to this collection.
"""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_tables as tables
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_leaks import leaks
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_past import Past
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_quality import Quality
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample, take
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_stuck import Stuck
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sock_diag import STATE_NAMES


def sample(host: Host) -> Sample:
    """Everything that the facts are made of."""
    return take(host)


def baseline(host: Host) -> Sample:
    """What the first of two samples is needed for, and no more."""
    return take(host, light=True)


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    """The subset as ``docs/facts.md`` describes it."""
    past = Past(before) if before is not None else None
    quality = Quality(host, now, past, window)
    stuck = Stuck(now, past, window)
    listeners = tables.Listeners(before, now, window.top)
    udp = tables.Udp(before, now, window.top)
    wanted, groups = tables.wanted(now, listeners, udp, quality.inodes | stuck.inodes)
    owners = Owners(host, wanted, {row.inode for row in listeners.shown if row.inode}, groups)
    destinations = tables.Destinations(before, now)
    census = now.census
    return {
        "available": True,
        "limited": [*now.limited, *owners.limited],
        "source": now.source,
        "interrupted": now.interrupted,
        "tcp": {
            "total": sum(census.states) + len(now.listeners) + (census.bound or 0),
            "states": tables.states(now),
            "listeners_total": len(now.listeners),
            "listeners": listeners.rows(owners),
            "destinations_total": destinations.total,
            "destinations": destinations.rows(window.top, owners),
            "processes": tables.processes(before, now, window.top, owners),
            "close_wait": leaks(before, now, window.top, owners),
            "orphans": {STATE_NAMES[state]: count for state, count in census.orphans.items()},
            **tables.syn_recv_sources(now, window.top),
            "queues": stuck.queues(owners),
            "stalled": stuck.stalled(owners, quality.progressed),
            "quality": quality.facts(owners) if now.source == "netlink" else None,
        },
        "udp": udp.facts(owners),
        "unix": None if now.unix is None else {"total": now.unix[0], "listeners": now.unix[1]},
        "ports": now.ports._asdict(),
    }
