# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to one name server over UDP and TCP, with everything that can become of them. Private to this collection.

Like the C library, each UDP question has a socket, and so a source port, of its own; a pair of A and AAAA shares one.
Sources: RFC 1035 section 4.2, RFC 7766; glibc ``resolv/res_send.c`` (IP_RECVERR, both questions at once).
"""

from __future__ import annotations

import errno
import os
import select
import socket
import struct
import time
from typing import Iterable, NamedTuple, Sequence

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_message import (
    Damaged,
    Message,
    canonical,
    decode,
    query,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline, since_ms

ANSWERED, TIMEOUT, DAMAGED = "answered", "timeout", "damaged"
_IP_RECVERR, _IPV6_RECVERR = 11, 25
_DATAGRAM = 65535
_KEPT = 64
_ERRORS = {
    errno.ECONNREFUSED: "refused",
    errno.EHOSTUNREACH: "unreachable",
    errno.ENETUNREACH: "unreachable",
    errno.EADDRNOTAVAIL: "no_local_address",
    errno.EPERM: "not_permitted",
    errno.EACCES: "not_permitted",
    errno.ECONNABORTED: "closed",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ETIMEDOUT: TIMEOUT,
}


class Question(NamedTuple):
    name: str
    rtype: str


class Style(NamedTuple):
    """How questions are written: the EDNS payload size (0: without EDNS) and the AD bit."""

    edns_bytes: int = 0
    trust_ad: bool = False


class Reply:
    """What became of a question.

    :ivar outcome: ``answered``, ``timeout``, ``damaged`` (TCP only) or the kind of an error.
    :ivar ms: from sending to the answer; over TCP without the connecting.
    :ivar late: the answer came after the timeout; the outcome remains ``timeout``.
    """

    def __init__(self, question: Question) -> None:
        self.question = question
        self.outcome = TIMEOUT
        self.message: Message | None = None
        self.ms: float | None = None
        self.connect_ms: float | None = None
        self.late = False


class _Open:
    """A UDP socket with questions that have no answer yet."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.started = time.perf_counter()
        self.open: dict[int, Reply] = {}
        self.past = False


class NameServer:
    """One server. Not to be shared by threads.

    :ivar wrong: datagrams that were no answer to what was asked: another number or question, or damaged.
    :raises OSError: *address* is none.
    """

    def __init__(self, address: str, port: int, style: Style, deadline: Deadline) -> None:
        info = socket.getaddrinfo(address, port, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
        self._family, self._where = info[0], info[4]
        self._style = style
        self._deadline = deadline
        self._poll = select.poll()
        self._sockets: dict[int, _Open] = {}
        self.wrong = 0

    def close(self) -> None:
        for each in list(self._sockets.values()):
            self._drop(each)

    def udp(self, groups: Iterable[Sequence[Question]], timeout: float) -> list[list[Reply]]:
        """Send all *groups* at once, each from a socket of its own, and wait until all are answered or time is over."""
        replies = [self._send(group) for group in groups]
        self._wait(self._deadline.within(timeout))
        for each in self._sockets.values():
            each.past = True
        for each in list(self._sockets.values())[:-_KEPT]:
            self._drop(each)
        return replies

    def tcp(self, question: Question, timeout: float) -> Reply:
        """Ask over a connection of its own."""
        reply = Reply(question)
        end = self._deadline.within(timeout)
        identity = _identity()
        message = query(identity, *question, *self._style)
        started = time.perf_counter()
        try:
            with socket.socket(self._family, socket.SOCK_STREAM) as stream:
                stream.settimeout(_positive(end))
                stream.connect(self._where)
                reply.connect_ms = since_ms(started)
                started = time.perf_counter()
                stream.settimeout(_positive(end))
                stream.sendall(struct.pack("!H", len(message)) + message)
                (length,) = struct.unpack("!H", _receive(stream, 2, end))
                answer = decode(_receive(stream, length, end))
        except socket.timeout:
            return reply
        except OSError as error:
            reply.outcome = _kind(error)
            return reply
        except Damaged:
            reply.outcome = DAMAGED
            return reply
        if _answers(answer, identity, question):
            reply.outcome, reply.message, reply.ms = ANSWERED, answer, since_ms(started)
        else:
            reply.outcome = DAMAGED
        return reply

    def _send(self, questions: Sequence[Question]) -> list[Reply]:
        replies = [Reply(question) for question in questions]
        try:
            sock = socket.socket(self._family, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        except OSError as error:
            return _failed(replies, error)
        each = _Open(sock)
        try:
            # With it the kernel tells of unreachable hosts, too.
            level, option = (
                (socket.IPPROTO_IPV6, _IPV6_RECVERR)
                if self._family == socket.AF_INET6
                else (socket.IPPROTO_IP, _IP_RECVERR)
            )
            sock.setsockopt(level, option, 1)
            sock.connect(self._where)
            messages = []
            for reply in replies:
                identity = _identity()
                while identity in each.open:
                    identity = _identity()
                each.open[identity] = reply
                messages.append(query(identity, *reply.question, *self._style))
            each.started = time.perf_counter()
            for message in messages:
                sock.send(message)
        except OSError as error:
            sock.close()
            return _failed(replies, error)
        self._sockets[sock.fileno()] = each
        self._poll.register(sock, select.POLLIN)
        return replies

    def _wait(self, end: Deadline) -> None:
        while any(not each.past for each in self._sockets.values()):
            ready = self._poll.poll(int(end.left() * 1000) + 1)
            for descriptor, __ in ready:
                self._receive(self._sockets[descriptor])
            if end.over:
                return

    def _receive(self, each: _Open) -> None:
        try:
            data = each.socket.recv(_DATAGRAM)
        except BlockingIOError:
            return
        except OSError as error:
            if not each.past:
                _failed(list(each.open.values()), error)
            self._drop(each)
            return
        ms = since_ms(each.started)
        try:
            message = decode(data)
        except Damaged:
            self.wrong += 1
            return
        reply = each.open.get(message.identity)
        if reply is None or not _answers(message, message.identity, reply.question):
            self.wrong += 1
            return
        del each.open[message.identity]
        reply.message, reply.ms, reply.late = message, ms, each.past
        if not each.past:
            reply.outcome = ANSWERED
        if not each.open:
            self._drop(each)

    def _drop(self, each: _Open) -> None:
        self._poll.unregister(each.socket)
        del self._sockets[each.socket.fileno()]
        each.socket.close()


def _failed(replies: list[Reply], error: OSError) -> list[Reply]:
    for reply in replies:
        reply.outcome = _kind(error)
    return replies


def _kind(error: OSError) -> str:
    return _ERRORS.get(error.errno or 0, "error")


def _answers(message: Message, identity: int, question: Question) -> bool:
    # A server that cannot read a question does not repeat it.
    return (
        message.response
        and message.identity == identity
        and (
            message.question == (canonical(question.name), question.rtype)
            or (message.question is None and message.rcode in ("formerr", "notimp", "refused", "servfail"))
        )
    )


def _identity() -> int:
    return int.from_bytes(os.urandom(2), "big")


def _positive(end: Deadline) -> float:
    """For settimeout(), to which 0 means not to wait at all."""
    return max(end.left(), 0.001)


def _receive(stream: socket.socket, length: int, end: Deadline) -> bytes:
    """:raises OSError: ``ECONNABORTED``: the connection was closed before *length* bytes were there."""
    data = b""
    while len(data) < length:
        if end.over:
            raise socket.timeout
        stream.settimeout(_positive(end))
        block = stream.recv(length - len(data))
        if not block:
            raise OSError(errno.ECONNABORTED, "closed too early")
        data += block
    return data
