# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Single values of facts, of whatever shape, as the page shows them. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import count, counts, percent
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence

Row = Mapping[str, Any]
_CELL = 120
_WHOLE = 1000  # from here on decimals tell nothing
_DAY_S = 86400
_HOUR_S = 3600


def at(value: Any, path: str) -> Any:
    """What is at the dotted *path* in *value*, ``None`` where nothing is."""
    for key in path.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def cell(value: Any) -> str:
    """*value* as one short line."""
    return "" if value is None else sentence(value, _CELL)


def listed(value: Any) -> list[Any]:
    """*value* if it is a list, else none."""
    return value if isinstance(value, list) else []


def joined(values: Any, tell: Callable[[Any], Any]) -> str:
    """The first three of *values*, and how many more there are."""
    told = [tell(value) for value in listed(values)]
    shown = ", ".join(str(text) for text in told[:3] if text)
    return f"{shown} +{len(told) - 3}" if len(told) > 3 else shown


def number(value: Any, unit: str = "") -> str | None:
    """``1 200 Mbit/s``."""
    if not is_number(value):
        return None
    written = count(value) if isinstance(value, int) or abs(value) >= _WHOLE else f"{value:.3g}"
    return f"{written} {unit}".rstrip()


def portion(value: Any) -> str | None:
    """``2.5 %`` for 0.025."""
    return percent(value) if is_number(value) else None


def counted(value: Any) -> str | None:
    """``established 3, time_wait 1``."""
    return counts(value) if isinstance(value, Mapping) and value else None


def share(part: Any, whole: Any) -> str | None:
    """``3 of 4 (75 %)``."""
    first, second = number(part), number(whole)
    if first is None or second is None:
        return first
    return f"{first} of {second}" + (f" ({percent(part / whole)})" if whole else "")


def spread(value: Any) -> str | None:
    """A distribution in milliseconds."""
    median, high = number(at(value, "median"), "ms"), number(at(value, "p95"), "ms")
    return None if median is None else f"median {median}, 95th percentile {high}"


def duration(seconds: Any) -> str | None:
    """Seconds in the unit that people use for so many."""
    if not is_number(seconds):
        return None
    if seconds >= 2 * _DAY_S:
        return f"{seconds / _DAY_S:.0f} days"
    return f"{seconds / _HOUR_S:.1f} hours" if seconds >= 2 * _HOUR_S else f"{seconds / 60:.0f} minutes"
