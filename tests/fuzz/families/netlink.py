# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink: the framing, and the messages of every family that is asked."""

from __future__ import annotations

import json
import struct
from typing import Any, Callable, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import (
    ctnetlink,
    ethtool,
    neighbours,
    qdisc,
    rtnetlink,
    sock_diag,
    tcp_info,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import NLM_F_MULTI, NLMSG_DONE, Netlink
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part, as_json, fixture, told

_TYPE = 20
_NUMBERED = 30


class Kernel(Netlink):
    """Stands for the kernel's end: hands out the datagrams of an input, each behind two bytes with its length."""

    def __init__(self, data: bytes) -> None:
        self.buffer = bytearray(65536)
        self.interrupted = False
        self._left = data

    def send(self, message_type: int, payload: bytes, flags: int) -> int:
        return 1

    def receive(self) -> int:
        if not self._left:
            raise Unavailable("netlink: no answer")
        size = int.from_bytes(self._left[:2], "little")
        datagram, self._left = self._left[2 : 2 + size], self._left[2 + size :]
        self.buffer[: len(datagram)] = datagram
        return len(datagram)


class Diag(sock_diag.SockDiag):
    """NETLINK_SOCK_DIAG of such a kernel."""

    def __init__(self, data: bytes) -> None:
        self._link = Kernel(data)


def framed(*datagrams: bytes) -> bytes:
    """An input of these datagrams."""
    return b"".join(struct.pack("<H", len(each)) + each for each in datagrams)


def message(payload: bytes, kind: int = _TYPE) -> bytes:
    """A message of a dump."""
    head = struct.pack("=IHHII", 16 + len(payload), kind, NLM_F_MULTI, 1, 0)
    return head + payload + bytes(-len(payload) % 4)


DONE = struct.pack("=IHHIIi", 20, NLMSG_DONE, NLM_F_MULTI, 1, 0, 0)
_ROUTE: dict[str, Any] = json.loads(fixture("6.18", "netlink", "rtnetlink.json"))
_DIAG: dict[str, Any] = json.loads(fixture("6.18", "netlink", "sock_diag.json"))


def recorded(name: str) -> list[bytes]:
    """The messages of one recorded dump of rtnetlink."""
    found = _ROUTE[name]
    return [bytes.fromhex(each) for each in ([found] if isinstance(found, str) else found)]


def _dump(name: str) -> Callable[[], Iterable[bytes]]:
    def seeds() -> Iterable[bytes]:
        rows = recorded(name)
        yield framed(b"".join(map(message, rows[:8])), DONE)
        yield framed(*map(message, rows[:4]), DONE)

    return seeds


def _diag(*names: str) -> Callable[[], Iterable[bytes]]:
    return lambda: [framed(*(bytes.fromhex(each)[:4096] for each in _DIAG[name][:3]), DONE) for name in names]


def _whole(read: Callable[[Kernel], Any]) -> Callable[[bytes], None]:
    def take(data: bytes) -> None:
        as_json(_shown(read(Kernel(data))))

    return take


def _shown(value: Any) -> Any:
    """Tuples as keys are told in another way in the facts."""
    if isinstance(value, dict):
        return [[_shown(key), _shown(item)] for key, item in value.items()]
    if isinstance(value, str):  # as the collectors write names, which may be any bytes
        return shown(value)
    return [_shown(item) for item in value] if isinstance(value, (list, tuple)) else value


def _link(data: bytes) -> None:
    found = rtnetlink.parse_link(data)
    if found is not None:
        told(data, found.name, found.mtu, found.ifindex, found.kind, found.master, found.parent)
        told(data, *found.counters.values())


def _table(data: bytes) -> None:
    found = neighbours.parse_table(data)
    if found is not None:
        told(data, *found[1])


def _qdisc(data: bytes) -> None:
    found = qdisc.parse_qdisc(data)
    if found is not None:
        told(data, found.kind, found.ifindex, found.packets, found.drops, found.overlimits, found.requeues)
        told(data, found.backlog_bytes, found.backlog_packets)


def _route(data: bytes) -> None:
    if len(data) >= 12:
        for hop in rtnetlink.parse_default(data):
            told(data, hop.metric)
            as_json(hop)


def _sockets(data: bytes) -> None:
    for batch in Diag(data).tcp(sock_diag.ALL_STATES, (sock_diag.INFO, sock_diag.SKMEMINFO)):
        for part, places in sock_diag.layouts(batch, (sock_diag.INFO, sock_diag.SKMEMINFO, sock_diag.CONGESTION)):
            if any(not sock_diag.MESSAGE_SIZE <= start <= end <= part.stride for start, end in places.values()):
                raise Broken("an attribute beyond its message")
        for row in sock_diag.rows(batch):
            sock_diag.address(row.family, row.source)
            if sock_diag.INFO in row.attributes:
                tcp_info.parse(row.attributes[sock_diag.INFO])


def _udp(data: bytes) -> None:
    total, found = Diag(data).udp(10)
    if len(found) > total:
        raise Broken("more sockets than there are")


def _flows(data: bytes) -> None:
    for flow in ctnetlink.flows(Kernel(data)):
        told(data, flow.protocol, flow.port, flow.state)
        if flow.source not in data or flow.destination not in data:
            raise Broken("an address that nobody told")


def _settings(data: bytes) -> None:
    for found in (ethtool.parse_settings(data), ethtool.parse_legacy_settings(data), ethtool.parse_driver(data)):
        as_json(found)
    ethtool.parse_link_state(data)


def _statistics(data: bytes) -> None:
    names, values = ethtool.parse_statistics(data[: len(data) // 2], data[len(data) // 2 :])
    if len(names) != len(values):
        raise Broken("names without values")
    told(data, *values)


def _flow_seeds() -> Iterable[bytes]:
    def attribute(kind: int, value: bytes) -> bytes:
        return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)

    ip = attribute(0x8001, attribute(1, b"\x0a\0\0\1") + attribute(2, b"\x0a\0\0\2"))
    proto = attribute(0x8002, attribute(1, b"\6") + attribute(2, b"\xc3\x50") + attribute(3, b"\1\xbb"))
    state = attribute(0x8004, attribute(0x8001, attribute(1, b"\3")))
    body = b"\2\0\0\0" + attribute(0x8001, ip + proto) + attribute(3, b"\0\0\0\x8e") + state
    yield framed(message(body, 0x100) * 3, DONE)
    yield framed(message(b"\2\0\0\1" + attribute(3, b"\0\0\0\7") + attribute(4, b"\0\0\0\1")), DONE)


def _statistics_seeds() -> Iterable[bytes]:
    names = struct.pack("=III", 0x1B, 1, 2) + b"rx_drops".ljust(32, b"\0") + b"tx_drops".ljust(32, b"\0")
    values = struct.pack("=IIQQ", 0x1D, 2, 77, 88).ljust(len(names), b"\0")
    yield names + values


_MAY = (Unavailable,)
HARNESS = Harness(
    "netlink",
    {
        "links": Part(_whole(rtnetlink.links), _dump("links"), _MAY),
        "addresses": Part(_whole(rtnetlink.addresses), _dump("addresses"), _MAY),
        "routes": Part(_whole(rtnetlink.routes), _dump("routes"), _MAY),
        "rules": Part(_whole(rtnetlink.rules), _dump("rules"), _MAY),
        "rp_filters": Part(_whole(rtnetlink.rp_filters), _dump("netconf"), _MAY),
        "neighbours": Part(
            _whole(lambda link: neighbours.neighbours(link, frozenset(["192.0.2.3", "fe80::1"]))),
            _dump("neighbours"),
            _MAY,
        ),
        "tables": Part(_whole(neighbours.tables), _dump("tables"), _MAY),
        "qdiscs": Part(_whole(qdisc.qdiscs), _dump("qdiscs"), _MAY),
        "way": Part(
            _whole(lambda link: rtnetlink.way(link, "198.51.100.7")),
            lambda: [framed(message(each)) for each in recorded("way 198.51.100.7")],
            _MAY,
        ),
        "a link": Part(_link, lambda: recorded("links")),
        "a table": Part(_table, lambda: recorded("tables")),
        "a qdisc": Part(_qdisc, lambda: recorded("qdiscs")),
        "a route": Part(_route, lambda: recorded("routes")),
        "sockets": Part(_sockets, _diag("listen", "connected", "bare", "bound"), _MAY),
        "udp": Part(_udp, _diag("udp"), _MAY),
        "unix": Part(lambda data: as_json(Diag(data).unix()), _diag("unix"), _MAY),
        "conntrack": Part(_flows, _flow_seeds, _MAY),
        "conntrack counters": Part(_whole(ctnetlink.per_cpu), _flow_seeds, _MAY),
        "conntrack numbers": Part(_whole(ctnetlink.entries_and_max), _flow_seeds, _MAY),
        "link modes": Part(_settings, lambda: [bytes(range(196)), bytes(44), b"\xff" * 48 + bytes(100)]),
        "driver statistics": Part(_statistics, _statistics_seeds),
    },
)
