# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Naming the processes behind sockets. Private to this collection."""

from __future__ import annotations

from collections import Counter
from typing import Any, Collection, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import cgroups, processes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

# How many processes one row names: a server may have forked hundreds that share its listener.
SHOWN = 8
UNKNOWN: dict[str, Any] = dict.fromkeys(processes.Process._fields)


class Owners:
    """Who holds which socket, asked for once for all that is wanted.

    :param wanted: inodes of which one holder is enough.
    :param shared: inodes of which every holder is wanted.
    :param groups: inode to the id of the control group that made the socket, as far as the kernel told.
    :param found: the answer, where it was asked for already.
    """

    def __init__(
        self,
        host: Host,
        wanted: Collection[int],
        shared: Collection[int],
        groups: dict[int, int],
        found: processes.Holders | None = None,
    ) -> None:
        self._host = host
        if found is None:
            found = processes.holders(host, wanted, shared)
        self.pids = found.pids
        self._named: dict[int, dict[str, Any]] = {}
        self._leaders: dict[int, int] = {}
        every = {*wanted, *shared}
        lost = {inode for inode in every if inode not in found.pids}
        # The group still tells the unit where the descriptors of a process may not be read.
        ids = {groups[inode] for inode in lost if groups.get(inode, 0) > 1}
        known = cgroups.by_id(host, ids) if ids else {}
        self._groups = {inode: known[groups[inode]] for inode in lost if groups.get(inode) in known}
        self.limited = []
        if lost:
            reason = "their processes are hidden from this run or are no longer there"
            if found.hidden:
                reason = f"the descriptors of {found.hidden} process(es) may not be read (that takes CAP_SYS_PTRACE)"
            self.limited.append(f"owners: {len(lost)} of {len(every)} sockets have no process: {reason}")

    def of(self, inodes: Iterable[int]) -> list[dict[str, Any]]:
        """The processes that hold *inodes*, those with most of them first, at most :data:`SHOWN`."""
        held: Counter[int] = Counter()
        units: Counter[cgroups.Group] = Counter()
        for inode in inodes:
            if inode in self.pids:
                held.update(self.pids[inode])
            elif self.group(inode) != cgroups.NOBODY:
                units[self.group(inode)] += 1
        named = [self.name(pid) for pid, __ in sorted(held.items(), key=lambda item: (-item[1], item[0]))[:SHOWN]]
        for group, __ in units.most_common(SHOWN - len(named)):
            named.append({"pid": None, "command": None, "unit": group.unit, "container": group.container})
        return named

    def one(self, inode: int) -> dict[str, Any] | None:
        """The first process that holds *inode*."""
        named = self.of([inode])
        return named[0] if named else None

    def holder(self, inode: int) -> int | cgroups.Group:
        """The first process that holds *inode*, or else its control group; see :meth:`describe`."""
        pids = self.pids.get(inode)
        return min(pids) if pids else self.group(inode)

    def describe(self, holder: int | cgroups.Group) -> dict[str, Any]:
        """Who *holder* is."""
        if isinstance(holder, int):
            return self.name(holder)
        return {**UNKNOWN, "unit": holder.unit, "container": holder.container}

    def group(self, inode: int) -> cgroups.Group:
        """What the control group tells of a socket whose process is hidden."""
        return self._groups.get(inode, cgroups.NOBODY)

    def leader(self, pid: int) -> int:
        """The first of the processes of one command that forked each other down to *pid*."""
        if pid not in self._leaders:
            self._leaders[pid] = processes.leader(self._host, pid)
        return self._leaders[pid]

    def name(self, pid: int) -> dict[str, Any]:
        """Who *pid* is."""
        if pid not in self._named:
            self._named[pid] = processes.describe(self._host, pid)._asdict()
        return dict(self._named[pid])
