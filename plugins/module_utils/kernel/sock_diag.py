# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets by NETLINK_SOCK_DIAG. Private to this collection.

Sources: ``include/uapi/linux/inet_diag.h``, ``sock_diag.h``, ``unix_diag.h``, ``net/ipv4/inet_diag.c``.
"""

from __future__ import annotations

import functools
import socket
import struct
import sys
from typing import Any, Iterable, Iterator, NamedTuple, Sequence

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    HEADER_SIZE,
    NETLINK_SOCK_DIAG,
    Batch,
    Netlink,
    attributes,
)

AF_INET = int(socket.AF_INET)
AF_INET6 = int(socket.AF_INET6)

# include/net/tcp_states.h; NEW_SYN_RECV is a half-open handshake and shown as syn_recv, BOUND_INACTIVE (Linux 6.8)
# a socket that is bound but not connected and shown as close.
STATES = {
    "established": 1,
    "syn_sent": 2,
    "syn_recv": 3,
    "fin_wait1": 4,
    "fin_wait2": 5,
    "time_wait": 6,
    "close": 7,
    "close_wait": 8,
    "last_ack": 9,
    "listen": 10,
    "closing": 11,
}
STATE_NAMES = {number: name for name, number in STATES.items()}
ESTABLISHED, SYN_SENT, SYN_RECV, FIN_WAIT1, FIN_WAIT2, TIME_WAIT, CLOSE, CLOSE_WAIT, LAST_ACK, LISTEN, CLOSING = range(
    1, 12
)
BOUND_INACTIVE = 13
ALL_STATES = sum(1 << state for state in STATE_NAMES) | 1 << BOUND_INACTIVE
LISTENING = 1 << LISTEN
CONNECTED = ALL_STATES & ~LISTENING

# enum INET_DIAG_*: the attributes of an answer; the same numbers name them in a request's bit mask.
INFO = 2
CONGESTION = 4
SKMEMINFO = 7
V6ONLY = 11
CGROUP_ID = 21

# The timer that a socket waits for.
TIMER_RETRANSMIT, TIMER_KEEPALIVE, TIMER_TIME_WAIT, TIMER_PROBE = 1, 2, 3, 4

_TCPDIAG_GETSOCK = 18
_SOCK_DIAG_BY_FAMILY = 20
_UDP = int(socket.IPPROTO_UDP)
_AF_UNIX = int(socket.AF_UNIX)
# struct inet_diag_req: one request for both families, so the kernel walks its table once.
_REQUEST = struct.Struct("=BBBB48xII")
_IDENTITY_SIZE = 48
_EXACT = struct.Struct("=BBBB48sII")
_REQUEST_V2 = struct.Struct("=BBBBI48x")
_REQUEST_UNIX = struct.Struct("=BBHIIIII")

# Where the fields of struct inet_diag_msg lie in a message, netlink header included.
FAMILY = HEADER_SIZE
STATE = HEADER_SIZE + 1
TIMER = HEADER_SIZE + 2
RETRANSMITS = HEADER_SIZE + 3
IDENTITY = HEADER_SIZE + 4  # ports and addresses, interface and cookie: 48 bytes
SOURCE_PORT = HEADER_SIZE + 4
DESTINATION_PORT = HEADER_SIZE + 6
SOURCE = HEADER_SIZE + 8
DESTINATION = HEADER_SIZE + 24
INTERFACE = HEADER_SIZE + 40
COOKIE = HEADER_SIZE + 44
RECEIVE_QUEUE = HEADER_SIZE + 56
SEND_QUEUE = HEADER_SIZE + 60
INODE = HEADER_SIZE + 68
MESSAGE_SIZE = HEADER_SIZE + 72
_MESSAGE = struct.Struct("=BBBBHH16s16sIQIIIII")

# SK_MEMINFO_*: positions in the array of 32-bit words of INET_DIAG_SKMEMINFO.
RCVBUF, SNDBUF, DROPS = 1, 3, 8

MAPPED = bytes(10) + b"\xff\xff"


class Socket(NamedTuple):
    """One socket as the kernel describes it; ports are numbers, addresses raw."""

    family: int
    state: int
    timer: int
    retransmits: int
    port: int
    peer_port: int
    source: bytes
    destination: bytes
    interface: int
    cookie: int
    expires_ms: int
    receive_queue: int
    send_queue: int
    uid: int
    inode: int
    receive_buffer: int | None
    send_buffer: int | None
    drops: int | None
    attributes: dict[int, bytes]

    @property
    def cgroup(self) -> int | None:
        """The id of the control group that made the socket (Linux 5.9)."""
        raw = self.attributes.get(CGROUP_ID)
        return int.from_bytes(raw, sys.byteorder) if raw else None


class SockDiag:
    """Asks NETLINK_SOCK_DIAG.

    :raises Unavailable: this kernel has it not, or forbids it.
    """

    source = "netlink"

    def __init__(self) -> None:
        self._link = Netlink(NETLINK_SOCK_DIAG)

    def close(self) -> None:
        self._link.close()

    @property
    def interrupted(self) -> bool:
        """Whether the last walk met a table that changed under way."""
        return self._link.interrupted

    def tcp(self, states: int, extensions: Iterable[int] = ()) -> Iterator[Batch]:
        """The TCP sockets in *states* (a mask) of both families in one walk."""
        request = _REQUEST.pack(0, 0, 0, _mask(extensions), states, 0)
        for batch in self._link.batches(_TCPDIAG_GETSOCK, request):
            if batch.stride >= MESSAGE_SIZE:
                yield batch

    def exact(self, message: bytes, extensions: Iterable[int]) -> bytes | None:
        """The same socket as in *message*, now with *extensions*; ``None`` where it is gone."""
        identity = message[IDENTITY : IDENTITY + _IDENTITY_SIZE]
        request = _EXACT.pack(message[FAMILY], 0, 0, _mask(extensions), identity, ALL_STATES, 0)
        try:
            answer = self._link.request(_TCPDIAG_GETSOCK, request)
        except Unavailable:
            return None
        return bytes(HEADER_SIZE) + answer

    def udp(self, idle: int) -> tuple[int, list[Socket]]:
        """How many UDP sockets there are; those with a queue or drops, and of the others the first *idle*."""
        total = 0
        found: list[Socket] = []
        for family in (AF_INET, AF_INET6):
            request = _REQUEST_V2.pack(family, _UDP, _mask([SKMEMINFO]), 0, 0xFFFFFFFF)
            for whole in self._link.batches(_SOCK_DIAG_BY_FAMILY, request):
                total += whole.length // whole.stride
                for batch, places in layouts(whole, (SKMEMINFO,)):
                    found += rows(_chosen(batch, places, idle - len(found)))
        return total, found

    def unix(self) -> tuple[int, int]:
        """How many unix sockets there are, and how many of them listen."""
        total = listening = 0
        request = _REQUEST_UNIX.pack(_AF_UNIX, 0, 0, 0xFFFFFFFF, 0, 0, 0, 0)
        for data, length, stride in self._link.batches(_SOCK_DIAG_BY_FAMILY, request):
            total += length // stride
            listening += data[HEADER_SIZE + 2 : length : stride].count(LISTEN)
        return total, listening


def _mask(extensions: Iterable[int]) -> int:
    return sum(1 << (number - 1) for number in extensions)


@functools.lru_cache(maxsize=256)
def record(stride: int, fields: tuple[tuple[int, str], ...]) -> struct.Struct:
    """A format that picks *fields*, each (offset, struct code) in ascending order, from messages of *stride* bytes."""
    code, at = "=", 0
    for offset, kind in fields:
        code += f"{offset - at}x{kind}"
        at = offset + struct.calcsize("=" + kind)
    return struct.Struct(f"{code}{stride - at}x")


def layouts(batch: Batch, kinds: Sequence[int]) -> Iterator[tuple[Batch, dict[int, tuple[int, int]]]]:
    """*batch* with the place of each attribute of *kinds*, as (start, end) within a message.

    Messages of one length may differ in their attributes: then they come one by one.
    """
    data, length, stride = batch
    places = _places(data, stride, kinds)
    if all(_same_header(batch, start - 4, kind) for kind, (start, __) in places.items()):
        yield batch, places
        return
    for at in range(0, length, stride):
        message = bytes(data[at : at + stride])
        yield Batch(message, stride, stride), _places(message, stride, kinds)


def _places(data: bytes | bytearray, stride: int, kinds: Sequence[int]) -> dict[int, tuple[int, int]]:
    found = attributes(data, MESSAGE_SIZE, stride)
    return {kind: found[kind] for kind in kinds if kind in found}


def _same_header(batch: Batch, at: int, kind: int) -> bool:
    """Whether all messages have the attribute's header there. A name's length may vary within its padding."""
    data, length, stride = batch
    checked = range(at + 2, at + 4) if kind == CONGESTION else range(at, at + 4)
    return all(data[i:length:stride].count(data[i]) == length // stride for i in checked)


def rows(batch: Batch) -> Iterator[Socket]:
    """The sockets of *batch*, decoded one by one: for the few that are shown."""
    data, length, stride = batch
    for start in range(0, length - MESSAGE_SIZE + 1, stride):
        message: tuple[Any, ...] = _MESSAGE.unpack_from(data, start + HEADER_SIZE)
        found = attributes(data, start + MESSAGE_SIZE, start + stride)
        memory = found.get(SKMEMINFO)
        yield Socket._make(
            (
                *message[:4],
                socket.ntohs(message[4]),
                socket.ntohs(message[5]),
                *message[6:],
                _word(data, memory, RCVBUF),
                _word(data, memory, SNDBUF),
                _word(data, memory, DROPS),
                {kind: bytes(data[first:last]) for kind, (first, last) in found.items()},
            )
        )


def _word(data: bytes | bytearray, place: tuple[int, int] | None, position: int) -> int | None:
    """One 32-bit word of an attribute, ``None`` where this kernel has it not."""
    if place is None or place[0] + 4 * position + 4 > place[1]:
        return None
    return int.from_bytes(data[place[0] + 4 * position : place[0] + 4 * position + 4], sys.byteorder)


def _chosen(batch: Batch, places: dict[int, tuple[int, int]], idle: int) -> Batch:
    """The messages of *batch* with something in the receive queue or drops, and the first *idle* others."""
    data, length, stride = batch
    offsets = [RECEIVE_QUEUE]
    if SKMEMINFO in places and places[SKMEMINFO][1] - places[SKMEMINFO][0] > 4 * DROPS:
        offsets.append(places[SKMEMINFO][0] + 4 * DROPS)
    words = memoryview(data)[:length].cast("I")
    busy: set[int] = set()
    for offset in offsets:
        column = words[offset >> 2 :: stride >> 2].tolist()
        if any(column):
            busy.update(index for index, value in enumerate(column) if value)
    kept = bytearray()
    for index in sorted(busy.union(range(max(0, min(idle, length // stride))))):
        kept += data[index * stride : (index + 1) * stride]
    return Batch(kept, len(kept), stride)


def raw_port(port: int) -> int:
    """A port as it lies in a message, read as a number of this machine's byte order; and back again."""
    return socket.htons(port)


def address(family: int, raw: bytes) -> str:
    """An address as text; an IPv4-mapped one as IPv4. Old kernels leave rubbish behind the four bytes of IPv4."""
    if family == AF_INET:
        return socket.inet_ntop(socket.AF_INET, raw[:4])
    if raw.startswith(MAPPED):
        return socket.inet_ntop(socket.AF_INET, raw[12:16])
    return socket.inet_ntop(socket.AF_INET6, raw)


def endpoint(text: str, port: int) -> str:
    """``ADDRESS:PORT``, with brackets round an IPv6 address."""
    return f"[{text}]:{port}" if ":" in text else f"{text}:{port}"
