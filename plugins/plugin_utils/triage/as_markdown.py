# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""triage.md: the verdicts for a ticket. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_markdown import code, text
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import as_terminal
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import Verdict


def lines(verdicts: Sequence[Verdict], heading: str, generated: str, version: str) -> Iterator[str]:
    """The document, line by line, each with its newline."""
    for line in _document(verdicts, heading, generated, version):
        yield line + "\n"


def _document(verdicts: Sequence[Verdict], heading: str, generated: str, version: str) -> Iterator[str]:
    yield f"# {text(heading)}"
    yield ""
    yield f"{generated}, nettriage.linux {version}. {text(as_terminal.headline(verdicts))}"
    for verdict in verdicts:
        yield from _pair(verdict)


def _pair(verdict: Verdict) -> Iterator[str]:
    yield ""
    yield f"## {text(as_terminal.title(verdict))}: {verdict.verdict}"
    yield ""
    yield f"**{text(verdict.sentence)}**"
    yield ""
    yield "| layer | state | what was seen |"
    yield "|---|---|---|"
    for layer in verdict.layers:
        yield f"| {layer.name} | {layer.state} | {text('; '.join(layer.told))} |"
    if verdict.evidence:
        yield ""
    for end, name in (("source", verdict.source), ("destination", verdict.destination)):
        if end in verdict.evidence:
            told = "; ".join(f"{label} {value}".strip() for label, value in evidence(verdict.evidence[end]))
            yield f"- **The {end}, {text(name)}, sees:** {text(told)}"
    if verdict.cause:
        yield f"- **Cause:** {text(verdict.cause)}"
    for note in verdict.notes:
        yield f"- **Besides:** {text(note)}"
    for sentence in verdict.unseen:
        yield f"- **Not seen:** {text(sentence)}"
    for advice in verdict.advice:
        yield f"- **Do:** {text(advice)}"
    if verdict.command:
        yield f"- **See it, on {text(verdict.where)}:** {code(verdict.command)}"
