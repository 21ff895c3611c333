# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Counting TCP sockets without looking at each: by state, destination, listener and owner. Private to this collection.

A host may have a million sockets. What is done for each is done by slices, ``iter_unpack`` and ``Counter.update``;
only the few that stand out are taken apart.
"""

from __future__ import annotations

import sys
from collections import Counter
from itertools import compress
from typing import Any, Iterable, NamedTuple, Tuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import (
    Host,
    number,
    read_int,
    read_text,
    shown,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch

# (family and state as they lie in memory, port and addresses as they lie in memory)
Key = Tuple[bytes, bytes]

# Bounds of what is kept; what is cut by them is told in ``limited``.
MAX_KEYS = 50_000
MAX_OWNED = 20_000
MAX_CLOSE_WAIT = 50_000
MAX_SUSPECTS = 512

_INBOUND, _OUTSIDE, _IN_RANGE = 0, 1, 2
_ONLY_IN_RANGE = bytes([0, 0, 1]) + bytes(253)
_ONLY_OUTSIDE = bytes([0, 1, 0]) + bytes(253)
_CALLED = bytes([0, 1, 1]) + bytes(253)
_ONLY_INBOUND = bytes([1, 0, 0]) + bytes(253)
_ORPHANED = (diag.FIN_WAIT1, diag.FIN_WAIT2, diag.LAST_ACK, diag.CLOSING)
_WAITING_OR_ORPHANED = {diag.CLOSE_WAIT, *_ORPHANED}


def _only(state: int) -> bytes:
    return bytes(state) + b"\1" + bytes(255 - state)


_ONLY_ESTABLISHED = _only(diag.ESTABLISHED)


class Ports(NamedTuple):
    """The ephemeral ports: ``None`` where the kernel does not tell."""

    low: int | None
    high: int | None
    reserved: str | None
    capacity: int | None
    unprivileged_start: int | None


def read_ports(host: Host) -> Ports:
    """The range that connect() takes local ports from, less what is reserved."""
    low = high = capacity = reserved = None
    try:
        first, last = map(number, read_text(host.proc("sys/net/ipv4/ip_local_port_range")).split())
        if 0 < first <= last < 65536:
            low, high, capacity = first, last, last - first + 1
    except (Unavailable, ValueError):
        pass
    try:
        reserved = shown(read_text(host.proc("sys/net/ipv4/ip_local_reserved_ports")).strip())
        if low is not None and high is not None and capacity is not None:
            capacity -= len({port for part in reserved.split(",") for port in _span(part, low, high)})
    except (Unavailable, ValueError):
        pass
    return Ports(low, high, reserved, capacity, read_int(host.proc("sys/net/ipv4/ip_unprivileged_port_start")))


def _span(part: str, low: int, high: int) -> Iterable[int]:
    first, dash, last = part.partition("-")
    return range(max(low, number(first)), min(high, number(last if dash else first)) + 1) if first else ()


class Census:
    """What is known of the TCP sockets that are no listeners.

    :ivar states: number of the state to the number of sockets.
    :ivar in_range: outbound sockets whose local port is ephemeral, by state and destination.
    :ivar outside: outbound sockets with a local port outside the range: bound by hand.
    :ivar inbound: sockets on a listener's port, by state, port and address of this side.
    :ivar owned: inode to the key of its socket, followed by its control group's id where the kernel tells it.
    :ivar close_wait: inode to family, peer (port and address) and control group's id of a socket in CLOSE_WAIT.
    :ivar receive: messages with something in the receive queue, and how much; send alike.
    :ivar suspects: messages of sockets that retransmit the same thing again and again.
    :ivar keepalive: established sockets whose keepalive timer runs, of the ``timed`` that wait for nothing else.
    :ivar bound: sockets that are bound but not connected, ``None`` where they were not counted.
    :ivar cut: what did not fit: one sentence each.
    """

    def __init__(self, ports: Ports, listening: Iterable[int]) -> None:
        self.states = [0] * 256
        self.in_range: Counter[Key] = Counter()
        self.outside: Counter[Key] = Counter()
        self.inbound: Counter[tuple[bytes, bytes, bytes]] = Counter()
        self.retried: Counter[Key] = Counter()
        self.orphans = dict.fromkeys(_ORPHANED, 0)
        self.syn_recv: Counter[tuple[bytes, bytes]] = Counter()
        self.owned: dict[int, tuple[Any, ...]] = {}
        self.close_wait: dict[int, tuple[int, bytes, int]] = {}
        self.close_wait_unowned = 0
        self.receive: list[tuple[int, bytes]] = []
        self.send: list[tuple[int, bytes]] = []
        self.suspects: list[bytes] = []
        self.keepalive = self.timed = 0
        self.bound: int | None = 0
        self.cut: set[str] = set()
        first, last = (ports.low, ports.high) if ports.low is not None and ports.high is not None else (1, 0)
        kinds = bytearray([_OUTSIDE]) * 65536
        kinds[first : last + 1] = bytes([_IN_RANGE]) * (last + 1 - first)
        self._ephemeral = _by_raw_port(kinds)
        for port in listening:
            kinds[port] = _INBOUND
        self._kinds = _by_raw_port(kinds)

    def add(self, batch: Batch) -> None:
        """Count the sockets of *batch*: no listeners."""
        data, length, stride = batch
        count = length // stride
        states = data[diag.STATE : length : stride]
        present = set(states)
        for state in present:
            self.states[state] += states.count(state)
        view = memoryview(data)[:length]
        halves = view.cast("H")
        kinds = bytes(map(self._kinds.__getitem__, halves[diag.SOURCE_PORT >> 1 :: stride >> 1]))
        remote = diag.record(stride, ((diag.FAMILY, "2s"), (diag.DESTINATION_PORT, "34s"))).iter_unpack
        in_range = kinds.count(_IN_RANGE)
        if in_range == count:
            self.in_range.update(remote(view))
        elif in_range:
            self.in_range.update(compress(remote(view), kinds.translate(_ONLY_IN_RANGE)))
        if _OUTSIDE in kinds:
            self._add_outside(batch, kinds, remote(view))
        if len(self.in_range) > MAX_KEYS:
            self._prune(self.in_range, "destinations")
        if present == {diag.TIME_WAIT}:
            return
        if _INBOUND in kinds:
            local = diag.record(stride, ((diag.FAMILY, "2s"), (diag.SOURCE_PORT, "2s"), (diag.SOURCE, "16s")))
            self.inbound.update(compress(local.iter_unpack(view), kinds.translate(_ONLY_INBOUND)))
        self._add_owners(batch, present)
        self._add_standing_out(batch, view, present, states)

    def _add_outside(self, batch: Batch, kinds: bytes, keys: Iterable[Key]) -> None:
        # Without a listener, a peer on an ephemeral port most likely came to us: what is left of a stopped service.
        data, length, stride = batch
        peers = memoryview(data)[:length].cast("H")[diag.DESTINATION_PORT >> 1 :: stride >> 1]
        outbound = bytes(map(self._ephemeral.__getitem__, peers)).translate(_ONLY_OUTSIDE)
        chosen = compress(
            compress(keys, kinds.translate(_ONLY_OUTSIDE)), compress(outbound, kinds.translate(_ONLY_OUTSIDE))
        )
        self.outside.update(chosen)
        if len(self.outside) > MAX_KEYS:
            self._prune(self.outside, "destinations from ports outside the ephemeral range")

    def _add_owners(self, whole: Batch, present: set[int]) -> None:
        if len(self.owned) >= MAX_OWNED:
            self.cut.add(f"owners: only the first {MAX_OWNED} connections and all in CLOSE_WAIT were looked up")
            if present.isdisjoint(_WAITING_OR_ORPHANED):
                return
        for batch, places in diag.layouts(whole, (diag.CGROUP_ID,)):
            data, length, stride = batch
            view = memoryview(data)[:length]
            inodes = view.cast("I")[diag.INODE >> 2 :: stride >> 2].tolist()
            fields = [(diag.FAMILY, "2s"), (diag.DESTINATION_PORT, "34s")]
            if diag.CGROUP_ID in places:
                fields.append((places[diag.CGROUP_ID][0], "Q"))
            if len(self.owned) < MAX_OWNED:
                self.owned.update(zip(inodes, diag.record(stride, tuple(fields)).iter_unpack(view)))
                self.owned.pop(0, None)
            if present.isdisjoint(_WAITING_OR_ORPHANED):
                continue
            states = data[diag.STATE : length : stride]
            for state, inode, at in zip(states, inodes, range(0, length, stride)):
                if not inode and state in self.orphans:
                    self.orphans[state] += 1
                elif state == diag.CLOSE_WAIT:
                    self._add_close_wait(inode, bytes(data[at : at + stride]), places.get(diag.CGROUP_ID))

    def _add_close_wait(self, inode: int, message: bytes, group: tuple[int, int] | None) -> None:
        if not inode:
            self.close_wait_unowned += 1
        elif len(self.close_wait) < MAX_CLOSE_WAIT:
            group_id = int.from_bytes(message[group[0] : group[1]], sys.byteorder) if group else 0
            peer = (
                message[diag.DESTINATION_PORT : diag.DESTINATION_PORT + 2] + message[diag.DESTINATION : diag.INTERFACE]
            )
            self.close_wait[inode] = (message[diag.FAMILY], peer, group_id)
        else:
            self.cut.add(f"only the first {MAX_CLOSE_WAIT} sockets in CLOSE_WAIT were looked at")

    def _add_standing_out(self, batch: Batch, view: memoryview, present: set[int], states: bytes | bytearray) -> None:
        data, length, stride = batch
        words = view.cast("I")
        if diag.SYN_RECV in present or diag.SYN_SENT in present:
            for at in range(0, length, stride):
                state = data[at + diag.STATE]
                if state == diag.SYN_RECV:
                    peer = bytes(data[at + diag.DESTINATION : at + diag.DESTINATION + 16])
                    self.syn_recv[bytes(data[at + diag.FAMILY : at + diag.FAMILY + 1]), peer] += 1
                elif state == diag.SYN_SENT and data[at + diag.RETRANSMITS]:
                    identity = data[at + diag.DESTINATION_PORT : at + diag.DESTINATION_PORT + 34]
                    self.retried[bytes(data[at + diag.FAMILY : at + diag.FAMILY + 2]), bytes(identity)] += 1
            if len(self.syn_recv) > MAX_KEYS:
                self._prune(self.syn_recv, "sources of half-open connections")
        timers = data[diag.TIMER : length : stride]
        if diag.ESTABLISHED in present:
            waiting = bytes(compress(timers, states.translate(_ONLY_ESTABLISHED)))
            self.keepalive += waiting.count(diag.TIMER_KEEPALIVE)
            self.timed += waiting.count(diag.TIMER_KEEPALIVE) + waiting.count(0)
        if diag.TIMER_RETRANSMIT in timers and max(data[diag.RETRANSMITS : length : stride]) > 1:
            for at in range(0, length, stride):
                if (
                    data[at + diag.TIMER] == diag.TIMER_RETRANSMIT
                    and data[at + diag.RETRANSMITS] > 1
                    and data[at + diag.STATE] not in (diag.SYN_SENT, diag.SYN_RECV)
                    and len(self.suspects) < MAX_SUSPECTS
                ):
                    self.suspects.append(bytes(data[at : at + stride]))
        for queue, offset in ((self.receive, diag.RECEIVE_QUEUE), (self.send, diag.SEND_QUEUE)):
            sizes = words[offset >> 2 :: stride >> 2].tolist()
            if any(sizes):
                queue.extend(
                    (size, bytes(data[index * stride : (index + 1) * stride]))
                    for index, size in enumerate(sizes)
                    if size and states[index] != diag.SYN_SENT and states[index] != diag.SYN_RECV
                )
                if len(queue) > 2 * MAX_SUSPECTS:
                    queue.sort(reverse=True)
                    del queue[MAX_SUSPECTS:]

    def outbound(self, raw_ports: Iterable[int]) -> bytes:
        """For each local port, as it lies in a message, whether its socket has called somebody: 1, else 0."""
        return bytes(map(self._kinds.__getitem__, raw_ports)).translate(_CALLED)

    def _prune(self, counter: Counter[tuple[bytes, bytes]], what: str) -> None:
        """Forget the rare half of *counter*: what is worth showing is frequent."""
        kept = counter.most_common(MAX_KEYS // 2)
        counter.clear()
        counter.update(dict(kept))
        self.cut.add(f"{what}: more than {MAX_KEYS} were met, the rarest are not counted")


def _by_raw_port(table: bytearray) -> bytes:
    """*table*, which has an entry for each port, indexed by the port as it lies in a message instead."""
    if sys.byteorder == "big":
        return bytes(table)
    return b"".join(table[low::256] for low in range(256))


def normal(family: int, raw: bytes) -> bytes:
    """An address as 4 or 16 bytes, IPv4-mapped ones as IPv4."""
    if family == diag.AF_INET:
        return raw[:4]
    return raw[12:16] if raw.startswith(diag.MAPPED) else raw
