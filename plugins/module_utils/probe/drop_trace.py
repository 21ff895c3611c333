# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why the kernel drops packets, and what becomes of TCP connections, for a bounded time. Private to this collection.

Packet drops have a trace instance of their own, so that a flood of them cannot push out the few events of TCP. What
comes faster than it may be read is lost, and counted by the kernel: the trace itself must not become the fault.
"""

from __future__ import annotations

import struct
import time
from contextlib import ExitStack
from typing import Any, Callable, Dict, TypeVar

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ring_buffer
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.signals import ended_by_signals
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import Format, PageFormat
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.tracefs import Instance, Tracefs
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_events import (
    Connections,
    Drops,
    Resets,
    Retransmits,
    Taker,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_names import Threads
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_report import Report
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline, bounded_option

Facts = Dict[str, Any]
Topic = TypeVar("Topic", Drops, Retransmits, Resets, Connections)
TakeRun = Callable[[bytes, ring_buffer.Run], None]
TOPICS = ("drops", "retransmits", "resets", "connections")
MAX_DURATION_S = 60.0

# The buffers of all processors together, and how often they are emptied: some 90 000 drops fit in.
_DROPS_KB, _TCP_KB = 4096, 2048
_PERIOD_S = 0.02
# At most this share of one processor's time goes into reading.
_WORK_SHARE = 0.25
_NUMBER = struct.Struct("=H")


def drop_trace(host: Host, params: dict[str, Any]) -> Facts:
    """What the module returns.

    :raises BadOption: an option that cannot be used.
    """
    bounded_option(params, "duration", 0.1, MAX_DURATION_S)
    wanted = params["events"]
    unknown = [topic for topic in wanted if topic not in TOPICS]
    if unknown or not wanted:
        raise BadOption("events", unknown or wanted, f"one or more of {', '.join(TOPICS)}")
    try:
        with ended_by_signals():
            return _Run(host, params).facts()
    except Unavailable as error:
        return {"available": False, "why": str(error), "limited": []}


class _Trace:
    """An instance that is read, and who takes the records of each event in it.

    :param take_run: takes runs of records, where there is one event only.
    :ivar damaged: how many pages contradicted themselves.
    """

    def __init__(
        self,
        tracefs: Tracefs,
        instance: Instance,
        page: PageFormat,
        take_run: TakeRun | None = None,
    ) -> None:
        self.instance = instance
        self.damaged = 0
        self._tracefs = tracefs
        self._page = page
        self._take_run = take_run
        self._takers: dict[int, Taker] = {}

    def subscribe(self, event: str, condition: str | None, taker: Callable[[Format], Taker]) -> None:
        """Have the records of *event* taken by what *taker* makes of its format.

        :raises Unavailable: this kernel has not this event, or not as it is needed.
        """
        form = self._tracefs.event_format(event)
        self._takers[form.id] = taker(form)
        self.instance.enable(event, condition)

    def read(self) -> None:
        """Take what is in the buffers."""
        for page in self.instance.pages(self._page.size):
            try:
                self._take(page)
            except (Malformed, struct.error):
                self.damaged += 1

    def _take(self, page: bytes) -> None:
        if self._take_run is not None:
            run = ring_buffer.run(page, self._page)
            if run is not None:
                self._take_run(page, run)
                return
        takers, number = self._takers, _NUMBER.unpack_from
        for start in ring_buffer.records(page, self._page):
            take = takers.get(number(page, start)[0])
            if take is not None:
                take(page, start)


class _Run:
    """One trace, from its instances to the facts."""

    def __init__(self, host: Host, params: dict[str, Any]) -> None:
        self._host = host
        self._params = params
        self._tracefs = Tracefs(host)
        self._page = self._tracefs.page_format()
        self._limited: list[str] = []
        self._traces: dict[str, _Trace] = {}
        self._threads = Threads(host, self._tracefs.commands)
        self._drops: Drops | None = None
        self._retransmits: Retransmits | None = None
        self._resets: Resets | None = None
        self._connections: Connections | None = None

    def facts(self) -> Facts:
        """:raises Unavailable: nothing of what is wanted can be traced."""
        self._tracefs.sweep()
        with ExitStack() as stack:
            self._begin(stack)
            if not (self._drops or self._retransmits or self._resets or self._connections):
                raise Unavailable("; ".join(self._limited))
            duration_s = self._watch(self._params["duration"])
            lost = {label: trace.instance.lost() for label, trace in self._traces.items()}
        damaged = sum(trace.damaged for trace in self._traces.values())
        if damaged:
            self._limited.append(f"{damaged} pages of the trace could not be read")
        report = Report(self._host, self._params["top"], duration_s, lost, self._limited)
        return {
            "available": True,
            "why": None,
            "limited": self._limited,
            "duration_s": round(duration_s, 3),
            "drops": report.drops(self._drops),
            "retransmits": report.retransmits(self._retransmits),
            "resets": report.resets(self._resets),
            "connections": report.connections(self._connections, self._threads),
            "events_lost": sum(lost.values()),
        }

    def _begin(self, stack: ExitStack) -> None:
        """Have the wanted topics written, each into its instance."""
        wanted = self._params["events"]
        if "drops" in wanted:
            drops = Drops()
            trace = self._trace(stack, "drops", _DROPS_KB, drops.take_run)
            self._drops = self._subscribed("drops", drops, trace)
        if {*wanted} - {"drops"}:
            trace = self._trace(stack, "tcp", _TCP_KB)
            if "retransmits" in wanted:
                self._retransmits = self._subscribed("retransmits", Retransmits(), trace)
            if "resets" in wanted:
                self._resets = self._subscribed("resets", Resets(), trace)
            if "connections" in wanted:
                self._connections = self._subscribed("connections", Connections(self._threads.see), trace)

    def _trace(self, stack: ExitStack, label: str, kilobytes: int, take_run: TakeRun | None = None) -> _Trace:
        instance = stack.enter_context(self._tracefs.instance(label, kilobytes))
        self._traces[label] = _Trace(self._tracefs, instance, self._page, take_run)
        return self._traces[label]

    def _subscribed(self, name: str, topic: Topic, trace: _Trace) -> Topic | None:
        """*topic*, or ``None`` where this kernel has not its events."""
        try:
            topic.subscribe(trace.subscribe)
        except Unavailable as error:
            self._limited.append(f"{name}: {error}")
            return None
        return topic

    def _watch(self, duration_s: float) -> float:
        """Read until time is over; return how long that was in seconds."""
        started, deadline = time.monotonic(), Deadline(duration_s)
        while not deadline.over:
            before = time.process_time()
            self._read()
            worked = time.process_time() - before
            time.sleep(deadline.left(max(_PERIOD_S, worked * (1 / _WORK_SHARE - 1))))
        for trace in self._traces.values():
            trace.instance.disable()
        took = time.monotonic() - started
        self._read()
        return took

    def _read(self) -> None:
        for trace in self._traces.values():
            trace.read()
        self._threads.catch_up()
