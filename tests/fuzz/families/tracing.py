# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""tracefs: the formats of events, and the pages of the ring buffers."""

from __future__ import annotations

import json
import struct
from typing import Any, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ring_buffer, trace_format
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed
from ansible_collections.nettriage.linux.plugins.module_utils.probe import drop_trace_events as events
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part, fixture, fixtures, text_of

_EVENTS = (
    "skb/kfree_skb", "tcp/tcp_retransmit_skb", "tcp/tcp_retransmit_synack", "tcp/tcp_send_reset",
    "tcp/tcp_receive_reset", "sock/inet_sock_set_state",
)  # fmt: skip
_TRACING = ("6.18", "tracing")
_PAGE = trace_format.parse_page_format(text_of(fixture(*_TRACING, "events", "header_page")))
_RECORDED: dict[str, Any] = json.loads(fixture(*_TRACING, "pages.json"))


def _format(data: bytes) -> None:
    form = trace_format.parse_format(text_of(data))
    for name in form.fields:
        form.picker([name])
    _subscribed(lambda event: form)


def _page_format(data: bytes) -> None:
    form = trace_format.parse_page_format(text_of(data))
    if not 0 <= form.commit.offset < form.data <= form.size:
        raise Broken("a page without room")


def _subscribed(form_of: Any) -> tuple[dict[int, events.Taker], list[Any], events.Drops]:
    takers: dict[int, events.Taker] = {}

    def to(event: str, condition: str | None, taker: Any) -> None:
        form = form_of(event)
        takers[form.id] = taker(form)

    topics: list[Any] = [events.Drops(), events.Retransmits(), events.Resets(), events.Connections(lambda thread: None)]
    for topic in topics:
        topic.subscribe(to)
    return takers, topics, topics[0]


def _recorded_form(event: str) -> trace_format.Format:
    return trace_format.parse_format(
        text_of(fixture(*_TRACING, "events", *event.replace(":", "/").split("/"), "format"))
    )


_READY: list[tuple[dict[int, events.Taker], list[Any], events.Drops]] = []


def _page(data: bytes) -> None:
    if not _READY:
        _READY.append(_subscribed(_recorded_form))
    takers, topics, drops = _READY[0]
    run = ring_buffer.run(data, _PAGE)
    for start in ring_buffer.records(data, _PAGE):
        if not _PAGE.data < start <= len(data):
            raise Broken("a record beyond its page")
        take = takers.get(struct.unpack_from("=H", data, start)[0])
        if take is not None:
            take(data, start)
    if run is not None:
        if not run.start < run.end <= len(data) or (run.end - run.start) % run.stride:
            raise Broken("a run beyond its page")
        drops.take_run(data, run)
    for table in (drops.table, topics[1].table, topics[2].sent, topics[3].outbound):
        if len(table.counts) > events.MAX_KEYS:
            raise Broken("a table without a limit")


def _pages() -> Iterable[bytes]:
    return [bytes.fromhex(page) for page in _RECORDED["pages"]]


_MAY = (Malformed, struct.error)
HARNESS = Harness(
    "tracing",
    {
        "format": Part(
            _format,
            lambda: [text for event in _EVENTS for text in fixtures("tracing", "events", *event.split("/"), "format")],
            (Malformed,),
        ),
        "header_page": Part(_page_format, lambda: fixtures("tracing", "events", "header_page"), (Malformed,)),
        "page": Part(_page, _pages, _MAY),
    },
)
