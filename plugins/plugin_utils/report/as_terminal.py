# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The short table at the end of an audit. Private to this collection."""

from __future__ import annotations

import textwrap
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Changes
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import VERDICTS, clean, count, fit, pad, width

Line = tuple[str, str | None]
"""A line and the colour it is shown in."""

COLOURS = {"critical": "red", "warning": "yellow", "unreachable": "bright red", "ok": "green", "info": None}
_VERDICT = max(map(len, VERDICTS))
_CAUSES = 10
_ROOM_FOR_COMMON = 12
_UNSEEN = 3
_LEAST = 8
_OF_HOSTS = ("appeared", "vanished", "lost")


def table(fleet: Fleet, columns: int, lines: int) -> Iterator[Line]:
    """The worst of *fleet* in at most *lines* lines (never less than eight), none wider than *columns*.

    Every finding with its evidence where there is room for it, else what is most common and the worst hosts.
    """
    yield headline(fleet), COLOURS[fleet.verdict]
    if not fleet.hosts:
        return
    unseen = [*_together(fleet, columns), *_unseen(fleet, columns)][: max(0, lines - _LEAST)]
    yield from unseen
    yield "", None
    yield from _rows(fleet, columns, max(5, lines - 3 - len(unseen)))


def _rows(fleet: Fleet, columns: int, room: int) -> Iterator[Line]:
    for detailed in (True, False):
        whole = list(_every_finding(fleet, columns, detailed))
        if len(whole) <= room:
            yield from whole
            return
    if len(fleet.hosts) == 1:
        yield from whole[: room - 1]
        yield "... and more: see the report", None
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
        yield fit(f"Since {clean(view.changes.since)}: {changed(view.changes)}", columns), None
    for finding in view.findings[:1]:
        more = f" (+{view.findings_total - 1})" if view.findings_total > 1 else ""
        text = f"Several hosts, one problem{more}: {clean(finding.title)}"
        for number, line in enumerate(textwrap.wrap(text, columns - 2)):
            yield fit(line if not number else f"  {line}", columns), COLOURS[finding.severity]
    odd = [row for row in view.outliers if row.severity != "info"]
    for row in odd[:1]:
        more = f" (+{len(odd) - 1})" if len(odd) > 1 else ""
        yield fit(f"Unlike its peers{more}: {clean(row.title)}", columns), COLOURS[row.severity]


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
            yield (
                fit(
                    f"Not everything could be seen on {count(partly, 'host')}: the report tells what and why.", columns
                ),
                None,
            )
        return
    for sentence in fleet.hosts[0].unseen[:_UNSEEN]:
        for number, line in enumerate(textwrap.wrap(f"not seen: {clean(sentence)}", columns - 2)):
            yield fit(line if not number else f"  {line}", columns), None


def headline(fleet: Fleet) -> str:
    """``12 hosts: 1 critical, 2 warning, 9 ok``."""
    return f"{count(len(fleet.hosts), 'host')}: {tally(fleet.verdicts)}"


def tally(verdicts: Mapping[str, int]) -> str:
    """``1 critical, 2 warning``."""
    return ", ".join(f"{number} {verdict}" for verdict, number in verdicts.items() if number) or "none was looked at"


def _every_finding(fleet: Fleet, columns: int, detailed: bool) -> Iterator[Line]:
    """Each finding with all its words, and what to do about it where *detailed*."""
    names = _name_width(fleet.hosts, columns)
    indent = " " * (_VERDICT + names + 4)
    yield _row("VERDICT", "HOST", "FINDING", names, columns), None
    for host in fleet.hosts:
        told = [(finding["severity"], _told(finding), finding.get("advice")) for finding in host.findings]
        for verdict, text, advice in told or [(host.verdict, clean(host.error or "nothing found"), None)]:
            first, *more = textwrap.wrap(text, columns - len(indent)) or [""]
            yield _row(verdict, host.name, first, names, columns), COLOURS[verdict]
            for line in more:
                yield fit(indent + line, columns), COLOURS[verdict]
            if detailed and advice:
                for line in textwrap.wrap(f"do: {clean(advice[0])}", columns - len(indent)):
                    yield fit(indent + line, columns), None


def _common(fleet: Fleet, columns: int) -> Iterator[Line]:
    """Each kind of finding in one line: on how many hosts."""
    yield _row("VERDICT", "HOSTS", "FINDING", len("HOSTS"), columns), None
    for cause in fleet.causes[:_CAUSES]:
        severity = cause.worst["severity"]
        told = clean(f"{cause.label}: {cause.worst['title']}" if len(cause.rows) == 1 else cause.label)
        yield _row(severity, str(len(cause.hosts)), told, len("HOSTS"), columns), COLOURS[severity]
    if len(fleet.causes) > _CAUSES:
        yield f"... and {len(fleet.causes) - _CAUSES} more kinds of finding: see the report", None


def _worst_hosts(fleet: Fleet, columns: int, room: int) -> Iterator[Line]:
    """Each host in one line: the worst that it has. Then what is left."""
    shown = fleet.hosts[: room - 2]
    names = _name_width(shown, columns)
    yield _row("VERDICT", "HOST", "WORST FINDING", names, columns), None
    for host in shown:
        told = host.error or "nothing found"
        if host.findings:
            more = f" (+{len(host.findings) - 1})" if len(host.findings) > 1 else ""
            told = _told(host.findings[0]) + more
        yield _row(host.verdict, host.name, told, names, columns), COLOURS[host.verdict]
    left = sum(max(0, len(host.findings) - 1) for host in shown)
    hidden = Counter(host.verdict for host in fleet.hosts[len(shown) :])
    parts = [count(left, "more finding")] if left else []
    parts += [f"{hidden[verdict]} {verdict}" for verdict in VERDICTS if hidden[verdict]]
    yield f"... and {', '.join(parts)}: see the report", None


def _row(verdict: str, name: str, told: str, names: int, columns: int) -> str:
    row = f"{verdict:<{_VERDICT}}  {pad(clean(name), names)}  {clean(told)}"
    return fit(row, columns).rstrip()


def _name_width(hosts: Sequence[Host], columns: int) -> int:
    widest = max(width(clean(host.name)) for host in hosts)
    return max(len("HOST"), min(widest, columns // 3))


def _told(finding: Finding) -> str:
    """What was found; with its subject, where the title does not name it."""
    title, subject = clean(finding["title"]), clean(finding.get("subject") or "")
    return title if subject in title or subject == "host" else f"{title} [{subject}]"
