# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few formulas that rules and filters share. Private to this collection."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

# Far above 64 bits, and so low that no formula leaves the range of a float.
LIMIT = 1e30
_Z95 = 1.959964  # two-sided 95 % quantile of the normal distribution


def is_number(value: Any) -> bool:
    """Whether *value* is a number that can be reckoned with; a boolean is none, nor is what no collector makes."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and -LIMIT < value < LIMIT


def positive(name: str, value: Any) -> float:
    """*value* as a number; a text that is one counts, since templates make texts of numbers.

    :raises ValueError: it is none, or not above 0.
    """
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = math.nan
    if isinstance(value, bool) or not 0 < number < math.inf:
        raise ValueError(f"{name}: {value!r} is not accepted; give a number above 0")
    return number


def ratio(part: float, whole: float) -> float | None:
    """*part* ÷ *whole*; ``None`` where *whole* is 0."""
    return part / whole if whole else None


def total(values: Iterable[Any]) -> float | None:
    """The sum of what is a number; ``None`` where nothing is."""
    known = [value for value in values if is_number(value)]
    return sum(known) if known else None


def peak(values: Iterable[Any]) -> float | None:
    """The largest of what is a number; ``None`` where nothing is."""
    return max(filter(is_number, values), default=None)


def lower_bound(events: float, trials: float) -> float | None:
    """The share of *events* that *trials* prove with 95 % confidence (Wilson's lower bound).

    ``None`` where there are no trials, or more events than trials: then it is no share.
    """
    if trials <= 0 or not 0 <= events <= trials:
        return None
    share, square = events / trials, _Z95 * _Z95
    centre = share + square / (2 * trials)
    spread = _Z95 * math.sqrt(share * (1 - share) / trials + square / (4 * trials * trials))
    return max(0.0, (centre - spread) / (1 + square / trials))


def bdp_bytes(rtt_ms: float, bandwidth_mbps: float) -> int:
    """How many bytes are under way when a path is full: round-trip time by bandwidth."""
    return math.ceil(rtt_ms * bandwidth_mbps * 125)


def keepalive_detection_s(time_s: float, interval_s: float, probes: float) -> float:
    """Seconds of silence until the kernel gives up an idle connection: tcp(7), ``TCP_KEEPIDLE`` and following."""
    return time_s + interval_s * probes
