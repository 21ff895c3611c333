# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The course of a trace against a network that is made up: everything that it sends is answered at once, or never."""

from __future__ import annotations

import os
import time
from typing import Callable

from ansible_collections.nettriage.linux.plugins.module_utils.probe import path_report
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import (
    EXPIRED,
    REACHED,
    UNREACHABLE,
    Answer,
    Sender,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_trace import Trace

Reply = Callable[[int, int], "Answer | None"]


class Network(Sender):
    """A made-up network: *reply* makes the answer for a probe's number and hop."""

    def __init__(self, reply: Reply) -> None:
        self.reply = reply
        self.sent: list[int] = []
        self.waiting: list[Answer] = []
        self.reader, self.writer = os.pipe()

    def send(self, number: int, hops: int, size: int) -> None:
        self.sent.append(hops)
        made = self.reply(number, hops)
        if made is not None:
            self.waiting.append(made)
            os.write(self.writer, b".")

    def receive(self) -> list[Answer]:
        found, self.waiting = self.waiting, []
        for __ in found:
            os.read(self.reader, 1)
        return found

    def descriptors(self) -> list[int]:
        return [self.reader]

    def close(self) -> None:
        os.close(self.reader)
        os.close(self.writer)


def _line(length: int, silent: tuple[int, ...] = ()) -> Reply:
    def reply(number: int, hops: int) -> Answer | None:
        if hops in silent:
            return None
        if hops >= length:
            return Answer(number, REACHED, "198.51.100.7", time.time_ns())
        return Answer(number, EXPIRED, f"192.0.2.{hops}", time.time_ns())

    return reply


def _traced(reply: Reply, cycles: int = 3, seconds: float = 10.0, max_hops: int = 30) -> tuple[Trace, Network]:
    with Network(reply) as network:
        trace = Trace(network, 0.05, max_hops, 64)
        trace.run(cycles, 0.02, Deadline(seconds))
        return trace, network


def test_no_hop_behind_the_destination_is_probed() -> None:
    trace, network = _traced(_line(4))
    assert trace.end == 4 and max(network.sent) == 4
    assert trace.hops[4].sent == len(trace.hops[4].rtts_ms) == 3
    assert [row["addresses"] for row in path_report.rows(trace)][:3] == [["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"]]


def test_routers_are_asked_once_a_second_at_most() -> None:
    trace, __ = _traced(_line(3), cycles=5)
    assert [trace.hops[hop].turns for hop in (1, 2, 3)] == [1, 1, 5]


def test_a_silent_hop_is_asked_every_time() -> None:
    trace, __ = _traced(_line(3, silent=(2,)), cycles=4)
    assert trace.hops[2].turns == 4 and not trace.hops[2].rtts_ms
    assert path_report.rows(trace)[1]["filters_probes"]


def test_a_destination_that_is_lost_at_first_is_found_nearer_later() -> None:
    seen = []

    def reply(number: int, hops: int) -> Answer | None:
        seen.append(hops)
        return None if hops == 3 and seen.count(3) == 1 else _line(3)(number, hops)

    trace, __ = _traced(reply)
    assert trace.end == 3
    assert (trace.hops[3].sent, len(trace.hops[3].rtts_ms)) == (3, 2)


def test_after_some_silent_hops_no_farther_ones_are_probed() -> None:
    trace, network = _traced(_line(40, silent=tuple(range(3, 40))), cycles=3)
    assert trace.end is None
    assert max(network.sent[network.sent.index(30) + 1 :]) == 2 + 5


def test_a_router_that_says_there_is_no_way_ends_it() -> None:
    def reply(number: int, hops: int) -> Answer | None:
        if hops >= 3:
            return Answer(number, UNREACHABLE, "192.0.2.2", time.time_ns(), what="host unreachable")
        return _line(9)(number, hops)

    trace, __ = _traced(reply)
    rows = path_report.rows(trace)
    assert (trace.end, trace.blocked, len(rows)) == (None, 3, 3)
    assert list(rows[2]["errors"]) == ["host unreachable"] and rows[2]["received"] == 0


def test_answers_that_quote_too_little_are_given_to_the_hop_they_can_only_be_about() -> None:
    def reply(number: int, hops: int) -> Answer | None:
        made = _line(4)(number, hops)
        return made and made._replace(number=None)

    trace, __ = _traced(reply)
    assert trace.end == 4
    assert [list(trace.hops[hop].addresses) for hop in (1, 2, 3)] == [["192.0.2.1"], ["192.0.2.2"], ["192.0.2.3"]]


def test_strange_answers_change_nothing() -> None:
    def reply(number: int, hops: int) -> Answer | None:
        return Answer((number + 1000) & 0xFFFF, EXPIRED, "192.0.2.99", time.time_ns())

    trace, __ = _traced(reply, cycles=1, max_hops=3)
    assert path_report.rows(trace) == [] and trace.hops[1].sent == 1


def test_the_end_is_kept() -> None:
    started = time.monotonic()
    trace, __ = _traced(_line(4, silent=(4,)), cycles=1000, seconds=0.3)
    assert time.monotonic() - started < 2
    assert 0 < trace.cycles < 1000
