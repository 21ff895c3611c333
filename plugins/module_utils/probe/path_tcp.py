# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes as the first packet of a TCP connection. Private to this collection.

Sources: RFC 9293, tcp(7), ``include/uapi/linux/filter.h``; ICMP errors about a connection attempt stand in its
error queue since Linux 6.0.
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time

from ansible_collections.nettriage.linux.plugins.module_utils.probe import error_queue
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Answer, DatagramSender, Sender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

PORT = 443
_SYN, _RST, _ACK = 0x02, 0x04, 0x10
_HEADER = struct.Struct("!HHIIBBHHH4s")
_MSS_OPTION = bytes((2, 4, 0x05, 0xB4))
_SO_ATTACH_FILTER = 26
_REFUSED = (0, errno.ECONNREFUSED)
_NOWHERE = (errno.EHOSTUNREACH, errno.ENETUNREACH)


class Syns(DatagramSender):
    """SYN packets of one flow, told apart by their sequence numbers; needs CAP_NET_RAW.

    The kernel, which knows nothing of such a connection, resets it as soon as the destination accepts it.
    """

    method = "tcp"

    def __init__(self, endpoint: Endpoint, port: int | None) -> None:
        made = socket.socket(endpoint.family, socket.SOCK_RAW, socket.IPPROTO_TCP)
        # Nobody else gets the source port as long as this one is bound to it.
        self._holder = socket.socket(endpoint.family, socket.SOCK_STREAM)
        self._ipv6 = endpoint.ipv6
        self.port = port or PORT
        self._sequence = int.from_bytes(os.urandom(2), "big") << 16
        try:
            error_queue.prepare(made, False)
            made.connect(endpoint.sockaddr)
            own = made.getsockname()
            self._holder.bind((own[0], 0, *own[2:]))
            self._own_port: int = self._holder.getsockname()[1]
            _only_port(made, self._own_port, self._ipv6)
            addresses = (own[0].partition("%")[0], endpoint.address.partition("%")[0])
            ends = b"".join(socket.inet_pton(endpoint.family, address) for address in addresses)
            self._pseudo = ends + struct.pack("!HH", socket.IPPROTO_TCP, _HEADER.size)
        except OSError:
            made.close()
            self._holder.close()
            raise
        super().__init__(made, endpoint.address)
        self.smallest = (40 if self._ipv6 else 20) + _HEADER.size

    def packet(self, number: int, size: int) -> bytes:
        fields = (self._own_port, self.port, self._sequence | number, 0, _HEADER.size // 4 << 4, _SYN, 0xFFFF)
        summed = _checksum(self._pseudo + _HEADER.pack(*fields, 0, 0, _MSS_OPTION))
        return _HEADER.pack(*fields, summed, 0, _MSS_OPTION)

    def number_in(self, quoted: bytes) -> int | None:
        if len(quoted) < 8:
            return None
        source, destination, sequence = struct.unpack_from("!HHI", quoted)
        if (source, destination) != (self._own_port, self.port):
            raise LookupError
        return self._number(sequence)

    def _number(self, sequence: int) -> int | None:
        return sequence & 0xFFFF if sequence & 0xFFFF0000 == self._sequence else None

    def replies(self) -> list[Answer]:
        found: list[Answer] = []
        while True:
            try:
                data, control, __, __ = self.socket.recvmsg(128, 256)
            except OSError:
                return found
            if not self._ipv6:
                data = data[(data[0] & 0x0F) * 4 :] if data else data
            if len(data) < 14:
                continue
            source, destination, __, acknowledged, __, flags = struct.unpack_from("!HHIIBB", data)
            if (source, destination) == (self.port, self._own_port) and flags & (_ACK | _RST):
                number = self._number((acknowledged - 1) & 0xFFFFFFFF) if flags & _ACK else None
                found.append(Answer(number, error_queue.REACHED, self.destination, error_queue.stamp(control)))

    def close(self) -> None:
        super().close()
        self._holder.close()


class Connects(Sender):
    """Real connection attempts, for whom raw sockets are not allowed. Each has a source port of its own.

    The kernel repeats a SYN after a second: what answers later does not count.
    """

    method = "tcp"
    patience_s = 0.95

    def __init__(self, endpoint: Endpoint, port: int | None) -> None:
        self._endpoint = endpoint
        self.port = port or PORT
        self._where = endpoint.at(self.port)
        self._open: dict[int, socket.socket] = {}
        self._early: list[Answer] = []
        self.smallest = 60 if endpoint.ipv6 else 40

    def send(self, number: int, hops: int, size: int) -> None:
        made = socket.socket(self._endpoint.family, socket.SOCK_STREAM)
        self.forget(number)
        self._open[number] = made
        error_queue.prepare(made, False)
        error_queue.set_hops(made, hops)
        # Whatever becomes of it, it is over at once and leaves nothing, not even TIME_WAIT.
        made.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        code = made.connect_ex(self._where)
        if code in _REFUSED:
            self._early.append(Answer(number, error_queue.REACHED, self._endpoint.address, time.time_ns()))
        elif code != errno.EINPROGRESS:
            self.forget(number)
            raise OSError(code, os.strerror(code))

    def receive(self) -> list[Answer]:
        found, self._early = self._early, []
        poll = select.poll()
        numbers = {made.fileno(): number for number, made in self._open.items()}
        for descriptor in numbers:
            poll.register(descriptor, select.POLLOUT)
        for descriptor, __ in poll.poll(0):
            answer = self._outcome(numbers[descriptor])
            if answer is not None:
                found.append(answer)
        for each in found:
            if each.number is not None:
                self.forget(each.number)
        return found

    def _outcome(self, number: int) -> Answer | None:
        made = self._open[number]
        for error in error_queue.read_errors(made):
            answer = error_queue.answer(error, number, self._endpoint.address)
            if answer is not None:
                return answer
        code = made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code in _REFUSED:
            return Answer(number, error_queue.REACHED, self._endpoint.address, time.time_ns())
        if code in _NOWHERE:  # an older kernel does not say who
            return Answer(number, error_queue.EXPIRED, None, time.time_ns())
        return None

    def descriptors(self) -> list[int]:
        return [made.fileno() for made in self._open.values()]

    def forget(self, number: int) -> None:
        made = self._open.pop(number, None)
        if made is not None:
            made.close()

    def close(self) -> None:
        for number in list(self._open):
            self.forget(number)


def _checksum(data: bytes) -> int:
    """RFC 1071; *data* has an even number of bytes."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return 0xFFFF ^ total


def _only_port(made: socket.socket, port: int, ipv6: bool) -> None:
    """Have the kernel drop what is not for *port*: a raw socket sees every TCP packet of its peer."""
    import ctypes  # only here: it is slow to import

    # BPF: ldxb 4*([0]&0xf), which is the length of the IPv4 header; ldh [x+2]; jeq port; ret all; ret nothing.
    load = [(0x28, 0, 0, 2)] if ipv6 else [(0xB1, 0, 0, 0), (0x48, 0, 0, 2)]
    program = [*load, (0x15, 0, 1, port), (0x06, 0, 0, 0xFFFF), (0x06, 0, 0, 0)]
    code = ctypes.create_string_buffer(b"".join(struct.pack("=HBBI", *each) for each in program))
    made.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("@HP", len(program), ctypes.addressof(code)))
