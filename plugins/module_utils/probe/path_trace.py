# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes every hop of a path at the same time, cycle by cycle. Private to this collection."""

from __future__ import annotations

import select
import time
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import (
    EXPIRED,
    REACHED,
    TOO_BIG,
    Answer,
    Sender,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

# Hosts send one ICMP error a second to each peer, after a few at once (icmp_ratelimit): Linux, and others more.
PACE_S = 1.05
_LEAST_PACE_S = 0.95
_SILENT_HOPS = 5  # so many hops beyond the last that answers
_MOST_GAP_S = 0.05
_ADDRESSES = 8


class Hop:
    """What was seen of one hop.

    :ivar sent: probes whose fate is known.
    :ivar turns: probes in all.
    :ivar answered: which of them were, by their turn.
    :ivar rtts_ms: of those that were answered, in the order of the answers.
    :ivar addresses: who answered, and how often.
    :ivar errors: what else was answered, and how often.
    """

    def __init__(self) -> None:
        self.sent = 0
        self.turns = 0
        self.answered: set[int] = set()
        self.last_at = 0.0
        self.rtts_ms: list[float] = []
        self.addresses: dict[str, int] = {}
        self.errors: dict[str, int] = {}

    @property
    def rationed(self) -> bool:
        """Whether it answers as who may send only so many ICMP errors in a time: some at once, then no two in a row."""
        first_lost = next((turn for turn in range(self.turns) if turn not in self.answered), self.turns)
        later = sorted(turn for turn in self.answered if turn > first_lost)
        steps = [after - before for before, after in zip(later, later[1:])]
        return first_lost >= 3 and len(later) >= 2 and min(steps) >= 2

    def answered_by(self, address: str | None) -> None:
        if address is not None and (address in self.addresses or len(self.addresses) < _ADDRESSES):
            self.addresses[address] = self.addresses.get(address, 0) + 1


class _Flying(NamedTuple):
    hop: int
    turn: int
    sent_ns: int
    lost_at: float


class Trace:
    """One path.

    :ivar hops: by number, from 1.
    :ivar end: the nearest hop at which the destination answered; ``None`` where none did.
    :ivar blocked: the nearest hop to which a router said that there is no way on.
    :ivar cycles: those that were begun.
    """

    def __init__(self, sender: Sender, timeout_s: float, max_hops: int, size: int) -> None:
        self._sender = sender
        self._timeout_s = min(timeout_s, sender.patience_s or timeout_s)
        self._max_hops = max_hops
        self._size = max(size, sender.smallest)
        self._flying: dict[int, _Flying] = {}
        self._lost: dict[int, int] = {}
        self._number = 0
        self._farthest = 0
        self._last_beyond = 0.0
        self.hops: dict[int, Hop] = {}
        self.end: int | None = None
        self.blocked: int | None = None
        self.cycles = 0

    @property
    def last(self) -> int:
        """The last hop that it makes sense to probe."""
        ends = [each for each in (self.end, self.blocked if self.end is None else None) if each is not None]
        if ends:
            return min(ends)
        reach = self._max_hops if self.cycles <= 1 else self._farthest + _SILENT_HOPS
        return min(self._max_hops, reach)

    def run(self, cycles: int, interval_s: float, deadline: Deadline) -> None:
        """Probe *cycles* times, each hop once every *interval_s*, and stop at *deadline*.

        :raises OSError: a probe cannot be sent.
        """
        begin = time.monotonic()
        while self.cycles < cycles and not deadline.over:
            self.cycles += 1
            gap, hop, at = min(_MOST_GAP_S, interval_s / self.last), 1, begin
            while self._listen(at, deadline) and hop <= self.last:
                if self._due(hop):
                    self._send(hop)
                    at = max(at + gap, time.monotonic())
                hop += 1
            begin = max(begin + interval_s, time.monotonic())
            if self._sender.paced and self.end is not None:
                # What went beyond the destination in the first cycle has used up some of its answers.
                begin = max(begin, self._last_beyond + PACE_S)
            if self.cycles < cycles:
                self._listen(begin, deadline)
        self._await(deadline)

    def _due(self, hop: int) -> bool:
        """Whether a router has had time to regain the right to an ICMP error; neither the destination needs that, nor
        who has not said anything yet."""
        at = self._hop(hop)
        return hop == self.end or not at.rtts_ms or time.monotonic() - at.last_at >= _LEAST_PACE_S

    def _send(self, hop: int) -> None:
        self._number = (self._number + 1) & 0xFFFF
        self._lost.pop(self._number, None)
        now = time.monotonic()
        at = self._hop(hop)
        at.last_at = now
        self._flying[self._number] = _Flying(hop, at.turns, time.time_ns(), now + self._timeout_s)
        at.turns += 1
        self._sender.send(self._number, hop, self._size)
        if hop > self._farthest + 1:
            self._last_beyond = now

    def _await(self, deadline: Deadline) -> None:
        """Until every probe's fate is known. Hops that never answered in several cycles are not waited for."""
        while not deadline.over:
            pending = [
                each.lost_at
                for each in self._flying.values()
                if each.hop <= self.last and (self._hop(each.hop).turns < 3 or self._hop(each.hop).rtts_ms)
            ]
            if not pending:
                return
            self._listen(max(pending), deadline, until_any=True)

    def _listen(self, until: float, deadline: Deadline, until_any: bool = False) -> bool:
        """Take what arrives until then; whether *deadline* still lies ahead."""
        while True:
            now = time.monotonic()
            wait = min(until, deadline.at) - now
            poll = select.poll()
            for descriptor in self._sender.descriptors():
                poll.register(descriptor, select.POLLIN | (select.POLLOUT if self._sender.patience_s else 0))
            poll.poll(max(0.0, wait) * 1000)
            answers = self._sender.receive()
            for each in answers:
                self._take(each)
            self._give_up()
            if wait <= 0 or (until_any and answers):
                return not deadline.over

    def _give_up(self) -> None:
        now = time.monotonic()
        for number in [number for number, each in self._flying.items() if each.lost_at <= now]:
            self._sender.forget(number)
            self._lost[number] = self._flying.pop(number).hop
            self._hop(self._lost[number]).sent += 1

    def _hop(self, number: int) -> Hop:
        return self.hops.setdefault(number, Hop())

    def _take(self, answer: Answer) -> None:
        number = self._guess(answer) if answer.number is None else answer.number
        answered = answer.kind in (EXPIRED, REACHED)
        if number is not None and number in self._flying:
            at, turn, sent_ns, __ = self._flying.pop(number)
            self._hop(at).sent += 1
            if answered:
                self._hop(at).answered.add(turn)
                self._hop(at).rtts_ms.append(max(0.0, (answer.at_ns - sent_ns) / 1e6))
        elif number is not None and number in self._lost and not answered:
            at = self._lost.pop(number)  # a router looks for a host for seconds before it says that there is none
        else:
            return
        hop = self._hop(at)
        hop.answered_by(answer.address)
        if answered:
            self._farthest = max(self._farthest, at)
            if answer.kind == REACHED:
                self.end = at if self.end is None else min(self.end, at)
            return
        said = f"too big for {answer.mtu} bytes" if answer.kind == TOO_BIG else answer.what or answer.kind
        hop.errors[said] = hop.errors.get(said, 0) + 1
        self.blocked = at if self.blocked is None else min(self.blocked, at)

    def _guess(self, answer: Answer) -> int | None:
        """The probe that an answer must be about that quotes too little of it, as some routers do."""
        flying = sorted(self._flying.items(), key=lambda item: item[1].hop)
        if answer.kind == REACHED:
            known = [number for number, each in flying if self.end in (None, each.hop) and each.hop > self._routers()]
            return known[0] if known else None
        known = [number for number, each in flying if answer.address in self._hop(each.hop).addresses]
        fresh = [number for number, each in flying if not self._hop(each.hop).addresses]
        return next(iter(known or fresh), None)

    def _routers(self) -> int:
        """The farthest hop that is not the destination."""
        return self._farthest if self.end is None else self.end - 1
