# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who does not close: sockets in CLOSE_WAIT by the service that holds them. Private to this collection.

A server that forks spreads a leak over its workers, so they are counted together. Where processes are hidden, the
control group still names the service, and what nobody can be found for is one row of its own.
"""

from __future__ import annotations

from itertools import islice
from typing import Any, NamedTuple, Union

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import UNKNOWN, Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.cgroups import Group

PEERS = 5

# The first of the workers that fork each other, or what is known of a process that is hidden.
_Key = Union[int, Group]


class Leak(NamedTuple):
    """What one service has in CLOSE_WAIT, and which of its processes; pid 0 is a hidden one."""

    inodes: set[int]
    pids: set[int]


def leaks(before: Sample | None, now: Sample, top: int, owners: Owners) -> dict[str, Any]:
    """The part ``close_wait`` of the facts."""
    found: dict[_Key, Leak] = {}
    for inode in now.census.close_wait:
        pids = owners.pids.get(inode)
        for pid in pids or (0,):
            key: _Key = owners.leader(pid) if pid else owners.group(inode)
            leak = found.setdefault(key, Leak(set(), set()))
            leak.inodes.add(inode)
            leak.pids.add(pid)
    shown = sorted(found.items(), key=lambda item: -len(item[1].inodes))[:top]
    return {
        "total": now.census.states[diag.CLOSE_WAIT],
        "unowned": now.census.close_wait_unowned,
        "holders_total": len(found),
        "holders": [_row(key, leak, before, now, owners) for key, leak in shown],
    }


def _row(key: _Key, leak: Leak, before: Sample | None, now: Sample, owners: Owners) -> dict[str, Any]:
    hidden = isinstance(key, Group)
    named = owners.of(leak.inodes)
    return {
        **(named[0] if named else UNKNOWN),
        "processes": named,
        "processes_total": None if hidden else len(leak.pids),
        "close_wait": len(leak.inodes),
        "close_wait_persistent": None if before is None else len(leak.inodes & before.census.close_wait.keys()),
        "close_wait_delta": None if before is None or hidden else len(leak.inodes) - _past(key, before, owners),
        "peers": peers(now, leak.inodes),
    }


def _past(leader: _Key, before: Sample, owners: Owners) -> int:
    """How many sockets in CLOSE_WAIT the service of *leader* had in the first sample."""
    return sum(any(leader == owners.leader(pid) for pid in pids) for pids in before.holders.values())


def peers(now: Sample, inodes: set[int]) -> list[str]:
    """The peers of the oldest of *inodes*, each once: the kernel gives inodes out in order."""
    seen: dict[tuple[int, bytes], None] = dict.fromkeys(now.census.close_wait[inode][:2] for inode in sorted(inodes))
    return [
        diag.endpoint(diag.address(family, raw[2:]), int.from_bytes(raw[:2], "big"))
        for family, raw in islice(seen, PEERS)
    ]
