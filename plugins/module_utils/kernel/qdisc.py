# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queueing disciplines and what they dropped, by rtnetlink. Private to this collection.

Sources: ``include/uapi/linux/{rtnetlink,pkt_sched,gen_stats}.h``, ``net/sched/sch_api.c``.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Netlink, attributes, payloads
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import text

_RTM_GETQDISC = 38
_TC_H_ROOT, _TC_H_INGRESS = 0xFFFFFFFF, 0xFFFFFFF1
_TCMSG = struct.Struct("=BxxxiIII")
_BASIC = struct.Struct("=QI")
_QUEUE = struct.Struct("=IIIII")
_OLD_STATS = struct.Struct("=QIIIIIII")


class Qdisc(NamedTuple):
    """One qdisc. A root's numbers contain its children's: ``mq`` sums them up, a classful one counts with them.

    :ivar parent: ``root``, ``ingress`` or the class above, as ``tc`` prints it.
    :ivar requeues: ``None`` where the kernel gives the old statistics only.
    """

    ifindex: int
    kind: str
    handle: str
    parent: str
    packets: int
    drops: int
    overlimits: int
    requeues: int | None
    backlog_bytes: int
    backlog_packets: int


def qdiscs(link: Netlink) -> tuple[list[Qdisc], bool]:
    """Every qdisc of the namespace, and whether the dump stayed interrupted."""
    rows, interrupted = payloads(link, _RTM_GETQDISC, _TCMSG.pack(0, 0, 0, 0, 0))
    return [made for made in map(parse_qdisc, rows) if made is not None], interrupted


def parse_qdisc(data: bytes) -> Qdisc | None:
    """One ``RTM_NEWQDISC``; ``None`` where it has no kind or no statistics."""
    if len(data) < _TCMSG.size:
        return None
    __, ifindex, handle, parent, __ = _TCMSG.unpack_from(data)
    found = attributes(data, _TCMSG.size, len(data))
    kind = text(data, found.get(1))
    numbers = _statistics(data, found)
    if not kind or numbers is None:
        return None
    above = {_TC_H_ROOT: "root", _TC_H_INGRESS: "ingress"}.get(parent)
    if above is None:
        above = f"{parent >> 16:x}:{parent & 0xFFFF:x}" if parent >> 16 else f":{parent & 0xFFFF:x}"
    return Qdisc(ifindex, kind, f"{handle >> 16:x}:", above, *numbers)


def _statistics(data: bytes, found: dict[int, tuple[int, int]]) -> tuple[int, int, int, int | None, int, int] | None:
    """Packets, drops, overlimits, requeues, backlog in bytes and in packets: TCA_STATS2, before 2.6.10 TCA_STATS."""
    if 7 in found:
        nested = attributes(data, *found[7])
        if _has(nested, 1, 12) and _has(nested, 3, _QUEUE.size):
            __, packets = _BASIC.unpack_from(data, nested[1][0])
            if _has(nested, 8, 8):  # TCA_STATS_PKT64, present once 32 bits are too few (Linux 5.5)
                (packets,) = struct.unpack_from("=Q", data, nested[8][0])
            length, backlog, drops, requeues, overlimits = _QUEUE.unpack_from(data, nested[3][0])
            return packets, drops, overlimits, requeues, backlog, length
    if _has(found, 3, _OLD_STATS.size):
        __, packets, drops, overlimits, __, __, length, backlog = _OLD_STATS.unpack_from(data, found[3][0])
        return packets, drops, overlimits, None, backlog, length
    return None


def _has(found: dict[int, tuple[int, int]], kind: int, size: int) -> bool:
    return kind in found and found[kind][1] - found[kind][0] >= size
