# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captured packets taken apart: link, IP, TCP, UDP and ICMP headers, whole or cut. Private to this collection.

Sources: RFC 791, 792, 4443, 8200, 9293; https://www.tcpdump.org/linktypes.html.
"""

from __future__ import annotations

import struct
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import (
    ETHERNET_HEADER,
    ICMP,
    ICMP6,
    ICMP6_ERRORS,
    ICMP_ERRORS,
    SCTP,
    TCP,
    UDP,
)

ETHERNET, RAW, RAW_BSD, SLL, SLL2 = 1, 101, 12, 113, 276
LINK_TYPES = {ETHERNET: "EN10MB", RAW: "RAW", RAW_BSD: "RAW", SLL: "LINUX_SLL", SLL2: "LINUX_SLL2"}
ARP = 0x0806
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10

_IPV4, _IPV6 = 0x0800, 0x86DD
_TAGS = (0x8100, 0x88A8, 0x9100)
_FRAGMENT = 44
_PORTS = (TCP, UDP, SCTP)
_HALF = struct.Struct("!H")
_SLL2 = struct.Struct("!H2xi")
_TCP = struct.Struct("!HHIIBBH")
_TWO = struct.Struct("!HH")
_IP4 = struct.Struct("!BxHxxHxB2x4s4s")
_IP6 = struct.Struct("!4xHBx16s16s")


class Quoted(NamedTuple):
    """An ICMP error and the packet about which it is.

    :ivar mtu: what the router says that fits, for "too big"; 0 where it says nothing, as old routers do.
    """

    type: int
    code: int
    mtu: int
    protocol: int
    source: bytes
    source_port: int
    destination: bytes
    destination_port: int


class Packet(NamedTuple):
    """:ivar interface: its index, 0 where the link type does not tell.
    :ivar kind: the EtherType; -1 where it cannot be told.
    :ivar length: bytes on the wire, with the link header.
    :ivar headers: at which byte of the data the payload begins.
    :ivar fragment: whether it is a part of a packet; of the later ones the ports are 0.
    :ivar payload: bytes behind the TCP header; with segmentation offload many segments appear as one.
    :ivar mss: what a SYN announces, 0 for nothing.
    """

    at_ns: int
    interface: int
    kind: int
    length: int
    headers: int
    protocol: int = -1
    source: bytes = b""
    destination: bytes = b""
    fragment: bool = False
    source_port: int = 0
    destination_port: int = 0
    sequence: int = 0
    acknowledged: int = 0
    flags: int = 0
    window: int = 0
    payload: int = 0
    mss: int = 0
    quoted: Quoted | None = None


def dissect(link_type: int, frame: Frame) -> Packet:
    """What *frame* is; where it is cut, as far as it goes."""
    at_ns, length, data = frame
    kind, at, interface = _link(link_type, data)
    if kind == _IPV4 and len(data) >= at + 20:
        first, total, part, protocol, source, destination = _IP4.unpack_from(data, at)
        transport, fragment = at + (first & 15) * 4, part & 0x3FFF != 0
        end = at + total if total else length  # 0: a packet of segmentation offload beyond 64 KiB
        later = part & 0x1FFF != 0
    elif kind == _IPV6 and len(data) >= at + 40:
        total, protocol, source, destination = _IP6.unpack_from(data, at)
        transport, fragment, later = at + 40, False, False
        end = transport + total if total else length
        if protocol == _FRAGMENT and len(data) >= at + 48:
            protocol, part = data[at + 40], _HALF.unpack_from(data, at + 42)[0]
            transport, fragment, later = at + 48, True, part & 0xFFF8 != 0
    else:
        headers = at + 28 if kind == ARP else at + 1
        return Packet(at_ns, interface, kind, length, min(headers, len(data)))
    if later:
        return Packet(at_ns, interface, kind, length, transport, protocol, source, destination, True)
    if protocol == TCP and len(data) >= transport + 16:
        own, peer, sequence, acknowledged, offset, flags, window = _TCP.unpack_from(data, transport)
        headers = transport + (offset >> 4) * 4
        return Packet(
            at_ns, interface, kind, length, headers, protocol, source, destination, fragment, own, peer,
            sequence, acknowledged, flags, window, max(0, end - headers),
            _mss(data[transport + 20 : headers]) if flags & SYN else 0,
        )  # fmt: skip
    if protocol in (ICMP, ICMP6):
        six = protocol == ICMP6
        headers = _icmp_headers(data, transport, six)
        quoted = _quoted(data, transport, six)
        return Packet(at_ns, interface, kind, length, headers, protocol, source, destination, fragment, quoted=quoted)
    headers = len(data) if protocol == TCP else transport + (12 if protocol == SCTP else 8)
    own, peer = _TWO.unpack_from(data, transport) if protocol in _PORTS and len(data) >= transport + 4 else (0, 0)
    return Packet(at_ns, interface, kind, length, headers, protocol, source, destination, fragment, own, peer)


def _link(link_type: int, data: bytes) -> tuple[int, int, int]:
    """EtherType, where the network header begins, and the interface's index."""
    if link_type == ETHERNET and len(data) >= ETHERNET_HEADER:
        kind, at = _HALF.unpack_from(data, 12)[0], ETHERNET_HEADER
        while kind in _TAGS and len(data) >= at + 4:
            kind, at = _HALF.unpack_from(data, at + 2)[0], at + 4
        return kind, at, 0
    if link_type == SLL2 and len(data) >= 20:
        kind, interface = _SLL2.unpack_from(data)
        return kind, 20, interface
    if link_type == SLL and len(data) >= 16:
        return _HALF.unpack_from(data, 14)[0], 16, 0
    if link_type in (RAW, RAW_BSD) and data:
        return {4: _IPV4, 6: _IPV6}.get(data[0] >> 4, -1), 0, 0
    return -1, 0, 0


def _mss(options: bytes) -> int:
    """RFC 9293, 3.2: kind 2, four bytes long."""
    at = 0
    while at + 4 <= len(options):
        kind = options[at]
        if kind == 0:
            break
        if kind == 2:
            return int(_HALF.unpack_from(options, at + 2)[0])
        at += 1 if kind == 1 else max(2, options[at + 1])
    return 0


def _icmp_headers(data: bytes, at: int, six: bool) -> int:
    """Where an ICMP packet's own payload begins: an error's behind the first 8 bytes behind the IP header it quotes."""
    if len(data) < at + 9:
        return len(data)
    if not six:
        return at + 16 + (data[at + 8] & 15) * 4 if data[at] in ICMP_ERRORS else at + 8
    if data[at] >= 130:
        return at + 64  # about the link itself: neighbours, routers, groups
    if data[at] not in ICMP6_ERRORS:
        return at + 8
    if len(data) < at + 15:
        return len(data)
    return at + (64 if data[at + 14] == _FRAGMENT else 56)


def _quoted(data: bytes, at: int, six: bool) -> Quoted | None:
    """The error at *at*; ``None`` where it is none, or quotes too little."""
    inner = at + 8
    if len(data) < inner + (40 if six else 20) or data[at] not in (ICMP6_ERRORS if six else ICMP_ERRORS):
        return None
    if six:
        __, protocol, source, destination = _IP6.unpack_from(data, inner)
        transport, later = inner + 40, False
        if protocol == _FRAGMENT and len(data) >= inner + 44:
            protocol, later = data[inner + 40], _HALF.unpack_from(data, inner + 42)[0] & 0xFFF8 != 0
            transport = inner + 48
        mtu = int.from_bytes(data[at + 4 : at + 8], "big") if data[at] == 2 else 0
    else:
        first, __, part, protocol, source, destination = _IP4.unpack_from(data, inner)
        transport, later = inner + (first & 15) * 4, part & 0x1FFF != 0
        mtu = _HALF.unpack_from(data, at + 6)[0] if data[at : at + 2] == b"\3\4" else 0
    ports = (0, 0)
    if protocol in _PORTS and not later and len(data) >= transport + 4:
        ports = _TWO.unpack_from(data, transport)
    return Quoted(data[at], data[at + 1], mtu, protocol, source, ports[0], destination, ports[1])
