# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tables of facts that the page shows of a host. Private to this collection."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple, Union

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number, ratio
from ansible_collections.nettriage.linux.plugins.plugin_utils.namespaces import IDENTITY, label
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import endpoint, processes
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_cells import (
    Row,
    at,
    cell,
    counted,
    listed,
    number,
    portion,
    share,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence

# A bar's full length is 1000: whole numbers are short in JSON.
FULL = 1000
# The counters' bars are logarithmic, as their rates span six decades.
_DECADES = 6

Bar = tuple[str, int]
"""A text, and how much of the cell its bar fills, in thousandths."""
Cell = Union[str, Bar]


class Kind(NamedTuple):
    """One kind of table. The bars of a column are the same measure in every row.

    :ivar path: where its rows are in the facts.
    """

    caption: str
    path: str
    columns: Mapping[str, Callable[[Row], Any]]


class Table(NamedTuple):
    """Rows of one kind of fact; ``total`` tells how many there are on the host."""

    kind: str
    rows: list[list[Cell]]
    total: int


def _bar(text: str | None, part: Any) -> str | Bar | None:
    """*text* with a bar; without one where *part* is no number."""
    if text is None or part is None or not is_number(part):
        return text
    return cell(text), max(0, min(FULL, round(float(part) * FULL)))


def _ratio(part: Any, whole: Any) -> float | None:
    return ratio(part, whole) if is_number(part) and is_number(whole) else None


def _filled(row: Row, part: str, whole: str) -> str | Bar | None:
    return _bar(share(row.get(part), row.get(whole)), _ratio(row.get(part), row.get(whole)))


def _processes(row: Row) -> str:
    return processes(row["processes"]) if listed(row.get("processes")) else ""


def _busy(row: Row, way: str) -> str | Bar | None:
    return _bar(number(row.get(f"{way}_mbps"), "Mbit/s"), at(row, f"utilisation.{way}"))


def _limited(row: Row) -> str:
    shares: dict[str, Any] = {
        "send buffer": row.get("sndbuf_limited_share"),
        "receive window": row.get("rwnd_limited_share"),
    }
    return ", ".join(f"{name} {portion(value)}" for name, value in shares.items() if is_number(value) and value > 0)


def _interface(row: Row) -> str:
    kind = " ".join(dict.fromkeys(str(row[key]) for key in ("kind", "driver") if row.get(key)))
    return f"{row.get('name')} ({kind})" if kind else str(row.get("name"))


def _dropped(row: Row) -> str | None:
    drops = [at(each, "drops_delta") for each in listed(row.get("qdisc"))]
    return number(sum(drop for drop in drops if is_number(drop))) if drops else None


def _origin(row: Row) -> str:
    return f"{row.get('file')}:{row['line']}" if row.get("line") else str(row.get("file") or "")


KINDS = (
    Kind(
        "Sockets by state",
        "states",
        {"State": lambda row: row["name"], "Sockets": lambda row: _bar(number(row["value"]), row["share"])},
    ),
    Kind(
        "Counters, per second (bars are logarithmic)",
        "rates",
        {"Counter": lambda row: row["name"], "Rate": lambda row: _bar(number(row["value"]), row["share"])},
    ),
    Kind(
        "Listeners",
        "sockets.tcp.listeners",
        {
            "Listener": endpoint,
            "Accept queue": lambda row: _filled(row, "accept_queue", "backlog"),
            "Dropped": lambda row: number(row.get("drops_delta")),
            "Connections": lambda row: number(row.get("connections")),
            "Process": _processes,
        },
    ),
    Kind(
        "Destinations",
        "sockets.tcp.destinations",
        {
            "Destination": endpoint,
            "Local ports": lambda row: _filled(row, "ports_used", "capacity"),
            "States": lambda row: counted(row.get("states")),
            "Process": _processes,
        },
    ),
    Kind(
        "Paths",
        "sockets.tcp.quality.destinations",
        {
            "Peer": endpoint,
            "Connections": lambda row: number(row.get("connections")),
            "Round trip": lambda row: number(row.get("rtt_ms"), "ms"),
            "Sent again": lambda row: _bar(portion(row.get("retransmit_ratio")), row.get("retransmit_ratio")),
            "Limited by": _limited,
            "Process": _processes,
        },
    ),
    Kind(
        "Interfaces",
        "nic.interfaces",
        {
            "Interface": _interface,
            "State": lambda row: row.get("operstate"),
            "Speed": lambda row: None if row.get("virtual") else number(row.get("speed_mbps"), "Mbit/s"),
            "MTU": lambda row: row.get("mtu"),
            "Receives": lambda row: _busy(row, "rx"),
            "Sends": lambda row: _busy(row, "tx"),
            "New errors": lambda row: counted(row.get("errors_delta")),
            "Queue drops": _dropped,
        },
    ),
    Kind(
        "Settings that another file sets differently",
        "sysctl.overridden",
        {
            "Setting": lambda row: row.get("key"),
            "Ours": lambda row: row.get("value"),
            "Theirs": lambda row: row.get("other_value"),
            "Set by": lambda row: row.get("by"),
            "Where": _origin,
            "When": lambda row: "at boot" if row.get("at_boot") else "at sysctl --system",
        },
    ),
    Kind(
        "Network namespaces",
        "namespaces.list",
        {
            "Namespace": lambda row: label({key: row.get(key) for key in IDENTITY}),
            "TCP sockets": lambda row: number(at(row, "sockets.tcp.total")),
            "By state": lambda row: counted(at(row, "sockets.tcp.states")),
            "Processes": lambda row: number(row.get("processes_total")),
            "Process": lambda row: processes([row]) if row.get("command") else "",
        },
    ),
    Kind(
        "Namespaces in which settings differ",
        "sysctl.namespaces",
        {
            "Namespace": lambda row: row.get("container") or row.get("unit") or row.get("netns"),
            "Process": _processes,
            "Here, and on the host": lambda row: _differing(row.get("differing")),
        },
    ),
)


def tables_of(facts: Row, rows: int) -> list[Table]:
    """The tables of *facts* that have a row, each with at most *rows*."""
    made = {"states": list(_states(facts)), "rates": list(_rates(facts))}
    tables = []
    for kind in KINDS:
        found = made.get(kind.path) or [row for row in listed(at(facts, kind.path)) if isinstance(row, Mapping)]
        total = at(facts, "namespaces.total" if kind.path == "namespaces.list" else f"{kind.path}_total")
        kept = found[: max(rows, 4) if kind.path in made else rows]
        if kept:
            cells = [[_kept(make(row)) for make in kind.columns.values()] for row in kept]
            tables.append(Table(kind.caption, cells, total if isinstance(total, int) else len(found)))
    return tables


def _kept(value: Any) -> Cell:
    return value if isinstance(value, tuple) else cell(value)


def _states(facts: Row) -> Iterator[Row]:
    """TCP's states that there are sockets in, most first."""
    states = _numbers(at(facts, "sockets.tcp.states"))
    whole = sum(states.values())
    for name in sorted(states, key=lambda name: -states[name]):
        yield {"name": name, "value": states[name], "share": states[name] / whole}


# Octets and what is counted again below another name say nothing here.
_COUNTERS = ("Ip", "Ip6", "Icmp", "Icmp6", "Tcp", "TcpExt", "Udp", "Udp6")
_DULL = ("Octets", "Pkts", "Transmits", "Type")


def _rates(facts: Row) -> Iterator[Row]:
    """The counters that moved, fastest first."""
    rates = {
        f"{group}.{name}": value
        for group in _COUNTERS
        for name, value in _numbers(at(facts, f"tcp.rates.{group}")).items()
        if not any(word in name for word in _DULL)
    }
    for name in sorted(rates, key=lambda name: -rates[name]):
        yield {"name": name, "value": rates[name], "share": math.log10(1 + rates[name]) / _DECADES}


def _numbers(value: Any) -> dict[str, float]:
    found = value.items() if isinstance(value, Mapping) else ()
    return {str(name): item for name, item in found if is_number(item) and item > 0}


def _differing(value: Any) -> str | None:
    if not isinstance(value, Mapping):
        return None
    told = [f"{key} {at(both, 'here')}, {at(both, 'host')}" for key, both in list(value.items())[:3]]
    return sentence("; ".join(told))
