# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plans of some hosts as a table for people. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import groupby
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_terminal import Line
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count, fit, named, sentence, wrapped

_INDENT = 11
_STATUS = {"planned": "yellow", "already": "green", "refused": None}


def table(
    plans: Mapping[str, list[dict[str, Any]]], columns: int, settings: Mapping[str, Mapping[str, Any]] | None = None
) -> Iterator[Line]:
    """Planned changes with their reason, then what was refused and why, once for all hosts that have the same plan.

    No line is wider than *columns*.

    :param settings: all that each host's transaction is asked for; what no row plans was asked for by name.
    """
    same: dict[tuple[Line, ...], list[str]] = {}
    for host, rows in plans.items():
        same.setdefault(tuple(_plan(rows, (settings or {}).get(host, {}), columns)), []).append(host)
    for ((told, colour), *lines), hosts in same.items():
        yield fit(f"{clean(hosts[0]) if len(hosts) == 1 else count(len(hosts), 'host')}: {told}", columns), colour
        if len(hosts) > 1:
            yield "  " + named(hosts, columns - 2), None
        yield from lines


def _plan(rows: list[dict[str, Any]], asked: Mapping[str, Any], columns: int) -> Iterator[Line]:
    """One host's plan: how much it is, then the lines below."""
    planned = [row for row in rows if row["status"] == "planned"]
    keys = [row["key"] for row in planned]
    own = {key: value for key, value in asked.items() if key not in keys}
    parts = [f"{count(len(planned), 'change')} planned"] if planned else []
    parts += [f"{count(len(own), 'setting')} asked for by name"] if own else []
    yield ", ".join(parts) or "nothing to change", "yellow" if parts else "green"
    for __, alike in groupby(planned, key=lambda row: (row["remedy"], row["why"])):
        yield from _planned(list(alike), columns)
    for key, value in own.items():
        yield fit(f"  set      {clean(key)} = {shown(value)}", columns), "yellow"
    for row in rows:
        if row["status"] != "planned":
            remedy = "" if row["remedy"] == "none" else f"{row['remedy']}: "
            told = sentence(f"{row['status']}  {remedy}{row['refused']}", 1000)
            yield from _wrapped(told, columns, _STATUS[row["status"]])
            if row["status"] == "refused":
                yield from _next(row, columns)


def _next(row: dict[str, Any], columns: int) -> Iterator[Line]:
    """Whose trouble it is then, and what to run to see it."""
    for name, value in (("whose", row["owner"]), ("see", row["command"])):
        if value:
            yield fit(f"           {name}: {clean(value)}", columns), None


def _planned(rows: list[dict[str, Any]], columns: int) -> Iterator[Line]:
    """The keys that are set for one reason, and then the reason."""
    for row in rows:
        change = f"{clean(row['key'])}: {shown(row['current'])} -> {shown(row['proposed'])}"
        yield fit(f"  set      {change}", columns), "yellow"
    row, cost = rows[0], sum(each["memory_cost"] for each in rows)
    yield from _wrapped(f"  {row['remedy']}: {sentence(row['why'], 1000)}", columns, None)
    if row["restart_needed"]:
        restart = ", ".join(map(clean, row["restart_needed"]))
        yield fit(f"           takes effect after a restart of {restart}", columns), None
    if cost:
        yield fit(f"           may cost {cost / (1 << 20):.1f} MiB; risk {row['risk']}", columns), None


def shown(value: Any) -> str:
    """A value as ``sysctl`` prints it."""
    if isinstance(value, list):
        return " ".join(map(str, value))
    return "(empty)" if value in ("", None) else clean(value)


def _wrapped(text: str, columns: int, colour: str | None) -> Iterator[Line]:
    first, *more = wrapped(text, columns - 2)
    yield f"  {first}", colour
    for line in wrapped(" ".join(more), columns - _INDENT) if more else ():
        yield " " * _INDENT + line, colour
