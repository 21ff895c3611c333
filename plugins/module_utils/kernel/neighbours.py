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
from collections import Counter
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    HEADER_SIZE,
    Netlink,
    attributes,
    dump_consistently,
    payloads,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import address, text, u32

_RTM_GETNEIGH, _RTM_GETNEIGHTBL = 30, 66
_NDMSG = struct.Struct("=BxxxiHBB")
_ENTRY = struct.Struct("=16xBxxxiHB")  # of a whole message: family, interface, state, flags
_NTF_EXT_LEARNED = 0x10
NUD_PERMANENT, NUD_NOARP = 0x80, 0x40
_STATES = {
    0x00: "none", 0x01: "incomplete", 0x02: "reachable", 0x04: "stale", 0x08: "delay", 0x10: "probe",
    0x20: "failed", NUD_NOARP: "noarp", NUD_PERMANENT: "permanent",
}  # fmt: skip
_NUD_FAILING = 0x21
_TABLES = {"arp_cache": socket.AF_INET.value, "ndisc_cache": socket.AF_INET6.value}
_FAMILIES = frozenset(_TABLES.values())
EXAMPLES = 3


class Neighbours(NamedTuple):
    """The namespace's neighbours, counted.

    :ivar counts: (family, interface index, state) to number, without the ``noarp`` ones that need no resolving.
    :ivar examples: interface index to a few addresses that do not resolve, those looked for first.
    :ivar states: the state of the addresses looked for, by interface index and address.
    :ivar exempt: per family, how many entries the table's limit does not count: permanent and externally learned ones.
    """

    counts: dict[tuple[int, int, str], int]
    examples: dict[int, list[str]]
    states: dict[tuple[int, str], str]
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


def neighbours(link: Netlink, wanted: frozenset[str] = frozenset()) -> tuple[Neighbours, bool]:
    """Count the neighbours in batches, since there may be 100,000; only a few are looked at closely.

    :param wanted: addresses, such as the gateways', whose state is to be told.
    :returns: the counts, and whether the dump stayed interrupted.
    """
    raw = {packed(each): each for each in wanted}

    def walk() -> Neighbours:
        seen: Counter[tuple[int, int, int, int]] = Counter()
        examples: dict[int, list[str]] = {}
        states: dict[tuple[int, str], str] = {}
        for data, length, stride in link.batches(_RTM_GETNEIGH, _NDMSG.pack(0, 0, 0, 0, 0)):
            if stride < _ENTRY.size:
                continue
            rows = struct.Struct(f"{_ENTRY.format}{stride - _ENTRY.size}x").iter_unpack(data[:length])
            batch = Counter(rows)
            seen.update(batch)
            near = [each for each in raw if each in data]
            if not near and not any(state & _NUD_FAILING for __, __, state, __ in batch):
                continue
            for start in range(0, length, stride):
                family, ifindex, state, __ = _ENTRY.unpack_from(data, start)
                first = start + HEADER_SIZE + _NDMSG.size
                found = attributes(data, first, start + stride) if near or state & _NUD_FAILING else {}
                known = raw.get(bytes(data[found[1][0] : found[1][1]])) if 1 in found else None
                if known is not None:
                    states[ifindex, known] = _STATES.get(state, str(state))
                if state & _NUD_FAILING and (known is not None or len(examples.get(ifindex, ())) < EXAMPLES):
                    shown = address(family, data, found.get(1))
                    if shown is not None:
                        examples.setdefault(ifindex, []).insert(0 if known else EXAMPLES, shown)
        counts: dict[tuple[int, int, str], int] = {}
        exempt = dict.fromkeys(_FAMILIES, 0)
        for (family, ifindex, state, flags), number in seen.items():
            if family not in _FAMILIES:
                continue
            if state & NUD_PERMANENT or flags & _NTF_EXT_LEARNED:
                exempt[family] += number
            if state != NUD_NOARP:
                key = family, ifindex, _STATES.get(state, str(state))
                counts[key] = counts.get(key, 0) + number
        shortened = {ifindex: shown[:EXAMPLES] for ifindex, shown in examples.items()}
        return Neighbours(counts, shortened, states, exempt)

    return dump_consistently(link, walk)


def packed(text_address: str) -> bytes:
    """*text_address* as it stands in a message."""
    return socket.inet_pton(socket.AF_INET6 if ":" in text_address else socket.AF_INET, text_address)


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
