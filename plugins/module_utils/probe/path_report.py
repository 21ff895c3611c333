# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the probes of a path mean, hop by hop and as a whole. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_trace import Hop, Trace

# A step in latency that is worth a name: this share of the whole, and not less than this.
_STEP_SHARE = 0.5
_STEP_MS = 2.0


def figures(rtts_ms: list[float]) -> dict[str, float | None]:
    """Figures of a series of round-trip times. Jitter is the mean difference of successive ones, as mtr has it."""
    if not rtts_ms:
        return dict.fromkeys(("best", "avg", "median", "worst", "stddev", "jitter"))
    count = len(rtts_ms)
    ranked = sorted(rtts_ms)
    average = sum(rtts_ms) / count
    middle = (ranked[(count - 1) // 2] + ranked[count // 2]) / 2
    variance = sum((each - average) ** 2 for each in rtts_ms) / (count - 1) if count > 1 else 0.0
    steps = [abs(one - other) for one, other in zip(rtts_ms, rtts_ms[1:])]
    values = (ranked[0], average, middle, ranked[-1], variance**0.5, sum(steps) / len(steps) if steps else 0.0)
    return {
        name: round(value, 3) for name, value in zip(("best", "avg", "median", "worst", "stddev", "jitter"), values)
    }


def loss(hop: Hop) -> float | None:
    """The share of probes without an answer; ``None`` where the fate of none is known."""
    return round(1 - len(hop.rtts_ms) / hop.sent, 4) if hop.sent else None


def rows(trace: Trace) -> list[dict[str, Any]]:
    """The hops up to the destination, or up to the last one that said anything."""
    speaking = [number for number, hop in trace.hops.items() if hop.addresses or hop.rtts_ms]
    end = trace.end or trace.blocked or max(speaking, default=0)
    found = []
    for number in range(1, end + 1):
        hop = trace.hops.get(number, Hop())
        found.append(
            {
                "hop": number,
                "addresses": sorted(hop.addresses, key=lambda each: -hop.addresses[each]),
                "sent": hop.sent,
                "received": len(hop.rtts_ms),
                "loss": loss(hop),
                **{f"{name}_ms": value for name, value in figures(hop.rtts_ms).items()},
                "errors": hop.errors,
                "filters_probes": False,
                "rate_limited": number != trace.end and hop.rationed,
            }
        )
    _excuse(found)
    return found


def _excuse(found: list[dict[str, Any]]) -> None:
    """Mark the hops that do not answer, or not always, while what lies behind them does.

    A router sends few ICMP errors, or none, and forwards all the same: only what later hops lose too is lost.
    """
    behind: float | None = None
    for row in reversed(found):
        if row["loss"] is None:
            continue
        if behind is not None:
            row["filters_probes"] = row["loss"] == 1 > behind
            row["rate_limited"] |= not row["filters_probes"] and row["loss"] > 2 * behind
        if row["loss"] < 1:
            behind = row["loss"] if behind is None else min(behind, row["loss"])


def loss_from(found: list[dict[str, Any]]) -> dict[str, Any] | None:
    """The first hop of those, up to the last one, that all lose; ``None`` where the last one loses nothing.

    Hops that merely do not answer say nothing. One that loses less than half of what the last one does is in order:
    few probes tell a small share only roughly.
    """
    if not found or not found[-1]["loss"]:
        return None
    first = found[-1]
    for row in reversed(found[:-1]):
        if row["filters_probes"] or row["rate_limited"] or row["loss"] is None:
            continue
        if row["loss"] < found[-1]["loss"] / 2:
            break
        first = row
    return first


def latency_from(found: list[dict[str, Any]]) -> tuple[dict[str, Any], float] | None:
    """The hop at which round trips get longer by most, for all that lies behind it, and by how many ms.

    A hop may be slow to answer and yet forward at once: a later one that is faster proves it.
    """
    answering = [row for row in found if row["median_ms"] is not None]
    if not answering:
        return None
    floors: list[float] = []
    for row in reversed(answering):
        floors.append(min(row["median_ms"], floors[-1]) if floors else row["median_ms"])
    floors.reverse()
    steps = [now - before for before, now in zip([0.0, *floors], floors)]
    largest = max(range(len(steps)), key=steps.__getitem__)
    if steps[largest] < max(_STEP_MS, _STEP_SHARE * floors[-1]):
        return None
    return answering[largest], round(steps[largest], 3)
