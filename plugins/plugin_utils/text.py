# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Text from hosts, made safe and readable for people. Private to this collection.

Names of processes, interfaces and units are chosen by whoever runs them, so nothing here trusts a character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Sequence

SEVERITIES = ("critical", "warning", "info")
VERDICTS = ("critical", "warning", "unreachable", "ok")
# What may be asked for as fail_on, and the verdicts that fail then. What could not be looked at must not pass.
FAILING: dict[str, tuple[str, ...]] = {
    "critical": ("critical", "unreachable"),
    "warning": ("critical", "unreachable", "warning"),
    "never": (),
}
LAYERS = ("1/2", "3", "4", "7")

_SPACES = dict.fromkeys(map(ord, "\t\n\v\f\r\x85\xa0\u2028\u2029"), " ")


def clean(value: object) -> str:
    """*value* on one line, without a character that moves a cursor, hides, or turns the writing direction.

    Control, format, bidirectional and unassigned characters and lone surrogates become visible escapes (``\\x1b``).
    """
    text = str(value)
    if text.isprintable():
        return text
    text = text.translate(_SPACES)
    return "".join(char if char.isprintable() else _escape(ord(char)) for char in text)


def _escape(code: int) -> str:
    if code <= 0xFF:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"


def sentence(value: object, limit: int = 300) -> str:
    """*value* as one cleaned line of at most *limit* characters."""
    text = " ".join(clean(value).split())
    return text if len(text) <= limit else text[: limit - 1].rstrip() + "…"


def width(text: str) -> int:
    """How many terminal columns *text* takes."""
    if text.isascii():
        return len(text)
    return sum(map(_columns, text))


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def fit(text: str, columns: int) -> str:
    """*text*, cut with an ellipsis where it takes more than *columns*."""
    return text if width(text) <= columns else cut(text, columns - 1).rstrip() + "…"


def pad(text: str, columns: int) -> str:
    """*text* cut or filled up to exactly *columns*."""
    text = fit(text, columns)
    return text + " " * (columns - width(text))


def wrapped(text: str, columns: int) -> list[str]:
    """*text* in lines of at most *columns*, broken between words where that is possible; one line at least."""
    lines, line = [], ""
    for word in text.split():
        if line and width(line) + 1 + width(word) > columns:
            lines.append(line)
            line = ""
        while width(word) > columns:
            head = cut(word, columns) or word[0]
            lines.append(head)
            word = word[len(head) :]
        line = f"{line} {word}".strip()
    return [*lines, line] if line or not lines else lines


def cut(text: str, columns: int) -> str:
    """As much of the beginning of *text* as takes at most *columns*."""
    used = 0
    for number, char in enumerate(text):
        used += _columns(char)
        if used > columns:
            return text[:number]
    return text


def named(names: Sequence[str], columns: int) -> str:
    """``on web1, web2 and 7 more``: as many names as there is room for, one at least."""
    shown = "on " + clean(names[0])
    for number in range(2, len(names) + 1):
        left = len(names) - number
        longer = shown + ", " + clean(names[number - 1])
        if width(longer + (f" and {left} more" if left else "")) > columns:
            return fit(shown, columns - len(f" and {left + 1} more")) + f" and {left + 1} more"
        shown = longer
    return fit(shown, columns)


def count(number: int, noun: str) -> str:
    """``1 host``, ``2 hosts``."""
    return f"{number} {noun}" + ("" if number == 1 else "s")
