# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few facts of a host that the page shows. Private to this collection.

Facts may come from another release of the collection or be damaged, so nothing here relies on their shape.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_cells import (
    Row,
    at,
    cell,
    counted,
    duration,
    joined,
    listed,
    number,
    portion,
    share,
    spread,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_tables import Table, tables_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence

_LIMITED = 6
_SETTING = 60
# The kernel tells them as settings, and nobody sets them.
_STATES = ("fs.file-nr", "net.netfilter.nf_conntrack_count")


class View(NamedTuple):
    """What the page shows of a host.

    :ivar pairs: single facts, ``(label, text)``.
    :ivar settings: its kernel parameters as ``sysctl`` prints them; absent ones are left out.
    :ivar unseen: what could not be looked at, and why.
    """

    pairs: list[tuple[str, str]]
    tables: list[Table]
    settings: dict[str, str]
    unseen: list[str]


def view_of(facts: Row, rows: int) -> View:
    """The view of *facts*, with at most *rows* rows a table."""
    pairs = [(label, cell(value)) for label, value in _pairs(facts) if value not in (None, "")]
    return View(pairs, tables_of(facts, rows), dict(_settings(facts)), list(_unseen(facts))[:_LIMITED])


def _pairs(facts: Row) -> Iterator[tuple[str, str | None]]:
    meta, tcp = at(facts, "meta"), at(facts, "sockets.tcp")
    yield "Kernel", at(meta, "kernel")
    yield "Up", duration(at(meta, "uptime_s"))
    yield "Sampled", at(meta, "sampled_at")
    yield "Over", number(at(meta, "interval_s"), "s")
    yield "Compared with", _before(at(facts, "since.seconds"))
    yield "Namespace", at(meta, "netns")
    yield "Container", at(meta, "container")
    yield "Round trip", spread(at(tcp, "quality.rtt_ms"))
    yield "Retransmits", portion(at(facts, "tcp.derived.retransmit_ratio"))
    yield "Congestion control", counted(at(tcp, "quality.congestion_control"))
    yield "Ephemeral ports", _range(at(facts, "sockets.ports"))
    if at(facts, "conntrack.in_use"):
        yield "Connection tracking", share(at(facts, "conntrack.count"), at(facts, "conntrack.max"))
    yield "Default route", joined(at(facts, "routes.default"), _route)
    yield "Nameservers", joined(at(facts, "resolver.nameservers"), str)


def _settings(facts: Row) -> Iterator[tuple[str, str]]:
    values = at(facts, "sysctl.values")
    for key, value in values.items() if isinstance(values, Mapping) else ():
        if value is not None and key not in _STATES:
            text = " ".join(map(str, value)) if isinstance(value, list) else str(value)
            yield sentence(key, _SETTING), sentence(text, _SETTING)


def _unseen(facts: Row) -> Iterator[str]:
    for name, subset in facts.items():
        if isinstance(subset, Mapping):
            if subset.get("available") is False:
                yield f"{name}: {sentence(subset.get('why'))}"
            for entry in listed(subset.get("limited")):
                yield f"{name}: {sentence(entry)}"


def _before(seconds: Any) -> str | None:
    told = duration(seconds)
    return None if told is None else f"the audit {told} before"


def _range(ports: Any) -> str | None:
    low, high = at(ports, "low"), at(ports, "high")
    return None if low is None else f"{low} to {high}"


def _route(route: Any) -> str | None:
    return f"{at(route, 'gateway') or 'on link'} on {at(route, 'interface')}" if isinstance(route, Mapping) else None
