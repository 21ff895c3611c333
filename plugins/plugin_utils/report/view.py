# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few facts of a host that the page shows. Private to this collection.

Facts may come from another release of the collection or be damaged, so nothing here relies on their shape.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import (
    count,
    counts,
    endpoint,
    percent,
    process,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence

_Row = Mapping[str, Any]
_CELL = 120
_LIMITED = 6


class Table(NamedTuple):
    """Rows of one kind of fact; ``total`` tells how many there are on the host."""

    caption: str
    heads: tuple[str, ...]
    rows: list[list[str]]
    total: int


class View(NamedTuple):
    """What the page shows of a host.

    :ivar pairs: single facts, ``(label, text)``.
    :ivar unseen: what could not be looked at, and why.
    """

    pairs: list[tuple[str, str]]
    tables: list[Table]
    unseen: list[str]


def view_of(facts: _Row, rows: int) -> View:
    """The view of *facts*, with at most *rows* rows a table."""
    tables = [
        _table(facts, rows, "Listeners", "sockets.tcp.listeners", _LISTENER),
        _table(facts, rows, "Destinations", "sockets.tcp.destinations", _DESTINATION),
        _table(facts, rows, "Interfaces", "nic.interfaces", _INTERFACE),
    ]
    pairs = [(label, _cell(value)) for label, value in _pairs(facts) if value not in (None, "")]
    return View(pairs, [table for table in tables if table.rows], list(_unseen(facts))[:_LIMITED])


def at(value: Any, path: str) -> Any:
    """What is at the dotted *path* in *value*, ``None`` where nothing is."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _pairs(facts: _Row) -> Iterator[tuple[str, str | None]]:
    meta, tcp = at(facts, "meta"), at(facts, "sockets.tcp")
    yield "Kernel", at(meta, "kernel")
    yield "Up", _duration(at(meta, "uptime_s"))
    yield "Sampled", at(meta, "sampled_at")
    yield "Over", _number(at(meta, "interval_s"), "s")
    yield "Namespace", at(meta, "netns")
    yield "TCP sockets", _counts(at(tcp, "states"))
    yield "Round trip", _spread(at(tcp, "quality.rtt_ms"))
    yield "Retransmits", _percent(at(facts, "tcp.derived.retransmit_ratio"))
    yield "Congestion control", _counts(at(tcp, "quality.congestion_control"))
    yield "Ephemeral ports", _range(at(facts, "sockets.ports"))
    if at(facts, "conntrack.in_use"):
        yield "Connection tracking", _share(at(facts, "conntrack.count"), at(facts, "conntrack.max"))
    yield "Default route", _join(at(facts, "routes.default"), _route)
    yield "Nameservers", _join(at(facts, "resolver.nameservers"), str)


def _unseen(facts: _Row) -> Iterator[str]:
    for name, subset in facts.items():
        if isinstance(subset, Mapping):
            if subset.get("available") is False:
                yield f"{name}: {sentence(subset.get('why'))}"
            for entry in _list(subset.get("limited")):
                yield f"{name}: {sentence(entry)}"


_Columns = dict[str, Callable[[_Row], Any]]

_LISTENER: _Columns = {
    "Listener": endpoint,
    "Accept queue": lambda row: _share(row.get("accept_queue"), row.get("backlog")),
    "Dropped": lambda row: _number(row.get("drops_delta")),
    "Process": lambda row: _join(row.get("processes"), process),
}
_DESTINATION: _Columns = {
    "Destination": endpoint,
    "Local ports": lambda row: _share(row.get("ports_used"), row.get("capacity")),
    "States": lambda row: _counts(row.get("states")),
    "Process": lambda row: _join(row.get("processes"), process),
}
_INTERFACE: _Columns = {
    "Interface": lambda row: row.get("name"),
    "State": lambda row: row.get("operstate"),
    "Speed": lambda row: _number(row.get("speed_mbps"), "Mbit/s"),
    "MTU": lambda row: row.get("mtu"),
    "Receives": lambda row: _number(row.get("rx_mbps"), "Mbit/s"),
    "Sends": lambda row: _number(row.get("tx_mbps"), "Mbit/s"),
    "New errors": lambda row: _counts(row.get("errors_delta")),
}


def _table(facts: _Row, rows: int, caption: str, path: str, columns: _Columns) -> Table:
    found = [row for row in _list(at(facts, path)) if isinstance(row, Mapping)]
    total = at(facts, f"{path}_total")
    cells = [[_cell(make(row)) for make in columns.values()] for row in found[:rows]]
    return Table(caption, tuple(columns), cells, total if isinstance(total, int) else len(found))


def _cell(value: Any) -> str:
    return "" if value is None else sentence(value, _CELL)


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _join(values: Any, tell: Callable[[Any], Any]) -> str:
    told = [tell(value) for value in _list(values)]
    shown = ", ".join(str(text) for text in told[:3] if text)
    return f"{shown} +{len(told) - 3}" if len(told) > 3 else shown


def _number(value: Any, unit: str = "") -> str | None:
    return f"{count(value) if isinstance(value, int) else f'{value:.3g}'} {unit}".rstrip() if is_number(value) else None


def _percent(value: Any) -> str | None:
    return percent(value) if is_number(value) else None


def _counts(value: Any) -> str | None:
    return counts(value) if isinstance(value, Mapping) and value else None


def _share(part: Any, whole: Any) -> str | None:
    first, second = _number(part), _number(whole)
    if first is None or second is None:
        return first
    return f"{first} of {second}" + (f" ({percent(part / whole)})" if whole else "")


def _spread(value: Any) -> str | None:
    median, high = _number(at(value, "median"), "ms"), _number(at(value, "p95"), "ms")
    return None if median is None else f"median {median}, 95th percentile {high}"


def _range(ports: Any) -> str | None:
    low, high = at(ports, "low"), at(ports, "high")
    return None if low is None else f"{low} to {high}"


def _route(route: Any) -> str | None:
    return f"{at(route, 'gateway') or 'on link'} on {at(route, 'interface')}" if isinstance(route, Mapping) else None


def _duration(seconds: Any) -> str | None:
    if not is_number(seconds):
        return None
    if seconds >= 172800:
        return f"{seconds / 86400:.0f} days"
    return f"{seconds / 3600:.1f} hours" if seconds >= 7200 else f"{seconds / 60:.0f} minutes"
