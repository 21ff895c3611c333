# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of many hosts that say the same, but for a process id or an address. Private to this collection."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Row

_NUMBER = re.compile(r"\d[\d.:,/]*")
_TAIL = re.compile(r"[\])}.,;:!?]*$")
_ELLIPSIS = "…"


class Said(NamedTuple):
    """What is said about some rows: once, with an ellipsis where they differ.

    :ivar refused: ``(remedy, why it does not help)``.
    """

    rows: list[Row]
    cause: str
    advice: list[str]
    refused: list[tuple[str, str]]


def variants(rows: Sequence[Row]) -> list[Said]:
    """*rows* by what is said about them, the order kept: one rule may see several causes."""
    found: dict[tuple[str, ...], list[Row]] = {}
    for row in rows:
        found.setdefault(_key(row[1]), []).append(row)
    return [_said(alike) for alike in found.values()]


def alike(finding: Finding) -> tuple[str, ...]:
    """What findings have in common that are told as one: kind, severity, and the title but for its numbers."""
    return finding["id"], finding["severity"], _blank(str(finding.get("title", "")))


def shared(texts: Iterable[str]) -> str:
    """What *texts* have in common: ``Look in worker[…]`` for ``worker[11]`` and ``worker[12]``."""
    distinct = list(dict.fromkeys(texts))
    if len(distinct) == 1:
        return distinct[0]
    words = [text.split(" ") for text in distinct]
    if len({len(row) for row in words}) > 1:
        return distinct[0]
    return " ".join(same[0] if len(set(same)) == 1 else _blurred(same) for same in zip(*words))


def titles(findings: Sequence[Finding]) -> str:
    """One title for *findings* of one rule; the first one's where they have little in common."""
    return shared(str(finding.get("title", "")) for finding in findings)


def _blurred(words: Sequence[str]) -> str:
    """Differing words: what they begin with, if that is not a part of a number, and the punctuation at their end."""
    low, high = min(words), max(words)
    same = next((at for at, char in enumerate(low) if char != high[at]), len(low))
    start = low[:same].rstrip("0123456789.:")
    tails = {_TAIL.findall(word)[0] for word in words}
    return start + _ELLIPSIS + (tails.pop() if len(tails) == 1 else "")


def _key(finding: Finding) -> tuple[str, ...]:
    return tuple(map(_blank, _sentences(finding)))


def _sentences(finding: Finding) -> list[str]:
    refused = _refused(finding)
    return [str(finding.get("cause") or ""), *_advice(finding), *(text for pair in refused for text in pair)]


@lru_cache(maxsize=4096)
def _blank(text: str) -> str:
    return _NUMBER.sub("#", text)


def _said(rows: list[Row]) -> Said:
    findings = [finding for __, finding in rows]
    cause = shared(str(finding.get("cause") or "") for finding in findings)
    advice = [shared(texts) for texts in zip(*map(_advice, findings))]
    refused = [(pairs[0][0], shared(why for __, why in pairs)) for pairs in zip(*map(_refused, findings))]
    return Said(rows, cause, advice, refused)


def _advice(finding: Finding) -> list[str]:
    return [str(text) for text in finding.get("advice") or ()]


def _refused(finding: Finding) -> list[tuple[str, str]]:
    rows: Iterable[Mapping[str, Any]] = finding.get("refused") or ()
    return [(str(row.get("remedy", "")), str(row.get("why", ""))) for row in rows]
