# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Links, addresses, routes and rules by rtnetlink. Private to this collection.

Sources: ``include/uapi/linux/{if_link,if_addr,rtnetlink,fib_rules,netconf,nexthop}.h``, rtnetlink(7). All of it works
without privilege and speaks of the network namespace of the socket.
"""

from __future__ import annotations

import socket
import struct
from collections import Counter
from typing import Iterator, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    HEADER_SIZE,
    NETLINK_ROUTE,
    Netlink,
    attribute,
    attributes,
    dump_consistently,
    payloads,
)

IFF_UP = 0x1
ARPHRD_LOOPBACK = 772

_RTM_GETLINK, _RTM_GETADDR, _RTM_GETROUTE, _RTM_GETRULE = 18, 22, 26, 34
_RTM_GETNETCONF, _RTM_GETNEXTHOP = 82, 106
_IFF_LOWER_UP = 0x10000
_RTM_F_CLONED, _RTM_F_LOOKUP_TABLE = 0x200, 0x1000
_RTN_UNICAST = 1
_RT_TABLE_LOCAL = 255
_RTNH_F_DEAD, _RTNH_F_LINKDOWN = 1, 16
_TABLES = {253: "default", 254: "main", 255: "local"}
_OPERSTATES = ("unknown", "notpresent", "down", "lowerlayerdown", "testing", "dormant", "up")
_ACTIONS = {1: "lookup", 2: "goto", 3: "nop", 6: "blackhole", 7: "unreachable", 8: "prohibit"}
_ADDRESS_SIZE: dict[int, int] = {socket.AF_INET: 4, socket.AF_INET6: 16}
_MAPPED = b"\0" * 10 + b"\xff\xff"

# struct rtnl_link_stats64: grew at its end, rx_nohandler in Linux 4.6, rx_otherhost_dropped in 5.19.
STATISTICS = (
    "rx_packets", "tx_packets", "rx_bytes", "tx_bytes", "rx_errors", "tx_errors", "rx_dropped", "tx_dropped",
    "multicast", "collisions", "rx_length_errors", "rx_over_errors", "rx_crc_errors", "rx_frame_errors",
    "rx_fifo_errors", "rx_missed_errors", "tx_aborted_errors", "tx_carrier_errors", "tx_fifo_errors",
    "tx_heartbeat_errors", "tx_window_errors", "rx_compressed", "tx_compressed", "rx_nohandler",
    "rx_otherhost_dropped",
)  # fmt: skip

_IFINFO = struct.Struct("=BxHiII")
_IFADDR = struct.Struct("=BBBBI")
_RTMSG = struct.Struct("=BBBBBBBBI")
_ROUTE_HEAD = struct.Struct("=16xBBxxBxxBI")  # of a whole message: family, prefix length, table, type, flags
_NEXTHOP = struct.Struct("=HBBi")
_RULE = struct.Struct("=BBBBBBBBI")
_U32 = struct.Struct("=I")


class Link(NamedTuple):
    """One interface.

    :ivar type: ``ARPHRD_*``.
    :ivar flags: ``IFF_*``; ``None`` where only files could be read.
    :ivar name: bytes that are no UTF-8 are kept as surrogates, so that the name can be given back to the kernel.
    :ivar carrier: ``None`` while the interface is administratively down.
    :ivar kind: the name of its rtnl_link_ops, such as ``veth``; ``None`` for most hardware.
    :ivar parent: the device below (Linux 5.14), such as ``0000:00:1f.6``.
    :ivar counters: empty where the kernel gave none.
    :ivar lower: the interface that it is made on, such as that of a VLAN; ``None`` for the other end of a veth pair.
    """

    ifindex: int
    type: int
    flags: int | None
    name: str
    mtu: int | None
    operstate: str | None
    carrier: bool | None
    carrier_changes: int | None
    kind: str | None
    master: int | None
    parent: str | None
    counters: dict[str, int]
    lower: int | None = None


class Address(NamedTuple):
    """An interface's own address, ``ADDRESS/PREFIXLEN``."""

    ifindex: int
    text: str


class Default(NamedTuple):
    """One next hop of a default route; a multipath route has several.

    :ivar ifindex: the interface, ``None`` where the route names none.
    :ivar metric: 0 where none is set.
    :ivar usable: false while its interface is down or has no carrier.
    """

    family: int
    gateway: str | None
    ifindex: int | None
    metric: int
    source: str | None
    table: str
    usable: bool


class Routes(NamedTuple):
    """:ivar counts: routes outside the ``local`` table, by address family."""

    counts: dict[int, int]
    defaults: list[Default]


class Rule(NamedTuple):
    """One rule of the routing policy. ``None`` means: not part of the rule."""

    family: int
    priority: int
    action: str
    table: str | None
    source: str | None
    destination: str | None
    in_interface: str | None
    out_interface: str | None
    mark: int | None


class Way(NamedTuple):
    """The route that the kernel would choose now. :ivar mtu: of the route, ``None`` where the interface's counts."""

    ifindex: int | None
    gateway: str | None
    source: str | None
    mtu: int | None
    table: str


def open_route() -> Netlink:
    """A socket of the rtnetlink family. :raises Unavailable: it may not be had."""
    return Netlink(NETLINK_ROUTE)


def family_name(family: int) -> str:
    return "ipv4" if family == socket.AF_INET else "ipv6"


def table_name(number: int) -> str:
    """A routing table as ``ip route`` prints it without a file of names."""
    return _TABLES.get(number, str(number))


def u8(data: bytes | bytearray, at: tuple[int, int] | None) -> int | None:
    return data[at[0]] if at is not None and at[1] > at[0] else None


def u32(data: bytes | bytearray, at: tuple[int, int] | None) -> int | None:
    if at is None or at[1] - at[0] < 4:
        return None
    number: int = _U32.unpack_from(data, at[0])[0]
    return number


def text(data: bytes | bytearray, at: tuple[int, int] | None) -> str | None:
    """A string attribute, up to its NUL."""
    if at is None:
        return None
    return bytes(data[at[0] : at[1]]).split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def address(family: int, data: bytes | bytearray, at: tuple[int, int] | None) -> str | None:
    """Canonical text of an address attribute; an IPv4-mapped one is shown as IPv4."""
    if at is None or at[1] - at[0] != _ADDRESS_SIZE.get(family):
        return None
    raw = bytes(data[at[0] : at[1]])
    if raw[:12] == _MAPPED:
        family, raw = socket.AF_INET, raw[12:]
    return socket.inet_ntop(family, raw)


def links(link: Netlink) -> tuple[list[Link], bool]:
    """Every interface of the namespace, and whether the dump was interrupted each time it was tried."""
    rows, interrupted = payloads(link, _RTM_GETLINK, _IFINFO.pack(0, 0, 0, 0, 0))
    return [made for made in map(parse_link, rows) if made is not None], interrupted


def parse_link(data: bytes) -> Link | None:
    """One ``RTM_NEWLINK``; ``None`` where it is too damaged to name an interface."""
    if len(data) < _IFINFO.size:
        return None
    __, kind, index, flags, __ = _IFINFO.unpack_from(data)
    found = attributes(data, _IFINFO.size, len(data))
    name = text(data, found.get(3))
    if not name:
        return None
    info = attributes(data, *found[18]) if 18 in found else {}
    operstate = u8(data, found.get(16))
    carrier = u8(data, found.get(33))
    changes = u32(data, found.get(35))
    up, down = u32(data, found.get(47)), u32(data, found.get(48))
    kind_name = text(data, info.get(1))
    return Link(
        ifindex=index,
        type=kind,
        flags=flags,
        name=name,
        mtu=u32(data, found.get(4)),
        operstate=None if operstate is None or operstate >= len(_OPERSTATES) else _OPERSTATES[operstate],
        # IFLA_CARRIER is of Linux 3.9; the flag says the same of an interface that is up.
        carrier=None if not flags & IFF_UP else bool(flags & _IFF_LOWER_UP if carrier is None else carrier),
        carrier_changes=up + down if changes is None and up is not None and down is not None else changes,
        kind=kind_name,
        master=u32(data, found.get(10)),
        parent=text(data, found.get(56)) or None,
        counters=_statistics(data, found),
        # With IFLA_LINK_NETNSID the number is one of another namespace.
        lower=u32(data, found.get(5)) if kind_name != "veth" and 37 not in found else None,
    )


def _statistics(data: bytes, found: dict[int, tuple[int, int]]) -> dict[str, int]:
    for kind, code, size in ((23, "Q", 8), (7, "I", 4)):
        if kind in found:
            start, end = found[kind]
            count = min((end - start) // size, len(STATISTICS))
            return dict(zip(STATISTICS, struct.unpack_from(f"={count}{code}", data, start)))
    return {}


def one_link(link: Netlink, ifindex: int) -> Link | None:
    """The interface with this index. :raises Unavailable: there is none."""
    return parse_link(link.request(_RTM_GETLINK, _IFINFO.pack(0, 0, ifindex, 0, 0)))


def addresses(link: Netlink) -> tuple[list[Address], bool]:
    """Every address of the namespace's interfaces, and whether the dump stayed interrupted."""
    rows, interrupted = payloads(link, _RTM_GETADDR, _IFADDR.pack(0, 0, 0, 0, 0))
    return [made for made in map(parse_address, rows) if made is not None], interrupted


def parse_address(data: bytes) -> Address | None:
    """One ``RTM_NEWADDR``. On point-to-point links ``IFA_ADDRESS`` is the peer, ``IFA_LOCAL`` our own."""
    if len(data) < _IFADDR.size:
        return None
    family, prefix, __, __, index = _IFADDR.unpack_from(data)
    found = attributes(data, _IFADDR.size, len(data))
    shown_address = address(family, data, found.get(2) or found.get(1))
    return None if shown_address is None else Address(index, f"{shown_address}/{prefix}")


def routes(link: Netlink) -> tuple[Routes, bool]:
    """How many routes there are, and the default ones, of both families; and whether the dump stayed interrupted.

    Batches of messages are counted at once: a router may have a million.
    """

    def walk() -> Routes:
        counts = {socket.AF_INET.value: 0, socket.AF_INET6.value: 0}
        defaults: list[Default] = []
        for data, length, stride in link.batches(_RTM_GETROUTE, _RTMSG.pack(0, 0, 0, 0, 0, 0, 0, 0, 0)):
            if stride < _ROUTE_HEAD.size:
                continue
            rows = struct.Struct(f"{_ROUTE_HEAD.format}{stride - _ROUTE_HEAD.size}x").iter_unpack(data[:length])
            for (family, prefix, table, kind, flags), number in Counter(rows).items():
                if not _is_route(family, table, flags):
                    continue
                counts[family] += number
                if prefix == 0 and kind == _RTN_UNICAST:
                    head = bytes((family, prefix))
                    for start in range(HEADER_SIZE, length, stride):
                        if data[start : start + 2] == head and _ROUTE_HEAD.unpack_from(data, start - HEADER_SIZE) == (
                            family, prefix, table, kind, flags,
                        ):  # fmt: skip
                            defaults += parse_default(bytes(data[start : start - HEADER_SIZE + stride]))
        return Routes(counts, defaults)

    found, interrupted = dump_consistently(link, walk)
    objects = [hop for hop in found.defaults if hop.ifindex is not None and hop.ifindex < 0]
    if objects:
        hops = [hop for hop in found.defaults if hop not in objects]
        for hop in objects:
            hops += _resolved(link, hop)
        found = Routes(found.counts, hops)
    return found, interrupted


def _is_route(family: int, table: int, flags: int) -> bool:
    """Neither one of the host's own addresses nor a cloned one: those are remembered, such as for a path MTU."""
    return family in _ADDRESS_SIZE and table != _RT_TABLE_LOCAL and not flags & _RTM_F_CLONED


def parse_default(data: bytes) -> list[Default]:
    """The next hops of one default route's ``RTM_NEWROUTE``.

    A route that only refers to a nexthop object has the negated id of it as its index.
    """
    family, __, __, __, table, __, __, __, flags = _RTMSG.unpack_from(data)
    found = attributes(data, _RTMSG.size, len(data))
    number = u32(data, found.get(15))
    metric = u32(data, found.get(6)) or 0
    source = address(family, data, found.get(7))
    name = table_name(table if number is None else number)

    def hop(at: dict[int, tuple[int, int]], index: int | None, state: int) -> Default:
        usable = not state & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN)
        return Default(family, _gateway(family, data, at), index, metric, source, name, usable)

    if 9 in found:
        return [
            hop(attributes(data, start + _NEXTHOP.size, end), index, state)
            for start, end, state, index in _nexthops(data, *found[9])
        ]
    index = u32(data, found.get(4))
    if index is None and 30 in found:
        index = -(u32(data, found[30]) or 0)
    return [hop(found, index, flags)]


def _nexthops(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    while start + _NEXTHOP.size <= end:
        size, state, __, index = _NEXTHOP.unpack_from(data, start)
        if size < _NEXTHOP.size or start + size > end:
            return
        yield start, start + size, state, index
        start += (size + 3) & ~3


def _gateway(family: int, data: bytes, found: dict[int, tuple[int, int]]) -> str | None:
    if 5 in found:
        return address(family, data, found[5])
    if 18 in found:  # RTA_VIA: a gateway of another family than the route's
        start, end = found[18]
        if end - start > 2:
            return address(struct.unpack_from("=H", data, start)[0], data, (start + 2, end))
    return None


def _resolved(link: Netlink, hop: Default, depth: int = 0) -> list[Default]:
    """The hops behind a nexthop object, which is all that a route shows with nexthop_compat_mode=0 (Linux 5.3)."""
    try:
        data = link.request(
            _RTM_GETNEXTHOP, struct.pack("=BBBBI", 0, 0, 0, 0, 0) + attribute(1, _U32.pack(-(hop.ifindex or 0)))
        )
    except Unavailable:
        return [hop._replace(ifindex=None)]
    found = attributes(data, 8, len(data))
    if 2 in found and not depth:
        start, end = found[2]
        members = [_U32.unpack_from(data, at)[0] for at in range(start, end - 7, 8)]
        return [made for member in members for made in _resolved(link, hop._replace(ifindex=-member), 1)]
    flags = _U32.unpack_from(data, 4)[0] if len(data) >= 8 else 0
    gateway = address(data[0], data, found.get(6)) if data else None
    return [
        hop._replace(
            ifindex=u32(data, found.get(5)), gateway=gateway, usable=not flags & (_RTNH_F_DEAD | _RTNH_F_LINKDOWN)
        )
    ]


def rules(link: Netlink) -> tuple[list[Rule], bool]:
    """The routing policy of both families by priority, and whether the dump stayed interrupted."""
    rows, interrupted = payloads(link, _RTM_GETRULE, _RULE.pack(0, 0, 0, 0, 0, 0, 0, 0, 0))
    made = [rule for rule in map(parse_rule, rows) if rule is not None]
    return sorted(made, key=lambda rule: (rule.family, rule.priority)), interrupted


def parse_rule(data: bytes) -> Rule | None:
    """One ``RTM_NEWRULE`` of IPv4 or IPv6."""
    if len(data) < _RULE.size:
        return None
    family, to_length, from_length, __, table, __, __, action, __ = _RULE.unpack_from(data)
    if family not in _ADDRESS_SIZE:
        return None
    found = attributes(data, _RULE.size, len(data))

    def prefix(kind: int, length: int) -> str | None:
        shown_address = address(family, data, found.get(kind))
        return None if shown_address is None else f"{shown_address}/{length}"

    number = u32(data, found.get(15))
    number = table if number is None else number
    return Rule(
        family,
        u32(data, found.get(6)) or 0,
        _ACTIONS.get(action, str(action)),
        "l3mdev" if u8(data, found.get(19)) else table_name(number) if number else None,
        prefix(2, from_length),
        prefix(1, to_length),
        text(data, found.get(3)),
        text(data, found.get(17)),
        u32(data, found.get(10)),
    )


def way(link: Netlink, destination: str) -> Way:
    """What ``ip route get`` answers for *destination*: the kernel's own choice. No packet is sent.

    :raises Unavailable: there is no way to it, or *destination* is no address.
    """
    family = socket.AF_INET6 if ":" in destination else socket.AF_INET
    try:
        raw = socket.inet_pton(family, destination)
    except (OSError, ValueError) as error:
        raise Unavailable(f"{destination}: no IP address") from error
    header = _RTMSG.pack(family, len(raw) * 8, 0, 0, 0, 0, 0, 0, _RTM_F_LOOKUP_TABLE)
    return parse_way(link.request(_RTM_GETROUTE, header + attribute(1, raw)), destination)


def parse_way(data: bytes, destination: str) -> Way:
    """The answer to a route lookup. :raises Unavailable: it leads nowhere."""
    if len(data) < _RTMSG.size:
        raise Unavailable(f"{destination}: the kernel's answer is too short")
    family, __, __, __, table, __, __, kind, __ = _RTMSG.unpack_from(data)
    if kind in (6, 7, 8):
        raise Unavailable(f"{destination}: the route says {_ACTIONS[kind]}")
    found = attributes(data, _RTMSG.size, len(data))
    metrics = attributes(data, *found[8]) if 8 in found else {}
    number = u32(data, found.get(15))
    return Way(
        u32(data, found.get(4)),
        _gateway(family, data, found),
        address(family, data, found.get(7)),
        u32(data, metrics.get(2)),
        table_name(table if number is None else number),
    )


def rp_filters(link: Netlink) -> dict[int, int]:
    """``net.ipv4.conf.*.rp_filter`` of every interface by index, -1 being ``all`` (Linux 3.9)."""
    values: dict[int, int] = {}
    for data in payloads(link, _RTM_GETNETCONF, struct.pack("=Bxxx", socket.AF_INET))[0]:
        found = attributes(data, 4, len(data))
        index, value = u32(data, found.get(1)), u32(data, found.get(3))
        if index is not None and value is not None:
            values[index - (1 << 32) if index >> 31 else index] = value
    return values
