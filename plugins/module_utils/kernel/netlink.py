# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Netlink sockets: requests, dumps, attributes. Private to this collection.

Sources: ``include/uapi/linux/netlink.h`` and RFC 3549.
"""

from __future__ import annotations

import errno
import os
import socket
import struct
import sys
from typing import Callable, Iterator, NamedTuple, TypeVar

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable

NETLINK_ROUTE = 0
NETLINK_SOCK_DIAG = 4
NETLINK_NETFILTER = 12
NETLINK_GENERIC = 16

NLMSG_ERROR = 2
NLMSG_DONE = 3
NLM_F_REQUEST = 0x01
NLM_F_MULTI = 0x02
NLM_F_DUMP_INTR = 0x10
NLM_F_DUMP = 0x300
NLA_TYPE_MASK = 0x3FFF

_HEADER = struct.Struct("=IHHII")
HEADER_SIZE = _HEADER.size
_ERROR = struct.Struct("=i")
_WORD = struct.Struct("=I")
_ATTRIBUTE = struct.Struct("=HH")

# The kernel builds dump messages of up to 32 KiB once it has seen a reader with a buffer that large.
_BUFFER_SIZE = 65536
_STAGE_SIZE = 32768
_TIMEOUT_S = 10
_DUMP_ATTEMPTS = 3
_MAX_ERRNO = 4095  # include/linux/err.h

Result = TypeVar("Result")


class Message(NamedTuple):
    """One netlink message: its type and where its payload lies in the socket's buffer."""

    type: int
    start: int
    end: int


class Batch(NamedTuple):
    """Whole messages of one length, end to end, headers included: what a dump of many small messages is made of."""

    data: bytes | bytearray
    length: int
    stride: int


class Netlink:
    """One netlink socket; its :attr:`buffer` is reused for every datagram.

    :param protocol: one of the ``NETLINK_*`` constants.
    :raises Unavailable: the kernel has no such family, or forbids it.
    """

    def __init__(self, protocol: int) -> None:
        try:
            self._socket = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_CLOEXEC, protocol)
        except OSError as error:
            raise Unavailable(f"netlink family {protocol}: {os.strerror(error.errno or 0)}") from error
        # A timeout of Python's own would poll before the receive that must not wait.
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, struct.pack("@ll", _TIMEOUT_S, 0))
        self._sequence = 0
        self.buffer = bytearray(_BUFFER_SIZE)
        self.interrupted = False

    def __enter__(self) -> Netlink:
        return self

    def __exit__(self, *__: object) -> None:
        self.close()

    def close(self) -> None:
        self._socket.close()

    def send(self, message_type: int, payload: bytes, flags: int) -> int:
        """Send one request and return its sequence number."""
        self._sequence += 1
        header = _HEADER.pack(HEADER_SIZE + len(payload), message_type, flags | NLM_F_REQUEST, self._sequence, 0)
        try:
            # A reader with a large buffer makes the kernel build large messages from the first one on.
            self._socket.recv_into(self.buffer, 0, socket.MSG_DONTWAIT)
        except OSError as error:
            if error.errno != errno.EAGAIN:
                raise Unavailable(f"netlink: {os.strerror(error.errno or 0)}") from error
        try:
            self._socket.send(header + payload)
        except OSError as error:
            raise Unavailable(f"netlink request {message_type}: {os.strerror(error.errno or 0)}") from error
        return self._sequence

    def receive(self) -> int:
        """Read one datagram into :attr:`buffer` and return its length."""
        while True:
            try:
                length, __, flags, __ = self._socket.recvmsg_into([self.buffer])
            except InterruptedError:
                continue
            except BlockingIOError as error:
                raise Unavailable(f"netlink: no answer within {_TIMEOUT_S} s") from error
            except OSError as error:
                raise Unavailable(f"netlink: {os.strerror(error.errno or 0)}") from error
            if flags & socket.MSG_TRUNC:
                raise Malformed(f"netlink: an answer is larger than {_BUFFER_SIZE} bytes")
            return length

    def messages(self, sequence: int) -> Iterator[Message]:
        """The messages that answer request *sequence*, to its end.

        The payload of a message is valid only until the next one is asked for.

        :raises Unavailable: the kernel answered with an error; ``__cause__`` is the :class:`OSError`.
        """
        self.interrupted = False
        while True:
            length = self.receive()
            offset = 0
            while offset + HEADER_SIZE <= length:
                size, kind, flags, number, __ = _HEADER.unpack_from(self.buffer, offset)
                if size < HEADER_SIZE or offset + size > length:
                    raise Malformed("netlink: a message is longer than its datagram")
                if number == sequence:
                    self.interrupted |= bool(flags & NLM_F_DUMP_INTR)
                    start, end = offset + HEADER_SIZE, offset + size
                    if kind in (NLMSG_ERROR, NLMSG_DONE):
                        # A dump that fails after it began puts its errno into NLMSG_DONE.
                        raise_errno(self.buffer, start, end)
                        return
                    yield Message(kind, start, end)
                    if not flags & NLM_F_MULTI:
                        return
                offset += (size + 3) & ~3

    def batches(self, message_type: int, payload: bytes) -> Iterator[Batch]:
        """A dump's messages in groups of one length each, so that a group can be read by strides, not one by one.

        Valid until the next one is asked for. Errors as of :meth:`messages`.
        """
        sequence = self.send(message_type, payload, NLM_F_DUMP)
        self.interrupted = False
        staged: dict[int, bytearray] = {}
        words = memoryview(self.buffer).cast("I")
        while True:
            length = self.receive()
            size = words[0] if length >= HEADER_SIZE else 0
            if size > HEADER_SIZE and not size & 3 and not length % size and _uniform(words, length, size, sequence):
                yield Batch(self.buffer, length, size)
                continue
            offset = 0
            while offset + HEADER_SIZE <= length:
                size, kind, flags, number, __ = _HEADER.unpack_from(self.buffer, offset)
                end = offset + ((size + 3) & ~3)
                if size < HEADER_SIZE or end > length:
                    raise Malformed("netlink: a message is longer than its datagram")
                if number == sequence:
                    self.interrupted |= bool(flags & NLM_F_DUMP_INTR)
                    if kind in (NLMSG_ERROR, NLMSG_DONE):
                        raise_errno(self.buffer, offset + HEADER_SIZE, offset + size)
                        for stride, stage in staged.items():
                            if stage:  # not if the last one of its length has filled it
                                yield Batch(stage, len(stage), stride)
                        return
                    stage = staged.setdefault(end - offset, bytearray())
                    stage += self.buffer[offset:end]
                    if len(stage) >= _STAGE_SIZE:
                        yield Batch(stage, len(stage), end - offset)
                        staged[end - offset] = bytearray()
                offset = end

    def dump(self, message_type: int, payload: bytes) -> Iterator[Message]:
        """Every message of a dump; :attr:`interrupted` tells afterwards whether it was consistent."""
        return self.messages(self.send(message_type, payload, NLM_F_DUMP))

    def request(self, message_type: int, payload: bytes) -> bytes:
        """The payload of the single answer to a request that is no dump."""
        for message in self.messages(self.send(message_type, payload, 0)):
            return bytes(self.buffer[message.start : message.end])
        return b""


def raise_errno(buffer: bytearray, start: int, end: int) -> None:
    """Raise the error that an ``NLMSG_ERROR`` or ``NLMSG_DONE`` carries, if it carries one."""
    if end - start < _ERROR.size:
        return
    (code,) = _ERROR.unpack_from(buffer, start)
    if code < -_MAX_ERRNO:
        raise Malformed("netlink: an answer has an impossible error number")
    if code < 0:
        raise Unavailable(f"netlink: {os.strerror(-code)}") from OSError(-code, os.strerror(-code))


def _uniform(words: memoryview, length: int, size: int, sequence: int) -> bool:
    """Whether every message of a datagram has the length, type, flags and sequence number that a plain row has."""
    end, step = length >> 2, size >> 2
    head = words[0:end:step].tobytes() + words[1:end:step].tobytes() + words[2:end:step].tobytes()
    count = length // size
    kind, flags = words[1] & 0xFFFF, words[1] >> 16
    if sys.byteorder == "big":
        kind, flags = flags, kind
    return (
        kind > NLMSG_DONE
        and flags == NLM_F_MULTI
        and head == b"".join([words[i : i + 1].tobytes() * count for i in range(2)] + [_WORD.pack(sequence) * count])
    )


def dump_consistently(link: Netlink, dump: Callable[[], Result]) -> tuple[Result, bool]:
    """Repeat *dump* while the kernel says that it changed under way (``NLM_F_DUMP_INTR``).

    :returns: the last attempt's result and whether it, too, was interrupted.
    """
    result = dump()
    for __ in range(_DUMP_ATTEMPTS - 1):
        if not link.interrupted:
            break
        result = dump()
    return result, link.interrupted


def payloads(link: Netlink, message_type: int, payload: bytes) -> tuple[list[bytes], bool]:
    """All payloads of a dump, repeated while interrupted, and whether the last attempt still was."""

    def dump() -> list[bytes]:
        return [bytes(link.buffer[m.start : m.end]) for m in link.dump(message_type, payload)]

    return dump_consistently(link, dump)


def attributes(buffer: bytes | bytearray, start: int, end: int) -> dict[int, tuple[int, int]]:
    """Where each attribute's value lies: type to (start, end); nested and byte-order bits are masked off.

    A damaged length ends the walk: what was read so far is kept, nothing is invented.
    """
    found: dict[int, tuple[int, int]] = {}
    while start + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(buffer, start)
        if size < 4 or start + size > end:
            break
        found[kind & NLA_TYPE_MASK] = (start + 4, start + size)
        start += (size + 3) & ~3
    return found


def children(buffer: bytes | bytearray, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Each attribute of a nest in order, repeated types included: (type, start, end)."""
    while start + 4 <= end:
        size, kind = _ATTRIBUTE.unpack_from(buffer, start)
        if size < 4 or start + size > end:
            break
        yield kind & NLA_TYPE_MASK, start + 4, start + size
        start += (size + 3) & ~3


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded to four bytes."""
    return _ATTRIBUTE.pack(4 + len(value), kind) + value + b"\0" * (-len(value) % 4)
