# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network says about the packets that a socket sent: its error queue. Private to this collection.

Sources: ip(7) IP_RECVERR, ipv6(7), ``include/uapi/linux/{errqueue,in,in6,icmp,icmpv6}.h``, RFC 792, RFC 4443. No
privilege is needed: the kernel gives each socket the ICMP errors about its own packets, and says who sent them.
"""

from __future__ import annotations

import errno
import socket
import struct
import time
from typing import Any, NamedTuple

REACHED, EXPIRED, TOO_BIG, UNREACHABLE = "reached", "expired", "too_big", "unreachable"

_MSG_ERRQUEUE = 0x2000
_IP_MTU_DISCOVER, _IP_RECVERR = 10, 11
_IPV6_UNICAST_HOPS, _IPV6_MTU_DISCOVER, _IPV6_RECVERR, _IPV6_DONTFRAG = 16, 23, 25, 62
_PMTUDISC_PROBE = 3  # set DF, and believe nothing that was learnt about the path before
_SO_TIMESTAMPNS = 35
_ORIGIN_LOCAL, _ORIGIN_ICMP, _ORIGIN_ICMP6 = 1, 2, 3
_EXTENDED_ERR = struct.Struct("=IBBBxII")
_TIMESPEC = struct.Struct("@ll")
_MOST = 256

_ICMP = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    5: "source route failed", 6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited",
    11: "network unreachable for this service", 12: "host unreachable for this service", 13: "prohibited by a filter",
    14: "precedence violation", 15: "precedence cut off",
}  # fmt: skip
_ICMP6 = {
    0: "no route", 1: "prohibited by a filter", 2: "beyond scope of the source address", 3: "address unreachable",
    4: "port unreachable", 5: "source address failed policy", 6: "route rejected",
}  # fmt: skip


class Answer(NamedTuple):
    """What came back for one probe.

    :ivar number: of the probe; ``None`` where the router quoted too little of it.
    :ivar kind: ``reached`` (the destination itself answered), ``expired`` (a router whose hop was the last one),
        ``too_big`` or ``unreachable``.
    :ivar address: who answered; ``None`` for this host itself or where it is not known.
    :ivar at_ns: when it was received, by CLOCK_REALTIME as the kernel stamped it.
    :ivar mtu: what a ``too_big`` reports; 0 where an old router names none.
    :ivar what: what an ``unreachable`` says.
    """

    number: int | None
    kind: str
    address: str | None
    at_ns: int
    mtu: int = 0
    what: str | None = None


class QueuedError(NamedTuple):
    """One ``struct sock_extended_err``.

    :ivar payload: what was quoted of the packet, from where the kernel begins for this kind of socket.
    """

    errno: int
    origin: int
    type: int
    code: int
    info: int
    offender: str | None
    payload: bytes
    at_ns: int


def prepare(made: socket.socket, whole_packets: bool) -> None:
    """Have *made* collect its errors, with time stamps, and not block.

    :param whole_packets: packets are never fragmented, neither here nor on the way.
    """
    made.setblocking(False)
    made.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_RECVERR, 1)
        if whole_packets:
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_MTU_DISCOVER, _PMTUDISC_PROBE)
            made.setsockopt(socket.IPPROTO_IPV6, _IPV6_DONTFRAG, 1)
    else:
        made.setsockopt(socket.IPPROTO_IP, _IP_RECVERR, 1)
        if whole_packets:
            made.setsockopt(socket.IPPROTO_IP, _IP_MTU_DISCOVER, _PMTUDISC_PROBE)


def set_hops(made: socket.socket, hops: int) -> None:
    """The TTL or hop limit of what is sent next."""
    if made.family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, _IPV6_UNICAST_HOPS, hops)
    else:
        made.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, hops)


def read_errors(made: socket.socket) -> list[QueuedError]:
    """Everything that is in the queue; does not wait."""
    found = []
    for __ in range(_MOST):
        try:
            payload, control, __, __ = made.recvmsg(128, 512, _MSG_ERRQUEUE | socket.MSG_DONTWAIT)
        except OSError:
            break
        error = parse_error(payload, control)
        if error is not None:
            found.append(error)
    return found


def parse_error(payload: bytes, control: list[tuple[int, int, bytes]]) -> QueuedError | None:
    """The error among the control messages; ``None`` where there is none or too little of it."""
    for level, kind, data in control:
        if (level, kind) in ((socket.IPPROTO_IP, _IP_RECVERR), (socket.IPPROTO_IPV6, _IPV6_RECVERR)):
            if len(data) < _EXTENDED_ERR.size:
                return None
            number, origin, icmp_type, code, info, __ = _EXTENDED_ERR.unpack_from(data)
            offender = _sockaddr(data[_EXTENDED_ERR.size :])
            return QueuedError(number, origin, icmp_type, code, info, offender, payload, stamp(control))
    return None


def _sockaddr(data: bytes) -> str | None:
    if len(data) < 8:
        return None
    (family,) = struct.unpack_from("=H", data)
    if family == socket.AF_INET:
        return socket.inet_ntop(socket.AF_INET, data[4:8])
    if family == socket.AF_INET6 and len(data) >= 24:
        return socket.inet_ntop(socket.AF_INET6, data[8:24])
    return None


def stamp(control: list[tuple[int, int, bytes]]) -> int:
    """When the kernel received a packet; now, where it did not say."""
    for level, kind, data in control:
        if level == socket.SOL_SOCKET and kind == _SO_TIMESTAMPNS and len(data) >= _TIMESPEC.size:
            seconds, nanoseconds = _TIMESPEC.unpack_from(data)
            return int(seconds * 1_000_000_000 + nanoseconds)
    return time.time_ns()


def answer(error: QueuedError, number: int | None, destination: str) -> Answer | None:
    """What *error* says about probe *number*; ``None`` where that is nothing about its way.

    :param destination: the probe's; what it says itself, mostly "port unreachable", means that it was reached.
    """

    def made(kind: str, mtu: int = 0, what: str | None = None) -> Answer:
        return Answer(number, kind, error.offender, error.at_ns, mtu, what)

    if error.origin == _ORIGIN_LOCAL:
        if error.errno == errno.EMSGSIZE:
            return made(TOO_BIG, error.info)
        return None
    arrived = error.offender == destination.partition("%")[0]
    if error.origin == _ORIGIN_ICMP:
        if error.type == 11:
            return made(EXPIRED)
        if error.type == 3 and error.code == 4:
            return made(TOO_BIG, error.info)
        if error.type == 3:
            if arrived:
                return made(REACHED)
            return made(UNREACHABLE, what=_ICMP.get(error.code, f"unreachable, code {error.code}"))
    elif error.origin == _ORIGIN_ICMP6:
        if error.type == 3:
            return made(EXPIRED)
        if error.type == 2:
            return made(TOO_BIG, error.info)
        if error.type == 1:
            if arrived:
                return made(REACHED)
            return made(UNREACHABLE, what=_ICMP6.get(error.code, f"unreachable, code {error.code}"))
        if error.type == 4 and arrived:
            return made(REACHED)
    return None


class Sender:
    """Sends numbered probes to one destination and collects what comes back.

    :ivar method: its name in results.
    :ivar smallest: the smallest size of a whole packet, in bytes.
    :ivar port: of the destination; ``None`` where there is none.
    :ivar patience_s: after this time no answer belongs to its probe; ``None`` for no such limit.
    :ivar paced: hosts limit how many of the destination's answers they send, which are ICMP errors.
    """

    method = ""
    patience_s: float | None = None
    paced = False
    smallest = 0
    port: int | None = None

    def send(self, number: int, hops: int, size: int) -> None:
        """Send probe *number* (0 to 65535) as a packet of *size* bytes with *hops* as its TTL.

        :raises OSError: it could not be sent.
        """
        raise NotImplementedError

    def receive(self) -> list[Answer]:
        """What has arrived; does not wait."""
        raise NotImplementedError

    def descriptors(self) -> list[int]:
        """What becomes readable, or shows an error, when something arrives."""
        raise NotImplementedError

    def forget(self, number: int) -> None:
        """No answer to probe *number* is waited for any longer."""

    def close(self) -> None:
        raise NotImplementedError

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_exception: object) -> None:
        self.close()


class DatagramSender(Sender):
    """One connected socket for all probes, so that every one of them takes the same way through load balancers."""

    def __init__(self, made: socket.socket, destination: str) -> None:
        self.socket = made
        self.destination = destination
        self._hops = 0
        self._early: list[Answer] = []

    def number_in(self, quoted: bytes) -> int | None:
        """The number of the probe of which *quoted* is the beginning; ``None`` where too little is quoted.

        :raises LookupError: it is no probe of ours.
        """
        raise NotImplementedError

    def packet(self, number: int, size: int) -> bytes:
        raise NotImplementedError

    def replies(self) -> list[Answer]:
        """What the destination itself sent, other than errors."""
        raise NotImplementedError

    def send(self, number: int, hops: int, size: int) -> None:
        if hops != self._hops:
            set_hops(self.socket, hops)
            self._hops = hops
        data = self.packet(number, size)
        for __ in range(8):
            try:
                self.socket.send(data)
                return
            except OSError as error:
                # An error about an earlier packet is reported by the next call, too.
                pending = read_errors(self.socket)
                local = [each for each in pending if each.origin == _ORIGIN_LOCAL and each.errno == errno.EMSGSIZE]
                self._early += self._answers([each for each in pending if each not in local])
                if local:
                    self._early.append(Answer(number, TOO_BIG, None, time.time_ns(), local[-1].info))
                    return
                if error.errno in (errno.ENOBUFS, errno.EAGAIN):
                    return  # lost in the host's own queue
                if not pending:
                    raise

    def receive(self) -> list[Answer]:
        early, self._early = self._early, []
        return early + self._answers(read_errors(self.socket)) + self.replies()

    def _answers(self, errors: list[QueuedError]) -> list[Answer]:
        found = []
        for error in errors:
            try:
                made = answer(error, self.number_in(error.payload), self.destination)
            except LookupError:
                continue
            if made is not None:
                found.append(made)
        return found

    def descriptors(self) -> list[int]:
        return [self.socket.fileno()]

    def close(self) -> None:
        self.socket.close()
