# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a report says in one sentence, and where to begin. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Cause, Fleet, severity_rank
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.alike import titles, variants
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS, count

_STEPS = 3


class Step(NamedTuple):
    """One of the few things to begin with.

    :ivar advice: the first thing to do; empty where the rule has none.
    """

    cause: Cause
    title: str
    advice: str


def verdict(fleet: Fleet) -> str:
    """The state of the fleet: ``Traffic suffers now on 4 of 6 hosts. 1 more host needs a look.``"""
    total, number = len(fleet.hosts), fleet.verdicts
    if not total:
        return "No host was looked at."
    if total == number["unreachable"]:
        return "No host could be looked at." if total > 1 else "The host could not be looked at."
    told = _state(total, number)
    if number["unreachable"]:
        told += f" {count(number['unreachable'], 'host')} could not be looked at."
    return told


def _state(total: int, number: Mapping[str, int]) -> str:
    if number["critical"]:
        if total == 1:
            return "Traffic suffers now on this host."
        more, needs = number["warning"], "needs" if number["warning"] == 1 else "need"
        told = f"Traffic suffers now on {number['critical']} of {total} hosts."
        return f"{told} {count(more, 'more host').replace('more hosts', 'more')} {needs} a look." if more else told
    if number["warning"]:
        if total == 1:
            return "No traffic suffers now, but somebody should look at this host."
        return f"No traffic suffers now, but somebody should look at {number['warning']} of {total} hosts."
    return "Nothing is wrong on this host." if total == 1 else f"Nothing is wrong on {number['ok']} of {total} hosts."


def first(fleet: Fleet) -> list[Step]:
    """Where to begin: of what is worst the lowest layer, as what is below explains what is above."""
    causes = [cause for cause in fleet.causes if cause.worst["severity"] != "info"]
    causes.sort(key=lambda cause: (severity_rank(cause.worst), _layer(cause), -len(cause.hosts), cause.id))
    return [_step(cause) for cause in causes[:_STEPS]]


def _layer(cause: Cause) -> int:
    layer = cause.worst.get("layer")
    return LAYERS.index(layer) if layer in LAYERS else len(LAYERS)


def _step(cause: Cause) -> Step:
    said = variants(cause.rows)[0]
    title = titles([finding for __, finding in said.rows])
    return Step(cause, title, said.advice[0] if said.advice else "")
