# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The matrix of a mesh on the terminal. Private to this collection."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import Culprit
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.matrix import Cell, Mesh
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_terminal import COLOURS, tally
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count, fit, pad, width

Line = tuple[str, str | None]
"""A line and the colour it is shown in."""

_CELL = 7
_VERDICT = len("unreachable")
_NARROWEST = 40
KEY = "Median round trip in ms; % lost; none: no answer; mtu: large packets vanish."


def table(mesh: Mesh, found: Sequence[Culprit], columns: int, lines: int) -> Iterator[Line]:
    """Who is to blame, then the whole matrix where it fits into *columns* and *lines*, else the worst pairs."""
    columns = max(columns, _NARROWEST)
    yield headline(mesh), COLOURS[worst(mesh)]
    room = max(lines - 6, 6)
    blamed = list(_blamed(found, columns))
    if len(blamed) > room // 2:
        blamed = [*blamed[: room // 2 - 1], (f"... and more: {len(found)} in all, see the report", None)]
    yield from blamed
    left = list(mesh.errors.items())
    for name, why in left[:3]:
        yield fit(f"not asked: {clean(name)}: {clean(why)}", columns), COLOURS["unreachable"]
    room -= len(blamed)
    yield "", None
    names = max(map(width, map(clean, mesh.hosts)), default=4)
    number = len(str(len(mesh.hosts)))
    label = min(names, columns // 3)
    if number + 1 + label + _CELL * len(mesh.hosts) <= columns and len(mesh.hosts) + 2 <= max(room, 12):
        yield from _matrix(mesh, number, label, columns)
    else:
        yield from _worst_pairs(mesh, columns, max(room, 6))


def headline(mesh: Mesh) -> str:
    """``4 hosts, 12 pairs: 6 critical, 6 ok``."""
    measured = len(mesh.pairs)
    of = f" of {mesh.possible}" if measured < mesh.possible else ""
    return f"{count(len(mesh.hosts), 'host')}, {measured}{of} pairs: {tally(mesh.verdicts)}"


def worst(mesh: Mesh) -> str:
    """The worst verdict on a pair; a mesh without any pair was not looked at."""
    return next((verdict for verdict, number in mesh.verdicts.items() if number), "unreachable")


def _blamed(found: Sequence[Culprit], columns: int) -> Iterator[Line]:
    for culprit in found:
        yield from _wrapped(f"{culprit.severity:<8}  ", culprit.title, columns, COLOURS[culprit.severity])
        yield from _wrapped(" " * 10, f"do: {culprit.advice}", columns, None)


def _wrapped(head: str, text: str, columns: int, colour: str | None) -> Iterator[Line]:
    first, *more = textwrap.wrap(clean(text), columns - len(head), break_on_hyphens=False) or [""]
    for line in (head + first, *(" " * len(head) + line for line in more)):
        yield fit(line, columns), colour


def _matrix(mesh: Mesh, number: int, label: int, columns: int) -> Iterator[Line]:
    pairs = mesh.pairs
    heads = "".join(f"{place:>{_CELL}}" for place in range(1, len(mesh.hosts) + 1))
    yield " " * (number + 1 + label) + heads, None
    for place, source in enumerate(mesh.hosts, 1):
        cells = [(pairs.get((source, destination)), source == destination) for destination in mesh.hosts]
        row = f"{place:>{number}} {pad(clean(source), label)}" + "".join(f"{short(*each):>{_CELL}}" for each in cells)
        bad = [cell.verdict for cell, __ in cells if cell is not None and cell.bad]
        worst = next((verdict for verdict in ("critical", "unreachable", "warning") if verdict in bad), None)
        yield row.rstrip(), COLOURS[worst] if worst else None
    yield fit(KEY, columns), None


def short(cell: Cell | None, itself: bool = False) -> str:
    """One cell in at most six characters."""
    if itself:
        return "-"
    if cell is None:
        return ""
    if cell.verdict == "unreachable":
        return "none"
    if cell.black_hole:
        return "mtu"
    if cell.loss:
        return f"{cell.loss * 100:.3g}%"
    if cell.median_ms is None:
        return "?"
    return f"{cell.median_ms:.2f}" if cell.median_ms < 100 else f"{cell.median_ms:.0f}"


def _worst_pairs(mesh: Mesh, columns: int, room: int) -> Iterator[Line]:
    cells = mesh.cells[: room - 1]
    name = max(10, (columns - _VERDICT - 2 - 4 * 9) // 2 - 1)
    yield _line("VERDICT", "FROM", "TO", ("LOSS", "MEDIAN", "MAX", "MTU"), name), None
    for cell in cells:
        figures = (
            "" if cell.loss is None else f"{cell.loss * 100:.3g} %",
            "" if cell.median_ms is None else f"{cell.median_ms:.4g}",
            "" if cell.max_ms is None else f"{cell.max_ms:.4g}",
            "" if cell.path_mtu is None else str(cell.path_mtu),
        )
        yield _line(cell.verdict, clean(cell.source), clean(cell.destination), figures, name), COLOURS[cell.verdict]
    if len(mesh.cells) > len(cells):
        yield f"... and {count(len(mesh.cells) - len(cells), 'more way')}: see the report", None


def _line(verdict: str, source: str, destination: str, figures: Sequence[str], name: int) -> str:
    right = "".join(f"{each:>9}" for each in figures)
    return f"{verdict:<{_VERDICT}}  {pad(source, name)} {pad(destination, name)}{right}".rstrip()
