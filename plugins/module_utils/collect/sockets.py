# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset ``sockets``: connections, listeners, destinations, their owners and their quality.

Private to this collection.
"""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_tables as tables
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_bandwidth import Bandwidth
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_leaks import leaks
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_past import Past
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_quality import Quality
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample, take
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_stuck import Stuck
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.processes import holders
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sock_diag import STATE_NAMES


def sample(host: Host) -> Sample:
    """Everything that the facts are made of."""
    return take(host)


def baseline(host: Host) -> Sample:
    """What the first of two samples is needed for, and no more."""
    now = take(host, light=True)
    if now.census.close_wait:
        now.holders.update(holders(host, now.census.close_wait).pids)
    return now


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    """The subset as ``docs/facts.md`` describes it."""
    looked = Looked(host, before, now, window)
    return looked.facts(Owners(host, looked.wanted, looked.shared, looked.groups))


class Looked:
    """All but the owners, who may be asked for together with those of other namespaces.

    :ivar wanted: inodes of the sockets of which one holder is to be named.
    :ivar shared: inodes of those of which every holder is.
    :ivar groups: inode to the id of a control group.
    """

    def __init__(self, host: Host, before: Sample | None, now: Sample, window: Window) -> None:
        past = Past(before) if before is not None else None
        self._before, self._now, self._window = before, now, window
        self._quality = Quality(host, now, past, window)
        self._bandwidth = Bandwidth(host, self._quality.moved, now.census, window) if past is not None else None
        self._stuck = Stuck(now, past, window)
        self._listeners = tables.Listeners(before, now, window.top)
        self._udp = tables.Udp(before, now, window.top)
        self._destinations = tables.Destinations(before, now)
        others = self._quality.inodes | self._stuck.inodes | (self._bandwidth.inodes if self._bandwidth else set())
        self.wanted, self.groups = tables.wanted(now, self._listeners, self._udp, others)
        self.shared = {row.inode for row in self._listeners.shown if row.inode}

    def facts(self, owners: Owners) -> Facts:
        """The subset, with *owners* named."""
        before, now, top = self._before, self._now, self._window.top
        census, carried = now.census, self._bandwidth
        flows = carried.busiest(owners) if carried else []
        return {
            "available": True,
            "limited": [*now.limited, *owners.limited],
            "source": now.source,
            "interrupted": now.interrupted,
            "tcp": {
                "total": sum(census.states) + len(now.listeners) + (census.bound or 0),
                "states": tables.states(now),
                "listeners_total": len(now.listeners),
                "listeners": self._listeners.rows(owners),
                "destinations_total": self._destinations.total,
                "destinations": self._destinations.rows(top, owners),
                "processes": tables.processes(before, now, top, owners),
                "close_wait": leaks(before, now, top, owners),
                "orphans": {STATE_NAMES[state]: count for state, count in census.orphans.items()},
                **tables.syn_recv_sources(now, top),
                "queues": self._stuck.queues(owners),
                "stalled": self._stuck.stalled(owners, self._quality.progressed),
                "quality": {**self._quality.facts(owners), "flows": flows} if now.source == "netlink" else None,
                "bandwidth": carried.facts(owners) if carried and now.source == "netlink" else None,
            },
            "udp": self._udp.facts(owners),
            "unix": None if now.unix is None else {"total": now.unix[0], "listeners": now.unix[1]},
            "ports": now.ports._asdict(),
        }
