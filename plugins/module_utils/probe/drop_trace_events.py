# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of each trace event of the network, counted in bounded tables. Private to this collection.

Sources: ``include/trace/events/skb.h``, ``tcp.h``, ``sock.h``; ``include/net/dropreason.h`` for the parts of a reason.
"""

from __future__ import annotations

import struct
from collections import Counter
from operator import itemgetter
from typing import Any, Callable, Generic, Iterator, NamedTuple, Optional, Sequence, TypeVar

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ring_buffer import HEADER_SIZE, Run
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import Format

MAX_KEYS = 20_000
KFREE_SKB = "skb/kfree_skb"
RETRANSMIT, RETRANSMIT_SYNACK = "tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack"
SEND_RESET, RECEIVE_RESET = "tcp/tcp_send_reset", "tcp/tcp_receive_reset"
SET_STATE = "sock/inet_sock_set_state"
# What never was on a network (netlink, unix sockets) has no protocol: most of what a host frees, and no drop.
DROPPED_PACKETS = "protocol != 0"
# Who connects, how that ends, who is accepted; the protocol is TCP's.
NEW_CONNECTIONS = "protocol == 6 && (newstate == 2 || oldstate == 2 || (oldstate == 3 && newstate == 1))"

_ADDRESSES = ("sport", "dport", "saddr", "daddr", "saddr_v6", "daddr_v6")
_SUBSYSTEM_SHIFT = 16
_PROTOCOLS = {0x0800: "ipv4", 0x86DD: "ipv6", 0x0806: "arp"}
_SOCKADDR = struct.Struct("=H2s4s16s")
_NEW_SYN_RECV = 12

Key = TypeVar("Key")
# Takes one record: a page, and where in it the record begins.
Taker = Callable[[bytes, int], None]
# Event, filter, and what makes the taker of the event's format.
Subscribe = Callable[[str, Optional[str], Callable[[Format], Taker]], None]


class Flow(NamedTuple):
    """Both ends of a connection, addresses with 4 or 16 bytes; IPv4-mapped ones are IPv4."""

    local: bytes
    local_port: int
    remote: bytes
    remote_port: int


class Table(Generic[Key]):
    """How often each key occurred, for at most :data:`MAX_KEYS` keys.

    :ivar total: of all keys.
    :ivar cut: how many were not counted by their key.
    """

    def __init__(self) -> None:
        self.counts: dict[Key, int] = {}
        self.total = self.cut = 0

    def add(self, key: Key, count: int = 1) -> None:
        self.total += count
        if key in self.counts:
            self.counts[key] += count
        elif len(self.counts) < MAX_KEYS:
            self.counts[key] = count
        else:
            self.cut += count


class Record:
    """Picks fields from the records of one event.

    :raises Malformed: this kernel's event has not all of them.
    """

    def __init__(self, form: Format, names: Sequence[str]) -> None:
        self._picker = form.picker(names)
        self._unpack = self._picker.unpack_from
        ordered = form.ordered(names)
        self._wanted: Callable[[tuple[Any, ...]], tuple[Any, ...]] = itemgetter(*map(ordered.index, names))

    def __call__(self, page: bytes, start: int) -> tuple[Any, ...]:
        """The fields in the order of the names. :raises struct.error: the record is cut off."""
        return self._wanted(self._unpack(page, start))

    def run(self, page: bytes, run: Run) -> Iterator[tuple[tuple[Any, ...], int]]:
        """The fields of the records of a whole run, and how often they occur.

        :raises struct.error: the records are shorter than this event's.
        """
        rest = run.stride - HEADER_SIZE - self._picker.size
        whole = struct.Struct(f"={HEADER_SIZE}x{self._picker.format[1:]}{rest}x")
        for found, count in Counter(whole.iter_unpack(memoryview(page)[run.start : run.end])).items():
            yield self._wanted(found), count


class Drops:
    """``skb:kfree_skb``: a packet was thrown away.

    :ivar table: by function address, protocol and reason, whose number is ``None`` before Linux 5.17.
    :ivar names: the kernel's names of reasons.
    """

    def __init__(self) -> None:
        self.table: Table[tuple[int, int, int | None]] = Table()
        self.has_reason = False
        self.names: dict[int, str] = {}
        self._pick: Record

    def subscribe(self, to: Subscribe) -> None:
        """:raises Unavailable: this kernel has not what is needed."""
        to(KFREE_SKB, DROPPED_PACKETS, self._taker)

    def _taker(self, form: Format) -> Taker:
        self.names = form.symbols.get("reason", {})
        self.has_reason = "reason" in form.fields
        names = ("location", "protocol", "reason") if self.has_reason else ("location", "protocol")
        self._pick = Record(form, names)
        return lambda page, start: self._add(self._pick(page, start))

    def take_run(self, page: bytes, run: Run) -> None:
        """Take all records of a page at once, in a fifth of the time. No other event may be in them."""
        for found, count in self._pick.run(page, run):
            self._add(found, count)

    def _add(self, found: tuple[Any, ...], count: int = 1) -> None:
        self.table.add((found[0], found[1], found[2] if self.has_reason else None), count)

    def reason(self, number: int | None) -> str | None:
        """The kernel's name of a reason. Those of a subsystem have a number only (Linux 6.4)."""
        if number is None:
            return None
        subsystem, rest = divmod(number, 1 << _SUBSYSTEM_SHIFT)
        return f"SUBSYSTEM_{subsystem}_{rest}" if subsystem else self.names.get(number, f"REASON_{number}")

    @staticmethod
    def protocol(number: int) -> str:
        return _PROTOCOLS.get(number, f"0x{number:04x}")


class Retransmits:
    """``tcp:tcp_retransmit_skb`` and ``tcp:tcp_retransmit_synack``: a segment was sent again.

    :ivar table: by flow and the connection's state.
    """

    def __init__(self) -> None:
        self.table: Table[tuple[Flow, str | None]] = Table()

    def subscribe(self, to: Subscribe) -> None:
        """:raises Unavailable: this kernel has not what is needed."""
        to(RETRANSMIT, None, self._taker)
        to(RETRANSMIT_SYNACK, None, self._taker)

    def _taker(self, form: Format) -> Taker:
        with_state = "state" in form.fields
        pick = Record(form, ("state", *_ADDRESSES) if with_state else _ADDRESSES)

        def take(page: bytes, start: int) -> None:
            found = pick(page, start)
            if with_state:
                self.table.add((_flow(found[1:]), _state(found[0])))
            else:  # the answer to a SYN
                self.table.add((_flow(found), "syn_recv"))

        return take


class Resets:
    """``tcp:tcp_send_reset`` and ``tcp:tcp_receive_reset``.

    :ivar sent: by flow.
    :ivar received: by flow.
    :ivar reasons: why they were sent, as far as this kernel tells (Linux 6.10).
    """

    def __init__(self) -> None:
        self.sent: Table[Flow] = Table()
        self.received: Table[Flow] = Table()
        self.reasons: Table[str] = Table()

    def subscribe(self, to: Subscribe) -> None:
        """:raises Unavailable: this kernel has not what is needed."""
        to(SEND_RESET, None, self._sent_taker)
        to(RECEIVE_RESET, None, self._received_taker)

    def _sent_taker(self, form: Format) -> Taker:
        """Since Linux 6.10 there are whole struct sockaddr, for what is sent without a socket is traced as well."""
        if "sport" in form.fields:
            pick = Record(form, _ADDRESSES)
            return lambda page, start: self.sent.add(_flow(pick(page, start)))
        names = form.symbols.get("reason", {})
        pick = Record(form, ("saddr", "daddr", "reason") if "reason" in form.fields else ("saddr", "daddr"))

        def take(page: bytes, start: int) -> None:
            local, remote, *reason = pick(page, start)
            self.sent.add(Flow(*_sockaddr(local), *_sockaddr(remote)))
            for number in reason:
                self.reasons.add(names.get(number, f"REASON_{number}"))

        return take

    def _received_taker(self, form: Format) -> Taker:
        pick = Record(form, _ADDRESSES)
        return lambda page, start: self.received.add(_flow(pick(page, start)))


class Connections:
    """``sock:inet_sock_set_state``: who connects to whom, and who is accepted.

    A connection begins in its own process's context, so the kernel tells the thread. It is accepted in that of whatever
    was interrupted by the packet, so only the listener's address is known.

    :ivar outbound: by thread, destination and port.
    :ivar failed: those of them that ended without being established.
    :ivar inbound: by local address and port.
    """

    def __init__(self, seen: Callable[[int], object]) -> None:
        """:param seen: called with the thread of each new connection, at once: it may not live long."""
        self.outbound: Table[tuple[int, bytes, int]] = Table()
        self.failed: Table[tuple[int, bytes, int]] = Table()
        self.inbound: Table[tuple[bytes, int]] = Table()
        self._pending: dict[int, tuple[int, bytes, int]] = {}
        self._seen = seen

    def subscribe(self, to: Subscribe) -> None:
        """:raises Unavailable: this kernel has not what is needed."""
        to(SET_STATE, NEW_CONNECTIONS, self._taker)

    def _taker(self, form: Format) -> Taker:
        pick = Record(form, ("common_pid", "skaddr", "oldstate", "newstate", *_ADDRESSES))
        return lambda page, start: self._take(*pick(page, start))

    def _take(self, thread: int, socket: int, old: int, new: int, *addresses: Any) -> None:
        flow = _flow(addresses)
        if new == diag.SYN_SENT:
            key = (thread, flow.remote, flow.remote_port)
            self.outbound.add(key)
            self._seen(thread)
            if len(self._pending) < MAX_KEYS:
                self._pending[socket] = key
        elif old == diag.SYN_SENT:
            begun = self._pending.pop(socket, None)
            if begun is not None and new == diag.CLOSE:
                self.failed.add(begun)
        elif old == diag.SYN_RECV and new == diag.ESTABLISHED:
            self.inbound.add((flow.local, flow.local_port))


def _flow(fields: Sequence[Any]) -> Flow:
    """The 16 bytes of an address hold IPv4 as well, in its mapped form, on every kernel."""
    local_port, remote_port, local4, remote4, local6, remote6 = fields
    return Flow(_address(local4, local6), local_port, _address(remote4, remote6), remote_port)


def _address(four: bytes, sixteen: bytes) -> bytes:
    return four if sixteen.startswith(diag.MAPPED) else sixteen


def _sockaddr(raw: bytes) -> tuple[bytes, int]:
    """Address and port of a struct sockaddr_in or sockaddr_in6.

    :raises struct.error: it is cut off.
    """
    family, port, four, sixteen = _SOCKADDR.unpack_from(raw)
    address = sixteen if family == diag.AF_INET6 else four
    if address.startswith(diag.MAPPED):
        address = address[12:]
    return address, int.from_bytes(port, "big")


def _state(number: int) -> str | None:
    return "syn_recv" if number == _NEW_SYN_RECV else diag.STATE_NAMES.get(number)
