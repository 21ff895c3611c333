# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes as ICMP echo requests. Private to this collection.

Sources: RFC 792, RFC 4443, icmp(7) for ``ping_group_range``, ``include/uapi/linux/icmp.h``. A ping socket needs no
privilege where ``net.ipv4.ping_group_range`` (also for IPv6) holds one of the process's groups; else it is a raw one.
"""

from __future__ import annotations

import os
import socket
import struct

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.probe import error_queue
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Answer, DatagramSender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

_HEAD = struct.Struct("!BBHHH")
_SOL_RAW, _ICMP_FILTER, _SOL_ICMPV6, _ICMP6_FILTER = 255, 1, 58, 1
_IPV4_HEADER = 20


def echo_socket(family: int) -> tuple[socket.socket, bool]:
    """A socket for echo requests, and whether it is a raw one.

    :raises Unavailable: the kernel allows neither kind.
    """
    protocol = socket.IPPROTO_ICMPV6 if family == socket.AF_INET6 else socket.IPPROTO_ICMP
    try:
        return socket.socket(family, socket.SOCK_DGRAM, protocol), False
    except OSError:
        pass
    try:
        return socket.socket(family, socket.SOCK_RAW, protocol), True
    except PermissionError as error:
        raise Unavailable(
            "method icmp: needs CAP_NET_RAW, or one of the user's groups within net.ipv4.ping_group_range"
        ) from error
    except OSError as error:
        raise Unavailable(f"method icmp: {error.strerror}") from error


class Echo(DatagramSender):
    """The destination answers with echo replies, of the same size. A probe's number is its sequence number.

    Checksum and identifier stay the same, so that load balancers that look at them send every probe the same way.
    """

    method = "icmp"

    def __init__(self, endpoint: Endpoint, whole_packets: bool) -> None:
        made, self._raw = echo_socket(endpoint.family)
        self._ipv6 = endpoint.ipv6
        self._request, self._reply = (128, 129) if self._ipv6 else (8, 0)
        # A ping socket puts its own in place, and sees only replies to it.
        self._identifier = int.from_bytes(os.urandom(2), "big")
        try:
            error_queue.prepare(made, whole_packets)
            if self._raw and self._ipv6:
                passing = [0xFFFFFFFF] * 8
                passing[self._reply // 32] &= ~(1 << self._reply % 32)
                made.setsockopt(_SOL_ICMPV6, _ICMP6_FILTER, struct.pack("=8I", *passing))
            elif self._raw:
                made.setsockopt(_SOL_RAW, _ICMP_FILTER, struct.pack("=I", 0xFFFFFFFF & ~(1 << self._reply)))
            made.connect(endpoint.sockaddr)
        except OSError:
            made.close()
            raise
        super().__init__(made, endpoint.address)
        self._headers = (40 if self._ipv6 else _IPV4_HEADER) + _HEAD.size
        self.smallest = self._headers + 2

    def packet(self, number: int, size: int) -> bytes:
        # The first two bytes make up for the sequence number in the checksum; everything else is zero.
        payload = struct.pack("!H", 0xFFFF - number) + bytes(size - self._headers - 2)
        total = (self._request << 8) + self._identifier + 0xFFFF
        while total >> 16:
            total = (total & 0xFFFF) + (total >> 16)
        return _HEAD.pack(self._request, 0, 0xFFFF ^ total, self._identifier, number) + payload

    def number_in(self, quoted: bytes) -> int | None:
        if len(quoted) < _HEAD.size:
            return None
        kind, __, __, identifier, number = _HEAD.unpack_from(quoted)
        if kind not in (self._request, self._reply) or (self._raw and identifier != self._identifier):
            raise LookupError
        return int(number)

    def replies(self) -> list[Answer]:
        found: list[Answer] = []
        while True:
            try:
                data, control, __, __ = self.socket.recvmsg(128, 256)
            except OSError:
                return found
            if self._raw and not self._ipv6:
                data = data[(data[0] & 0x0F) * 4 :] if data else data
            try:
                number = self.number_in(data) if data[:1] == bytes((self._reply,)) else None
            except LookupError:
                continue
            if number is not None:
                found.append(Answer(number, error_queue.REACHED, self.destination, error_queue.stamp(control)))
