# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verdicts of a triage on the terminal. Private to this collection."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence_line
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count, fit
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import (
    BROKEN,
    HEALTHY,
    NOT_JUDGED,
    OK,
    SUSPICIOUS,
    UNKNOWN,
    VERDICTS,
    Verdict,
)

Line = tuple[str, str | None]
"""A line and the colour it is shown in."""

COLOURS = {BROKEN: "red", SUSPICIOUS: "yellow", UNKNOWN: "bright red", HEALTHY: "green", OK: "green", NOT_JUDGED: None}
_INDENT = "  "
_STATE = max(map(len, (BROKEN, SUSPICIOUS, OK, NOT_JUDGED)))
_NARROWEST = 40


def table(verdicts: Sequence[Verdict], columns: int, lines: int) -> Iterator[Line]:
    """Every pair in full as long as there is room in *lines* lines, the others in one line each, the worst first."""
    yield headline(verdicts), None
    room = lines
    for number, verdict in enumerate(verdicts):
        block = list(_pair(verdict, max(columns, _NARROWEST)))
        if number and len(block) > room:
            yield "", None
            yield from _rest(verdicts[number:], columns, max(room, 3))
            return
        room -= len(block)
        yield from block


def headline(verdicts: Sequence[Verdict]) -> str:
    """``3 pairs: 1 broken, 2 healthy``."""
    numbers = Counter(verdict.verdict for verdict in verdicts)
    return f"{count(len(verdicts), 'pair')}: " + ", ".join(
        f"{numbers[name]} {name}" for name in VERDICTS if numbers[name]
    )


def title(verdict: Verdict) -> str:
    """``web -> db1 (192.0.2.10:5432)``."""
    where = f"[{verdict.address}]" if ":" in verdict.address and verdict.port else verdict.address
    address = f"{where}:{verdict.port}" if verdict.port else where
    shown = "" if address == verdict.destination else f" ({address})"
    return clean(f"{verdict.source} -> {verdict.destination}{shown}")


def _pair(verdict: Verdict, columns: int) -> Iterator[Line]:
    yield "", None
    yield fit(title(verdict), columns), None
    colour = COLOURS[verdict.verdict]
    for line in _wrapped(verdict.sentence, columns, _INDENT):
        yield line, colour
    for layer in verdict.layers:
        head = f"{_INDENT}layer {layer.name:<3}  {layer.state:<{_STATE}}  "
        told = "; ".join(layer.told)
        first, *more = textwrap.wrap(clean(told), columns - len(head), break_on_hyphens=False) or [""]
        for line in (head + first, *(" " * len(head) + line for line in more)):
            yield fit(line, columns).rstrip(), COLOURS[layer.state]
    for end, name in (("source", verdict.source), ("destination", verdict.destination)):
        if end in verdict.evidence:
            yield from _labelled(f"{end} {name} sees", evidence_line(verdict.evidence[end]), columns)
    for note in verdict.notes:
        yield from _labelled("besides", note, columns)
    for sentence in verdict.unseen:
        yield from _labelled("not seen", sentence, columns)
    if verdict.advice:
        yield from _labelled("do", verdict.advice[0], columns)
    if verdict.command:
        # To be copied: never wrapped.
        yield f"{_INDENT}next, on {clean(verdict.where)}: {clean(verdict.command)}", None


def _labelled(label: str, text: str, columns: int) -> Iterator[Line]:
    for line in _wrapped(f"{label}: {text}", columns, _INDENT, _INDENT * 2):
        yield line, None


def _wrapped(text: str, columns: int, first: str, later: str | None = None) -> list[str]:
    indent = first if later is None else later
    lines = textwrap.wrap(clean(text), columns, initial_indent=first, subsequent_indent=indent, break_on_hyphens=False)
    return [fit(line, columns) for line in lines]


def _rest(verdicts: Sequence[Verdict], columns: int, room: int) -> Iterator[Line]:
    for verdict in verdicts[: room - 1]:
        yield (
            fit(f"{verdict.verdict:<{_STATE}}  {title(verdict)}: {clean(verdict.sentence)}", columns),
            COLOURS[verdict.verdict],
        )
    left = len(verdicts) - (room - 1)
    if left > 0:
        yield f"... and {count(left, 'more pair')}: see the report", None
