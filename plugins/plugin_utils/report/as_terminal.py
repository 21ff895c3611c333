# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short table at the end of an audit. Private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Row
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Changes
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.alike import alike, shared
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import (
    SEVERITIES,
    VERDICTS,
    clean,
    count,
    fit,
    named,
    pad,
    width,
    wrapped,
)

Line = tuple[str, str | None]
"""A line and the colour it is shown in."""

COLOURS = {"critical": "red", "warning": "yellow", "unreachable": "bright red", "ok": "green", "info": None}
_VERDICT = max(map(len, VERDICTS))
_CAUSES = 10
_ROOM_FOR_COMMON = 12
_UNSEEN = 3
_LEAST = 8
_OF_HOSTS = ("appeared", "vanished", "lost")
# Below so many columns hosts stand on a line of their own.
_WIDE = 60
_ORDER = ("critical", "warning", "unreachable", "info", "ok")
# As much as there is room for: for which severities it is told what to do, and whether it is one line for each finding.
_DETAIL: tuple[tuple[Sequence[str], bool], ...] = ((SEVERITIES, False), (("critical",), False), ((), False), ((), True))


def table(fleet: Fleet, columns: int, lines: int) -> Iterator[Line]:
    """The worst of *fleet* in at most *lines* lines (never less than eight), none wider than *columns*.

    Every finding with its words, hosts and advice where there is room, else what is most common and the worst hosts.
    """
    for line, colour in _lines(fleet, columns, lines):
        yield fit(line, columns), colour


def _lines(fleet: Fleet, columns: int, lines: int) -> Iterator[Line]:
    yield headline(fleet), COLOURS[fleet.verdict]
    if not fleet.hosts:
        return
    unseen = [*_together(fleet, columns), *_unseen(fleet, columns)][: max(0, lines - _LEAST)]
    yield from unseen
    yield "", None
    yield from _rows(fleet, columns, max(5, lines - 3 - len(unseen)))


class _Group(NamedTuple):
    """What some hosts have in common."""

    verdict: str
    hosts: list[str]
    told: str
    advice: str

    @property
    def label(self) -> str:
        return self.hosts[0] if len(self.hosts) == 1 else count(len(self.hosts), "host")


def _rows(fleet: Fleet, columns: int, room: int) -> Iterator[Line]:
    groups = sorted(_groups(fleet), key=lambda group: (_ORDER.index(group.verdict), -len(group.hosts)))
    for advised, brief in _DETAIL:
        whole = list(_every_finding(groups, columns, advised, brief))
        if len(whole) <= room:
            yield from whole
            return
    if len(fleet.hosts) == 1:
        yield from whole[: room - 1]
        yield "... see the report for more", None
        return
    if room >= _ROOM_FOR_COMMON:
        common = list(_common(fleet, columns))[: room // 2]
        yield from common
        yield "", None
        room -= len(common) + 1
    yield from _worst_hosts(fleet, columns, room)


def _together(fleet: Fleet, columns: int) -> Iterator[Line]:
    """What only all hosts together tell: the worst in a few lines, of the rest how much there is."""
    view = fleet.joined
    if view.changes.since is not None:
        yield f"Since {clean(view.changes.since)}: {changed(view.changes)}", None
    for finding in view.findings[:1]:
        more = f" (+{view.findings_total - 1})" if view.findings_total > 1 else ""
        text = f"Several hosts, one problem{more}: {clean(finding.title)}"
        for number, line in enumerate(wrapped(text, columns - 2)):
            yield (line if not number else f"  {line}"), COLOURS[finding.severity]
    odd = [row for row in view.outliers if row.severity != "info"]
    for row in odd[:1]:
        more = f" (+{len(odd) - 1})" if len(odd) > 1 else ""
        yield f"Unlike its peers{more}: {clean(row.title)}", COLOURS[row.severity]


def changed(changes: Changes) -> str:
    """``3 new, 1 gone, 2 hosts appeared``: findings by what became of them, then hosts."""
    totals = {kind: number for kind, number in changes.totals.items() if number}
    told = [
        f"{count(totals[kind], 'host')} {kind}" if kind in _OF_HOSTS else f"{totals[kind]} {kind}" for kind in totals
    ]
    return ", ".join(told) or "nothing has changed"


def _unseen(fleet: Fleet, columns: int) -> Iterator[Line]:
    """What could not be looked at: in full for one host, else on how many."""
    if len(fleet.hosts) > 1:
        partly = sum(1 for host in fleet.hosts if host.unseen)
        if partly:
            yield f"Not everything could be seen on {count(partly, 'host')}: the report tells what and why.", None
        return
    for sentence in fleet.hosts[0].unseen[:_UNSEEN]:
        for number, line in enumerate(wrapped(f"not seen: {clean(sentence)}", columns - 2)):
            yield (line if not number else f"  {line}"), None


def headline(fleet: Fleet) -> str:
    """``12 hosts: 1 critical, 2 warning, 9 ok``."""
    return f"{count(len(fleet.hosts), 'host')}: {tally(fleet.verdicts)}"


def tally(verdicts: Mapping[str, int]) -> str:
    """``1 critical, 2 warning``."""
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items() if number) or "none was looked at"


def _every_finding(groups: Sequence[_Group], columns: int, advised: Sequence[str], brief: bool) -> Iterator[Line]:
    """Each finding, once for all hosts that have it.

    :param advised: the severities for which it is told what to do.
    :param brief: one line for each finding.
    """
    names = _name_width([group.label for group in groups], columns)
    indent = " " * (_VERDICT + names + 4 if columns >= _WIDE else 2)
    room = max(_LEAST, columns - len(indent))
    if columns >= _WIDE:
        yield _row("VERDICT", "HOST", "FINDING", names), None
    for group in groups:
        colour = COLOURS[group.verdict]
        told = [fit(group.told, room)] if brief else wrapped(group.told, room)
        if columns >= _WIDE:
            yield _row(group.verdict, group.label, told.pop(0), names), colour
        else:
            yield f"{group.verdict}: {clean(group.label)}" + (f": {told[0]}" if brief else ""), colour
        if brief:
            continue
        for line in told:
            yield indent + line, colour
        if len(group.hosts) > 1 and group.verdict != "ok":
            yield indent + named(group.hosts, room), None
        if group.verdict in advised and group.advice:
            for line in wrapped(f"do: {clean(group.advice)}", room):
                yield indent + line, None


def _groups(fleet: Fleet) -> Iterator[_Group]:
    """Findings that differ in numbers at most, in the order of the worst host; then hosts without findings."""
    found: dict[tuple[str, ...], list[Row]] = {}
    others: dict[tuple[str, str], list[str]] = {}
    for host in fleet.hosts:
        for finding in host.findings:
            found.setdefault(alike(finding), []).append((host.name, finding))
        if not host.findings:
            others.setdefault((host.verdict, clean(host.error or "nothing found")), []).append(host.name)
    for rows in found.values():
        hosts = list(dict.fromkeys(name for name, __ in rows))
        advice = shared(str((finding.get("advice") or [""])[0]) for __, finding in rows)
        yield _Group(rows[0][1]["severity"], hosts, shared(_told(finding) for __, finding in rows), advice)
    for (verdict, told), names in others.items():
        yield _Group(verdict, names, told, "")


def _common(fleet: Fleet, columns: int) -> Iterator[Line]:
    """Each kind of finding in one line: on how many hosts."""
    yield _row("VERDICT", "HOSTS", "FINDING", len("HOSTS")), None
    for cause in fleet.causes[:_CAUSES]:
        severity = cause.worst["severity"]
        told = clean(f"{cause.label}: {cause.worst['title']}" if len(cause.rows) == 1 else cause.label)
        yield _row(severity, str(len(cause.hosts)), told, len("HOSTS")), COLOURS[severity]
    if len(fleet.causes) > _CAUSES:
        yield f"... see the report for {len(fleet.causes) - _CAUSES} more kinds of finding", None


def _worst_hosts(fleet: Fleet, columns: int, room: int) -> Iterator[Line]:
    """Each host in one line: the worst that it has. Then what is left."""
    shown = fleet.hosts[: room - 2]
    names = _name_width([host.name for host in shown], columns)
    yield _row("VERDICT", "HOST", "WORST FINDING", names), None
    for host in shown:
        told = host.error or "nothing found"
        if host.findings:
            more = f" (+{len(host.findings) - 1})" if len(host.findings) > 1 else ""
            told = _told(host.findings[0]) + more
        yield _row(host.verdict, host.name, told, names), COLOURS[host.verdict]
    left = sum(max(0, len(host.findings) - 1) for host in shown)
    hidden = Counter(host.verdict for host in fleet.hosts[len(shown) :])
    parts = [count(left, "more finding")] if left else []
    parts += [f"{hidden[verdict]} {verdict}" for verdict in VERDICTS if hidden[verdict]]
    yield f"... see the report for {', '.join(parts)}", None


def _row(verdict: str, name: str, told: str, names: int) -> str:
    return f"{verdict:<{_VERDICT}}  {pad(clean(name), names)}  {clean(told)}".rstrip()


def _name_width(names: Sequence[str], columns: int) -> int:
    widest = max(width(clean(name)) for name in names)
    return max(len("HOST"), min(widest, columns // 3))


def _told(finding: Finding) -> str:
    """What was found; with its subject, where the title does not name it."""
    title, subject = clean(finding["title"]), clean(finding.get("subject") or "")
    return title if subject in title or subject == "host" else f"{title} [{subject}]"
