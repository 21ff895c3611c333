# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets of some size, sent and waited for, to the destination or to a hop on the way. Private to this collection."""

from __future__ import annotations

import select
import time
from typing import Literal, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import (
    EXPIRED,
    REACHED,
    TOO_BIG,
    UNREACHABLE,
    Answer,
    Sender,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_trace import PACE_S
from ansible_collections.nettriage.linux.plugins.module_utils.probe.pmtu_search import TimeUp, TooBig

ALL_THE_WAY = 64  # hops
_LEAST_WAIT_S = 0.2
_BATCH = 6
_SILENT_HOPS = 5


class Silent(Exception):
    """What answered before answers no longer, whatever the size."""


class Circle(Exception):
    """Packets go round in a circle; the argument is the address of a router in it."""


class Narrow(NamedTuple):
    """Where packets of a size do not go on.

    :ivar number: the last hop that they reach, 0 for this host.
    :ivar address: its address, ``None`` where it is not known.
    :ivar next_address: of the next hop that answers, to which only smaller ones come.
    """

    number: int
    address: str | None
    next_address: str | None


class Rounds:
    """Asks and waits.

    :ivar tries: how often silence has to be met before it is believed.
    :ivar sent: probes so far.
    """

    def __init__(self, sender: Sender, tries: int, timeout_s: float, deadline: Deadline) -> None:
        self.sender = sender
        self.tries = tries
        self.sent = 0
        self.small = sender.smallest
        self._refusal: Answer | None = None
        self._timeout_s = timeout_s
        self._deadline = deadline
        self._number = 0
        self._slowest_s: float | None = None

    def ask(self, *probes: tuple[int, int]) -> list[Answer | None]:
        """Send (hops, size) all at once; the answer to each, ``None`` where none came.

        :raises TimeUp: the time limit is reached.
        """
        if self._deadline.over:
            raise TimeUp
        numbers: dict[int, int] = {}
        answers: list[Answer | None] = [None] * len(probes)
        began, began_ns = time.monotonic(), time.time_ns()
        for place, (hops, size) in enumerate(probes):
            self._number = (self._number + 1) & 0xFFFF
            numbers[self._number] = place
            self.sender.send(self._number, hops, size)
            self.sent += 1
        wait = self._timeout_s
        if self._slowest_s is not None:
            wait = min(wait, max(_LEAST_WAIT_S, 3 * self._slowest_s + 0.1))
        end = self._deadline.within(began + wait - time.monotonic())
        poll = select.poll()
        for descriptor in self.sender.descriptors():
            poll.register(descriptor, select.POLLIN)
        while numbers and not end.over:
            poll.poll(end.left() * 1000 + 1)
            for answer in self.sender.receive():
                number = next(iter(numbers)) if answer.number is None and len(numbers) == 1 else answer.number
                if answer.kind == UNREACHABLE:
                    self._refusal = answer
                if number in numbers:
                    answers[numbers.pop(number)] = answer
                    self._slowest_s = max(self._slowest_s or 0.0, (answer.at_ns - began_ns) / 1e9)
        return answers

    def refused(self) -> Answer | None:
        """What was said, by now, about there being no way to the destination."""
        for answer in self.sender.receive():
            if answer.kind == UNREACHABLE:
                self._refusal = answer
        return self._refusal

    def pause(self) -> None:
        """Until hosts send ICMP errors again that they have held back."""
        time.sleep(self._deadline.left(PACE_S))

    def reached(self) -> bool:
        """Whether the destination answers small packets."""
        return any(
            answer is not None and answer.kind == REACHED
            for count in (1, self.tries - 1)
            for answer in (self.ask(*[(ALL_THE_WAY, self.small)] * count) if count else [])
        )

    def arrives(self, size: int, hops: int = ALL_THE_WAY, sure: bool = True) -> Literal[True] | TooBig | None:
        """Whether a packet of *size* comes to the hop, or the destination, that answers small ones.

        It has vanished when it does so :attr:`tries` times (once, unless that has to be *sure*), while a small one that
        is sent along is answered: else the silence may as well be that of a host that sends few ICMP errors, or of a
        line that loses everything.

        :raises Silent: small ones are not answered any more.
        :raises TimeUp: the time limit is reached.
        """
        came = REACHED if hops == ALL_THE_WAY else EXPIRED
        vanished = silent = 0
        small: Answer | None
        alone = True
        while vanished < (self.tries if sure else 1):
            if alone:  # most that arrive do so at once, and need no small one beside them
                (large,), small = self.ask((hops, size)), None
            else:
                large, small = self.ask((hops, size), (hops, self.small))
            if large is not None:
                if large.kind == TOO_BIG:
                    return TooBig(large.mtu if large.mtu < size else 0, large.address)
                if large.kind in (came, REACHED):
                    return True
            if small is not None and small.kind in (came, REACHED):
                vanished += 1
            elif not alone:
                silent += 1
                if silent > self.tries:
                    raise Silent
                self.pause()
            alone = False
        return None

    def hops(self, limit: int) -> list[Answer | None]:
        """Who answers small packets at each hop, up to the destination, or to the last one that answers.

        :raises Circle: one router answers as several hops.
        """
        found: list[Answer | None] = []
        seen: list[str | None] = []
        while len(found) < limit:
            numbers = range(len(found) + 1, min(limit, len(found) + _BATCH) + 1)
            answers = self.ask(*((number, self.small) for number in numbers))
            again = [place for place, answer in enumerate(answers) if answer is None]
            if again and len(again) < len(answers):
                for place, answer in zip(again, self.ask(*((numbers[place], self.small) for place in again))):
                    answers[place] = answer
            for answer in answers:
                if answer is not None and answer.kind == EXPIRED and answer.address in seen[:-1]:
                    raise Circle(answer.address)
                seen.append(answer.address if answer is not None else None)
                found.append(answer)
                if answer is not None and answer.kind in (REACHED, UNREACHABLE):
                    return found
            if not any(found[-_SILENT_HOPS:]):
                break
        while found and found[-1] is None:
            found.pop()
        return found

    def narrow(self, size: int, ways: list[Answer | None], reached: bool) -> Narrow | None:
        """The last hop that packets of *size* reach, which do not arrive at the destination.

        :param ways: as :meth:`hops` found them.
        :param reached: whether the destination answers small ones.
        """
        last: tuple[int, str | None] = (0, None)
        for number, answer in enumerate(ways, 1):
            if answer is None:
                continue
            if answer.kind == REACHED:
                return self._behind(last, ways, answer.address)
            try:
                found = self.arrives(size, number)
            except Silent:
                continue
            if found is True:
                last = number, answer.address
            elif found is None:
                return self._behind(last, ways, answer.address)
            else:
                return Narrow(number - 1, found.address or last[1], answer.address)
        return Narrow(*last, None) if reached and last[0] else None

    def _behind(self, last: tuple[int, str | None], ways: list[Answer | None], address: str | None) -> Narrow | None:
        """Without any answer from the first hop, nothing tells which of the silent ones it is."""
        return None if not last[0] and ways[0] is None else Narrow(*last, address)
