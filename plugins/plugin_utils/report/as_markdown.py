# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.md: the report for a ticket, a chat or a pager. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Changes, Joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_terminal import changed
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence_line
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count

# Whatever means something to CommonMark, GFM or raw HTML in the middle of a line: host text never begins one.
_SPECIAL = re.compile(r"[\\`*{}\[\]|~<>&]|(?<!\w)_|_(?!\w)")
_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_TICKS = re.compile("`+")
# Of so many healthy hosts it is told what could not be seen; of all others report.html tells it.
_DETAILED = 20
# A ticket or a chat takes some hundred kilobytes: so many findings are told in full, a few of each host, worst first.
_FINDINGS = 250
_FINDINGS_OF_A_HOST = 12
_LISTED = 200  # hosts that are merely named
_CAUSES = 100
_TOGETHER = 10  # rows of each part of the fleet view


def text(value: object) -> str:
    """*value* as Markdown that shows exactly its characters, also inside of a table."""
    return _SPECIAL.sub(lambda match: _HTML.get(match[0]) or "\\" + match[0], clean(value).strip())


def code(value: object) -> str:
    """*value* as a code span, whatever backticks it holds. Not for tables: there a bar would end the cell."""
    content = clean(value).strip()
    fence = "`" * (1 + max(map(len, _TICKS.findall(content)), default=0))
    return f"{fence} {content} {fence}" if "`" in content else f"{fence}{content}{fence}"


def lines(fleet: Fleet, title: str) -> Iterator[str]:
    """The document, line by line, each with its newline."""
    for line in _document(fleet, title):
        yield line + "\n"


def _document(fleet: Fleet, title: str) -> Iterator[str]:
    yield f"# {text(title)}"
    yield ""
    yield f"{fleet.generated}, nettriage.linux {fleet.version}"
    yield ""
    yield "| verdict | hosts |"
    yield "|---|---:|"
    for verdict, number in fleet.verdicts.items():
        yield f"| {verdict} | {number} |"
    if fleet.causes:
        yield ""
        yield "| severity | layer | finding | hosts |"
        yield "|---|---|---|---:|"
    for cause in fleet.causes[:_CAUSES]:
        worst = cause.worst
        yield f"| {worst['severity']} | {worst['layer']} | {text(cause.label)} | {len(cause.hosts)} |"
    yield from _more(len(fleet.causes) - _CAUSES, "more kind of finding")
    yield from _together(fleet.joined)
    yield from _hosts([host for host in fleet.hosts if host.verdict != "ok" or host.findings])
    healthy = [host for host in fleet.hosts if host.verdict == "ok" and not host.findings]
    if healthy:
        yield ""
        yield f"## {count(len(healthy), 'host')} without findings"
        yield ""
        yield _named(healthy)
        for host in healthy[:_DETAILED]:
            yield from _unseen(host, f"{text(host.name)}: ")


def _named(hosts: Sequence[Host]) -> str:
    """Hosts in one line, as many as a line may name."""
    more = len(hosts) - _LISTED
    return (
        "Hosts: " + ", ".join(text(host.name) for host in hosts[:_LISTED]) + (f" and {more} more" if more > 0 else "")
    )


def _hosts(hosts: Sequence[Host]) -> Iterator[str]:
    """Each host with its findings, until there is no more room; then the names."""
    room = _FINDINGS
    for number, host in enumerate(hosts):
        shown = min(len(host.findings), _FINDINGS_OF_A_HOST)
        if room < max(1, shown):
            left = hosts[number:]
            yield ""
            yield f"## {count(len(left), 'more host')} with findings"
            yield ""
            findings = sum(len(each.findings) for each in left)
            yield f"Left out of this file, and in report.json: {count(findings, 'finding')}"
            yield ""
            yield _named(left)
            return
        room -= max(1, shown)
        yield from _host(host)


def _more(number: int, what: str) -> Iterator[str]:
    """How much was left out; nothing where all was shown."""
    if number > 0:
        yield ""
        yield f"Left out: {count(number, what)}"


def _together(view: Joined) -> Iterator[str]:
    """What only all hosts together tell."""
    if view.findings:
        yield ""
        yield "## Several hosts, one problem"
    for problem in view.findings[:_TOGETHER]:
        yield ""
        yield f"### {problem.severity}: {text(problem.title)}"
        yield ""
        yield f"- **Where:** {text(problem.subject)}"
        yield f"- **Evidence:** {text(evidence_line(problem.evidence))}"
        for part in problem.parts[:_TOGETHER]:
            yield f"- **{'Far' if part.end == 'far' else 'Near'} end, {text(part.host)}:** {text(part.title)}"
        if problem.parts_total > _TOGETHER:
            yield f"- **Left out:** {count(problem.parts_total - _TOGETHER, 'more finding')}"
        yield f"- **Cause:** {text(problem.cause)}"
        for advice in problem.advice:
            yield f"- **Do:** {text(advice)}"
        if problem.command:
            yield f"- **See it:** {code(problem.command)}"
        yield f"- **Layer:** {text(problem.layer)}, rule {code(problem.id)}"
    yield from _more(view.findings_total - _TOGETHER, "more such problem")
    if view.outliers:
        yield ""
        yield "## Unlike their peers"
        yield ""
    for row in view.outliers[:_TOGETHER]:
        yield f"- **{row.severity}:** {text(row.title)}"
    yield from _more(view.outliers_total - _TOGETHER, "more difference")
    yield from _changes(view.changes)


def _changes(changes: Changes) -> Iterator[str]:
    """What is different since the report before; nothing where there is none."""
    if changes.since is None:
        return
    yield ""
    yield f"## Since {text(changes.since)}"
    yield ""
    yield f"Changed: {changed(changes)}"
    yield ""
    for kind, rows in (
        ("New", changes.new),
        ("Worse", changes.worse),
        ("Better", changes.better),
        ("Gone", changes.gone),
    ):
        for row in rows[:_TOGETHER]:
            yield f"- **{kind}:** {text(row.host)}: {text(row.title)}"
    for kind, names in (("Appeared", changes.appeared), ("Vanished", changes.vanished), ("Lost", changes.lost)):
        if names:
            yield f"- **{kind}:** {', '.join(map(text, names[:_TOGETHER]))}"


def _host(host: Host) -> Iterator[str]:
    yield ""
    yield f"## Host {text(host.name)}: {host.verdict}"
    if host.error is not None:
        yield ""
        yield f"Not looked at: {text(host.error)}"
    for finding in host.findings[:_FINDINGS_OF_A_HOST]:
        yield from _finding(finding)
    yield from _more(len(host.findings) - _FINDINGS_OF_A_HOST, "more finding")
    yield from _unseen(host)


def _unseen(host: Host, name: str = "") -> Iterator[str]:
    """What could not be looked at on *host*."""
    if host.unseen:
        yield ""
    for sentence in host.unseen:
        yield f"- **Not seen:** {name}{text(sentence)}"


def _finding(finding: Finding) -> Iterator[str]:
    yield ""
    yield f"### {finding['severity']}: {text(finding.get('title', ''))}"
    yield ""
    yield f"- **Where:** {text(finding.get('subject') or '')}"
    yield f"- **Evidence:** {text(evidence_line(finding.get('evidence')))}"
    yield f"- **Cause:** {text(finding.get('cause') or '')}"
    for advice in finding.get("advice") or ():
        yield f"- **Do:** {text(advice)}"
    for refused in finding.get("refused") or ():
        yield f"- **Does not help:** {text(refused.get('remedy', ''))}: {text(refused.get('why', ''))}"
    if finding.get("command"):
        yield f"- **See it:** {code(finding['command'])}"
    yield f"- **Layer:** {text(finding.get('layer', ''))}, rule {code(finding['id'])}"
