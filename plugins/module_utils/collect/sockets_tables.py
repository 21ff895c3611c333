# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of the subset ``sockets``: listeners, destinations, processes, UDP. Private to this collection."""

from __future__ import annotations

from collections import Counter
from typing import Any, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_leaks import peers
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sock_diag import STATE_NAMES, Socket

# TIME_WAIT ends after 60 s, a compile-time constant: so many ports come back.
_TIME_WAIT_S = 60
# A connect() that gets no answer weighs as much as so many that did.
_SYN_SENT_WEIGHT = 20
_ANY4, _ANY6 = bytes(4), bytes(16)


def ratio(part: float, whole: float | None, digits: int = 4) -> float | None:
    """*part* / *whole*, ``None`` where there is nothing to compare with."""
    return round(part / whole, digits) if whole else None


def states(now: Sample) -> dict[str, int | None]:
    """How many sockets there are in each state."""
    counted: dict[str, int | None] = {name: now.census.states[number] for name, number in diag.STATES.items()}
    counted["listen"] = len(now.listeners)
    counted["close"] = now.census.bound
    return counted


def wanted(now: Sample, listeners: Listeners, udp: Udp, others: Iterable[int]) -> tuple[set[int], dict[int, int]]:
    """The inodes whose owners the facts will name, and the control groups of those of which it is known."""
    inodes = {*now.census.owned, *now.census.close_wait, *others}
    groups = {inode: row[2] for inode, row in now.census.owned.items() if len(row) > 2}
    groups.update((inode, row[2]) for inode, row in now.census.close_wait.items())
    for one in (*listeners.shown, *udp.shown):
        inodes.add(one.inode)
        groups[one.inode] = one.cgroup or 0
    inodes.discard(0)
    return inodes, groups


class Listeners:
    """The listening TCP sockets, those in trouble first.

    Sockets that share address and port (SO_REUSEPORT) have queues of their own; their connections cannot be told
    apart, so each row shows those of all.
    """

    def __init__(self, before: Sample | None, now: Sample, top: int) -> None:
        self._source = now.source
        self._before = {one.cookie: one for one in before.listeners} if before is not None else {}
        self._compared = before is not None
        self._wildcards = {one.port for one in now.listeners if one.family == diag.AF_INET and one.source[:4] == _ANY4}
        places = {(one.port, normal(one.family, one.source)) for one in now.listeners}
        self._counts: dict[tuple[int, bytes], Counter[int]] = {}
        for (head, raw_port, raw), count in now.census.inbound.items():
            port, source = int.from_bytes(raw_port, "big"), normal(head[0], raw)
            self._counts.setdefault(_place(places, port, source), Counter())[head[1]] += count
        self.shown = sorted(now.listeners, key=self._badness, reverse=True)[:top]

    def _drops_delta(self, one: Socket) -> int | None:
        past = self._before.get(one.cookie)
        if not self._compared or one.drops is None:
            return None
        if past is None:
            return one.drops  # it began to listen meanwhile
        return (one.drops - past.drops) & 0xFFFFFFFF if past.drops is not None else None

    def _count(self, one: Socket, state: int) -> int:
        return self._counts.get((one.port, normal(one.family, one.source)), Counter())[state]

    def _badness(self, one: Socket) -> tuple[float, ...]:
        return (
            self._drops_delta(one) or 0,
            one.receive_queue / max(1, one.send_queue),
            one.receive_queue,
            self._count(one, diag.SYN_RECV),
            one.drops or 0,
            self._count(one, diag.ESTABLISHED),
            -one.port,
        )

    def _family(self, one: Socket) -> str:
        if one.family == diag.AF_INET or one.source.startswith(diag.MAPPED):
            return "ipv4"
        only6 = one.attributes.get(diag.V6ONLY)
        # Where the kernel does not tell, a listener for IPv4 beside it means that this one takes no IPv4.
        alone = one.port not in self._wildcards if only6 is None else not only6[0]
        return "dual" if alone and one.source == _ANY6 else "ipv6"

    def rows(self, owners: Owners) -> list[dict[str, Any]]:
        """The rows of the facts."""
        rows = []
        for one in self.shown:
            past = self._before.get(one.cookie)
            backlog = one.send_queue if self._source == "netlink" else None
            rows.append(
                {
                    "address": diag.address(one.family, one.source),
                    "port": one.port,
                    "family": self._family(one),
                    "accept_queue": one.receive_queue,
                    "accept_queue_before": past.receive_queue if past is not None else None,
                    "backlog": backlog,
                    "fill": ratio(one.receive_queue, backlog),
                    "drops": one.drops,
                    "drops_delta": self._drops_delta(one),
                    "syn_recv": self._count(one, diag.SYN_RECV),
                    "connections": self._count(one, diag.ESTABLISHED),
                    "processes": owners.of([one.inode]),
                }
            )
        return rows


def _place(places: set[tuple[int, bytes]], port: int, source: bytes) -> tuple[int, bytes]:
    """The listener that a connection to *source* came through: as the kernel, the exact address goes first."""
    for address in (source, _ANY4, _ANY6) if len(source) == 4 else (source, _ANY6):
        if (port, address) in places:
            return port, address
    return port, b""


class Destinations:
    """Where this host connects to: one row for each source address, destination address and destination port."""

    def __init__(self, before: Sample | None, now: Sample) -> None:
        self._now = now
        self._used: Counter[bytes] = Counter()
        self._states: dict[bytes, Counter[int]] = {}
        for counted, ephemeral in ((now.census.in_range, True), (now.census.outside, False)):
            for (head, tail), count in counted.items():
                place = _destination(head[0], tail)
                if ephemeral:
                    self._used[place] += count
                self._states.setdefault(place, Counter())[head[1]] += count
        self._retried = _joined(now.census.retried)
        self._before: Counter[bytes] | None = None
        if before is not None:
            sent = Counter({key: n for key, n in before.census.in_range.items() if key[0][1] == diag.SYN_SENT})
            sent.update({key: n for key, n in before.census.outside.items() if key[0][1] == diag.SYN_SENT})
            self._before = _joined(sent)
        self.total = len(self._states)

    def rows(self, top: int, owners: Owners) -> list[dict[str, Any]]:
        """The rows of the facts, worst first."""

        def badness(place: bytes) -> tuple[int, int]:
            states = self._states[place]
            return self._used[place] + _SYN_SENT_WEIGHT * states[diag.SYN_SENT], sum(states.values())

        shown = sorted(sorted(self._states), key=badness, reverse=True)[:top]
        holders: dict[bytes, list[int]] = {place: [] for place in shown}
        places = {
            (head, tail): _destination(head[0], tail)
            for counted in (self._now.census.in_range, self._now.census.outside)
            for head, tail in counted
        }
        wanted = {key: holders[place] for key, place in places.items() if place in holders}
        for inode, row in self._now.census.owned.items():
            held = wanted.get(row[:2])
            if held is not None:
                held.append(inode)
        return [self._row(place, owners.of(holders[place])) for place in shown]

    def _row(self, place: bytes, processes: list[dict[str, Any]]) -> dict[str, Any]:
        states = self._states[place]
        half = (len(place) - 2) // 2
        source, destination = place[2 : 2 + half], place[2 + half :]
        capacity = self._now.ports.capacity
        used = self._used[place] if capacity is not None else None
        sent = states[diag.SYN_SENT]
        return {
            "source": text(source),
            "address": text(destination),
            "port": int.from_bytes(place[:2], "big"),
            "ports_used": used,
            "capacity": capacity,
            "port_usage": ratio(used or 0, capacity),
            "sustainable_per_s": round(capacity / _TIME_WAIT_S, 1) if capacity is not None else None,
            "states": {STATE_NAMES[state]: count for state, count in sorted(states.items()) if state in STATE_NAMES},
            "syn_sent_delta": sent - self._before[place] if self._before is not None else None,
            "syn_sent_retried": self._retried[place],
            "processes": processes,
        }


def _destination(family: int, tail: bytes) -> bytes:
    """Destination port, source and destination as one key; IPv4-mapped addresses as IPv4."""
    return tail[:2] + normal(family, tail[2:18]) + normal(family, tail[18:])


def _joined(counted: Counter[tuple[bytes, bytes]]) -> Counter[bytes]:
    joined: Counter[bytes] = Counter()
    for (head, tail), count in counted.items():
        joined[_destination(head[0], tail)] += count
    return joined


def text(raw: bytes) -> str:
    """A normal address as text."""
    return diag.address(diag.AF_INET if len(raw) == 4 else diag.AF_INET6, raw)


def processes(before: Sample | None, now: Sample, top: int, owners: Owners) -> list[dict[str, Any]]:
    """The processes with most sockets, those with CLOSE_WAIT first."""
    census = now.census
    held = Counter((pid, row[0][1]) for inode, row in census.owned.items() for pid in owners.pids.get(inode, ()))
    held.update((pid, diag.LISTEN) for one in now.listeners for pid in owners.pids.get(one.inode, ()))
    counted: dict[int, Counter[int]] = {pid: Counter() for pid, __ in held}
    for (pid, state), count in held.items():
        counted[pid][state] = count
    waiting: dict[int, list[int]] = {}
    for inode in census.close_wait:
        for pid in owners.pids.get(inode, ()):
            waiting.setdefault(pid, []).append(inode)
    for pid, inodes in waiting.items():
        counted.setdefault(pid, Counter())[diag.CLOSE_WAIT] = len(inodes)
    past: Counter[int] = Counter()
    if before is not None:
        for pids in before.holders.values():
            past.update(pids)
    shown = sorted(counted, key=lambda pid: (-len(waiting.get(pid, ())), -sum(counted[pid].values()), pid))[:top]
    rows = []
    for pid in shown:
        leaked = {*waiting.get(pid, ())}
        rows.append(
            {
                **owners.name(pid),
                "states": {STATE_NAMES[state]: count for state, count in sorted(counted[pid].items())},
                "close_wait_persistent": None if before is None else len(leaked & before.census.close_wait.keys()),
                "close_wait_delta": None if before is None else len(leaked) - past[pid],
                "peers": peers(now, leaked),
            }
        )
    return rows


def syn_recv_sources(now: Sample, top: int) -> dict[str, Any]:
    """Who has half-open connections here."""
    counted: Counter[bytes] = Counter()
    for (family, raw), count in now.census.syn_recv.items():
        counted[normal(family[0], raw)] += count
    rows = [{"address": text(raw), "count": count} for raw, count in counted.most_common(top)]
    return {"syn_recv_sources": rows, "syn_recv_sources_total": len(counted)}


class Udp:
    """The UDP sockets, those that drop first."""

    def __init__(self, before: Sample | None, now: Sample, top: int) -> None:
        self._before = {one.cookie: one for one in before.udp[1]} if before is not None and before.udp else {}
        self._compared = before is not None and before.udp is not None
        self._total = now.udp[0] if now.udp else None
        rows = sorted(
            now.udp[1] if now.udp else [],
            key=lambda one: (self._delta(one) or 0, one.drops or 0, one.receive_queue),
            reverse=True,
        )
        self.shown = rows[:top]

    def _delta(self, one: Socket) -> int | None:
        if not self._compared or one.drops is None:
            return None
        # Only sockets that had drops were kept of the first sample.
        past = self._before.get(one.cookie)
        return (one.drops - (past.drops or 0 if past is not None else 0)) & 0xFFFFFFFF

    def facts(self, owners: Owners) -> dict[str, Any]:
        """The part ``udp`` of the facts."""
        rows = [
            {
                "address": diag.address(one.family, one.source),
                "port": one.port,
                "receive_queue_bytes": one.receive_queue,
                "receive_buffer_bytes": one.receive_buffer,
                "drops": one.drops,
                "drops_delta": self._delta(one),
                "processes": owners.of([one.inode]),
            }
            for one in self.shown
        ]
        return {"total": self._total, "sockets": rows}
