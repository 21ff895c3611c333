# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.md: the report for a ticket, a chat or a pager. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterator

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence_line
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count

# Whatever means something to CommonMark, GFM or raw HTML in the middle of a line: host text never begins one.
_SPECIAL = re.compile(r"[\\`*{}\[\]|~<>&]|(?<!\w)_|_(?!\w)")
_HTML = {"<": "&lt;", ">": "&gt;", "&": "&amp;"}
_TICKS = re.compile("`+")
# Of so many healthy hosts it is told what could not be seen; of all others report.html tells it.
_DETAILED = 20


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
    for cause in fleet.causes:
        worst = cause.worst
        yield f"| {worst['severity']} | {worst['layer']} | {text(cause.label)} | {len(cause.hosts)} |"
    for host in fleet.hosts:
        if host.verdict != "ok" or host.findings:
            yield from _host(host)
    healthy = [host for host in fleet.hosts if host.verdict == "ok" and not host.findings]
    if healthy:
        yield ""
        yield f"## {count(len(healthy), 'host')} without findings"
        yield ""
        yield "Hosts: " + ", ".join(text(host.name) for host in healthy)
        for host in healthy[:_DETAILED]:
            yield from _unseen(host, f"{text(host.name)}: ")


def _host(host: Host) -> Iterator[str]:
    yield ""
    yield f"## Host {text(host.name)}: {host.verdict}"
    if host.error is not None:
        yield ""
        yield f"Not looked at: {text(host.error)}"
    for finding in host.findings:
        yield from _finding(finding)
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
