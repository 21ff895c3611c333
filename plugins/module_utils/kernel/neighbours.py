# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Neighbours (ARP, NDP) and the limits of their tables, by rtnetlink and from files. Private to this collection.

The tables are the kernel's, not a namespace's: entries and limits are shared by all network namespaces, while a
dump shows only the own namespace's neighbours. Sources: ``include/uapi/linux/neighbour.h``, ``net/core/neighbour.c``,
arp(7).
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    Netlink,
    attributes,
    dump_consistently,
    payloads,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import address, text, u32

_RTM_GETNEIGH, _RTM_GETNEIGHTBL = 30, 66
_NDMSG = struct.Struct("=BxxxiHBB")
_NTF_EXT_LEARNED = 0x10
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
_STATES = {
    0x00: "none", 0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe",
    0x20: "failed", NUD_NOARP: "noarp", NUD_PERMANENT: "permanent",
}  # fmt: skip
_FAILING = ("incomplete", "failed")
_TABLES = {"arp_cache": socket.AF_INET.value, "ndisc_cache": socket.AF_INET6.value}
_FAMILIES = frozenset(_TABLES.values())
EXAMPLES = 3


class Neighbours(NamedTuple):
    """The namespace's neighbours, counted.

    :ivar counts: (family, interface index, state) to number, without the ``noarp`` ones that need no resolving.
    :ivar examples: interface index to a few addresses that do not resolve.
    :ivar exempt: per family, how many entries the table's limit does not count: permanent and externally learned ones.
    """

    counts: dict[tuple[int, int, str], int]
    examples: dict[int, list[str]]
    exempt: dict[int, int]


class Table(NamedTuple):
    """A neighbour table. ``None`` is what the kernel did not tell.

    :ivar entries: of all namespaces.
    :ivar fulls: how often a new neighbour was refused since boot, because the table was full.
    """

    entries: int | None
    gc_thresh1: int | None
    gc_thresh2: int | None
    gc_thresh3: int | None
    fulls: int | None


def neighbours(link: Netlink) -> tuple[Neighbours, bool]:
    """Count the neighbours; only a few failing ones are looked at closely, since there may be 100,000.

    :returns: the counts, and whether the dump stayed interrupted.
    """

    def walk() -> Neighbours:
        seen: dict[tuple[int, int, int], int] = {}
        examples: dict[int, list[str]] = {}
        exempt = dict.fromkeys(_FAMILIES, 0)
        buffer = link.buffer
        unpack = _NDMSG.unpack_from
        for _, start, end in link.dump(_RTM_GETNEIGH, _NDMSG.pack(0, 0, 0, 0, 0)):
            if end - start < _NDMSG.size:
                continue
            family, ifindex, state, flags, _ = unpack(buffer, start)
            if family not in _FAMILIES:
                continue
            if state & NUD_PERMANENT or flags & _NTF_EXT_LEARNED:
                exempt[family] += 1
            key = family, ifindex, state
            seen[key] = seen.get(key, 0) + 1
            if state & 0x21 and len(examples.get(ifindex, ())) < EXAMPLES:
                found = attributes(buffer, start + _NDMSG.size, end)
                shown = address(family, buffer, found.get(1))
                if shown is not None:
                    examples.setdefault(ifindex, []).append(shown)
        counts = {
            (family, ifindex, _STATES.get(state, str(state))): number
            for (family, ifindex, state), number in seen.items()
            if state != NUD_NOARP
        }
        return Neighbours(counts, examples, exempt)

    return dump_consistently(link, walk)


def tables(link: Netlink) -> dict[int, Table]:
    """The tables of both families. Netlink tells the limits in every namespace, /proc/sys only in the first one."""
    found: dict[int, Table] = {}
    for data in payloads(link, _RTM_GETNEIGHTBL, b"\0\0\0\0")[0]:
        made = parse_table(data)
        if made is not None:
            found.setdefault(*made)
    return found


def parse_table(data: bytes) -> tuple[int, Table] | None:
    """One ``RTM_NEWNEIGHTBL``; ``None`` for the parameters of an interface, which come in the same dump."""
    found = attributes(data, 4, len(data))
    family = _TABLES.get(text(data, found.get(1)) or "")
    if family is None or 4 not in found:
        return None
    entries = fulls = None
    if 5 in found and found[5][1] - found[5][0] >= 8:
        (entries,) = struct.unpack_from("=4xI", data, found[5][0])
    if 7 in found and found[7][1] - found[7][0] >= 88:  # ndts_table_fulls is the eleventh, of Linux 4.3
        (fulls,) = struct.unpack_from("=80xQ", data, found[7][0])
    thresholds = [u32(data, found.get(kind)) for kind in (2, 3, 4)]
    return family, Table(entries, thresholds[0], thresholds[1], thresholds[2], fulls)


def parse_stat(content: str) -> dict[str, int]:
    """``/proc/net/stat/arp_cache``: hexadecimal, one line a CPU; ``entries`` is the same on each and not summed.

    :raises ValueError: it is damaged.
    """
    lines = [line.split() for line in content.splitlines() if line.strip()]
    if not lines:
        return {}
    totals: dict[str, int] = {}
    for row in lines[1:]:
        for name, value in zip(lines[0], row):
            number = int(value, 16)
            totals[name] = number if name == "entries" else totals.get(name, 0) + number
    return totals
