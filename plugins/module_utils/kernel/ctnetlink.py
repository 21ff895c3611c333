# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection tracking by netlink. Private to this collection.

Sources: ``include/uapi/linux/netfilter/{nfnetlink,nfnetlink_conntrack,nf_conntrack_common,nf_conntrack_tcp}.h``.
All of it needs ``CAP_NET_ADMIN`` in the network namespace.
"""

from __future__ import annotations

import os
import struct
from typing import Iterator, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    NETLINK_NETFILTER,
    Netlink,
    attributes,
)

_SUBSYS_CTNETLINK = 1 << 8
_CT_GET = _SUBSYS_CTNETLINK | 1
_CT_GET_STATS_CPU = _SUBSYS_CTNETLINK | 4
_CT_GET_STATS = _SUBSYS_CTNETLINK | 5

_NFGENMSG = struct.Struct(">BBH")
_BE32 = struct.Struct(">I")
_REQUEST = _NFGENMSG.pack(0, 0, 0)

_STATS_GLOBAL_ENTRIES, _STATS_GLOBAL_MAX = 1, 2
# enum ctattr_stats_cpu; the kernel leaves out what it no longer counts.
_STATS = {
    1: "searched",
    2: "found",
    3: "new",
    4: "invalid",
    5: "ignore",
    6: "delete",
    7: "delete_list",
    8: "insert",
    9: "insert_failed",
    10: "drop",
    11: "early_drop",
    12: "error",
    13: "search_restart",
    14: "clash_resolve",
    15: "chaintoolong",
}

_CTA_TUPLE_ORIG, _CTA_STATUS, _CTA_PROTOINFO = 1, 3, 4
_CTA_TUPLE_IP, _CTA_TUPLE_PROTO = 1, 2
_CTA_IP_V4, _CTA_IP_V6 = (1, 2), (3, 4)  # source, destination
_CTA_PROTO_NUM, _CTA_PROTO_DST_PORT = 1, 3
_CTA_PROTOINFO_TCP, _CTA_PROTOINFO_TCP_STATE = 1, 1
_IPS_SEEN_REPLY = 1 << 1

# enum tcp_conntrack
TCP_STATES = (
    "none",
    "syn_sent",
    "syn_recv",
    "established",
    "fin_wait",
    "close_wait",
    "last_ack",
    "time_wait",
    "close",
    "syn_sent2",
)


class Flow(NamedTuple):
    """One tracked connection, seen from the side that began it; addresses as they stand in the packet."""

    protocol: int
    source: bytes
    destination: bytes
    port: int | None
    state: int | None
    replied: bool


def require(host: Host) -> None:
    """Make sure that asking loads no module.

    A netlink socket of the netfilter family, and a request to a subsystem that is not there, make the kernel load
    the module that would have it (``request_module`` in ``nfnetlink_rcv_msg``). Looking must not change the host.

    :raises Unavailable: netlink is not to be asked, with the reason.
    """
    host.require_live("conntrack")
    family = str(NETLINK_NETFILTER)
    sockets = (line.split()[1:3] for line in _text(host.net("netlink")).split("\n"))
    if [family, "0"] not in sockets:
        raise Unavailable("conntrack: nfnetlink is not loaded")
    if not os.path.exists(host.proc("modules")):
        return  # A kernel that loads no modules.
    modules = {line.split(" ", 1)[0] for line in _text(host.proc("modules")).split("\n")}
    # What is built in does not stand in that list; it is in the list that came with the kernel.
    built_in = f"/lib/modules/{os.uname().release}/modules.builtin"
    if "nf_conntrack_netlink" in modules:
        return
    if "nf_conntrack" not in modules and "/nf_conntrack_netlink.ko" in _text(built_in):
        return
    raise Unavailable("conntrack: nf_conntrack_netlink is not loaded")


def entries_and_max(link: Netlink) -> tuple[int | None, int | None]:
    """How many connections this namespace tracks, and how many it may; the latter ``None`` before Linux 4.18.

    :raises Unavailable: no privilege.
    """
    payload = link.request(_CT_GET_STATS, _REQUEST)
    found = attributes(payload, _NFGENMSG.size, len(payload))
    return _be32(payload, found.get(_STATS_GLOBAL_ENTRIES)), _be32(payload, found.get(_STATS_GLOBAL_MAX))


def per_cpu(link: Netlink) -> dict[int, dict[str, int]]:
    """The 32-bit counters of each possible CPU.

    :raises Unavailable: no privilege.
    """
    rows: dict[int, dict[str, int]] = {}
    for message in link.dump(_CT_GET_STATS_CPU, _REQUEST):
        if message.end - message.start < _NFGENMSG.size:
            raise Malformed("conntrack: a row of statistics is too short")
        cpu = _NFGENMSG.unpack_from(link.buffer, message.start)[2]
        row = rows.setdefault(cpu, {})
        for kind, place in attributes(link.buffer, message.start + _NFGENMSG.size, message.end).items():
            value = _be32(link.buffer, place)
            if kind in _STATS and value is not None:
                row[_STATS[kind]] = value
    return rows


def flows(link: Netlink) -> Iterator[Flow]:
    """Every connection that this namespace tracks.

    :raises Unavailable: no privilege.
    """
    # Entries of one length mostly have one layout: it is looked for once, then its headers are only compared.
    layouts: dict[int, _Layout] = {}
    for message in link.dump(_CT_GET, _REQUEST):
        size = message.end - message.start
        layout = layouts.get(size)
        flow = layout.read(link.buffer, message.start) if layout is not None else None
        if flow is None:
            layout = _layout(link.buffer, message.start, message.end)
            if layout is None:
                continue
            layouts[size] = layout
            flow = layout.read(link.buffer, message.start)
        if flow is not None:
            yield flow


class _Layout:
    """Where the values of one kind of entry lie, each with the attribute header before it."""

    def __init__(self, buffer: bytes | bytearray, start: int, fields: list[tuple[int, str]], port: bool) -> None:
        form, at = ">", start
        for place, code in fields:
            form += f"{place - 4 - at}x4s{code}"
            at = place + struct.calcsize(">" + code)
        self._unpack = struct.Struct(form).unpack_from
        self._headers = self._unpack(buffer, start)[::2]
        self._port = port
        self._state = len(fields) > 4 + port

    def read(self, buffer: bytes | bytearray, start: int) -> Flow | None:
        """The entry at *start*; ``None`` where other attributes stand in these places."""
        parts = self._unpack(buffer, start)
        if parts[::2] != self._headers:
            return None
        if self._port:
            __, source, __, destination, __, protocol, __, port, __, status, *rest = parts
        else:
            port = None
            __, source, __, destination, __, protocol, __, status, *rest = parts
        state = rest[1] if self._state else None
        return Flow(protocol, source, destination, port, state, bool(status & _IPS_SEEN_REPLY))


def _layout(buffer: bytes | bytearray, start: int, end: int) -> _Layout | None:
    """The layout of the entry at *start*; ``None`` where addresses, protocol or status are not to be found."""
    top = attributes(buffer, start + _NFGENMSG.size, end)
    tuple_ = _nest(buffer, top.get(_CTA_TUPLE_ORIG))
    addresses = _nest(buffer, tuple_.get(_CTA_TUPLE_IP))
    proto = _nest(buffer, tuple_.get(_CTA_TUPLE_PROTO))
    tcp = _nest(buffer, _nest(buffer, top.get(_CTA_PROTOINFO)).get(_CTA_PROTOINFO_TCP))
    four = _CTA_IP_V4[0] in addresses
    wanted = [
        *((addresses.get(kind), "4s" if four else "16s") for kind in (_CTA_IP_V4 if four else _CTA_IP_V6)),
        (proto.get(_CTA_PROTO_NUM), "B"),
        (proto.get(_CTA_PROTO_DST_PORT), "H"),
        (top.get(_CTA_STATUS), "I"),
        (tcp.get(_CTA_PROTOINFO_TCP_STATE), "B"),
    ]
    fields = [
        (place[0], code) for place, code in wanted if place and place[1] - place[0] == struct.calcsize(">" + code)
    ]
    port = _CTA_PROTO_DST_PORT in proto
    whole = len(fields) == 4 + port + (_CTA_PROTOINFO_TCP_STATE in tcp) and fields == sorted(fields)
    required = all(place for place, __ in wanted[:3]) and _CTA_STATUS in top
    return _Layout(buffer, start, fields, port) if whole and required else None


def _nest(buffer: bytes | bytearray, place: tuple[int, int] | None) -> dict[int, tuple[int, int]]:
    return attributes(buffer, *place) if place else {}


def _be32(buffer: bytes | bytearray, place: tuple[int, int] | None) -> int | None:
    if place is None or place[1] - place[0] != _BE32.size:
        return None
    value: int = _BE32.unpack_from(buffer, place[0])[0]
    return value


def _text(path: str) -> str:
    try:
        return read_text(path)
    except Unavailable:
        return ""
