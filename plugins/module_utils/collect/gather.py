# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the subsets and puts their facts together. Private to this collection."""

from __future__ import annotations

import struct
import time
from typing import Any, Callable, Dict, NamedTuple, Protocol

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

Facts = Dict[str, Any]


class Window(NamedTuple):
    """How the facts are wanted.

    :ivar seconds: measured time between the two samples; ``None`` where only one was taken.
    :ivar top: how many rows a list may have.
    """

    seconds: float | None
    top: int


class Subset(Protocol):
    """What a module of this package offers.

    A subset may also offer ``baseline``: a cheaper first sample, for what only the last one is asked for.
    ``sample`` asks the kernel and keeps what it said; ``facts`` makes facts of the last sample and,
    where there is one, the first. Both raise :class:`Unavailable` with the reason.
    """

    def sample(self, host: Host) -> Any:
        """What the kernel says now."""

    def facts(self, host: Host, before: Any | None, now: Any, window: Window) -> Facts:
        """What that means, and what has changed since *before*."""


class _Taken(NamedTuple):
    at: float
    sample: Any
    why: str | None


# Damaged kernel data may break a parser in these ways; one subset's damage must not cost the others.
_DAMAGE = (Unavailable, OSError, ValueError, LookupError, struct.error)


def gather(host: Host, subsets: dict[str, Subset], interval: float, top: int) -> Facts:
    """Facts of *subsets*, each from two samples *interval* seconds apart (from one where it is 0)."""
    before: dict[str, _Taken] = {}
    if interval > 0:
        started = time.monotonic()
        before = {
            name: _take(host, name, getattr(subset, "baseline", subset.sample)) for name, subset in subsets.items()
        }
        time.sleep(max(0.0, interval - (time.monotonic() - started)))
    return {name: _facts(host, name, subset, before.get(name), top) for name, subset in subsets.items()}


def _take(host: Host, name: str, sample: Callable[[Host], Any]) -> _Taken:
    try:
        return _Taken(time.monotonic(), sample(host), None)
    except _DAMAGE as error:
        return _Taken(time.monotonic(), None, why(error, name))


def _facts(host: Host, name: str, subset: Subset, before: _Taken | None, top: int) -> Facts:
    now = _take(host, name, subset.sample)
    if now.why is not None:
        return unavailable(now.why)
    first = before.sample if before is not None and before.why is None else None
    seconds = now.at - before.at if before is not None and first is not None else None
    try:
        return subset.facts(host, first, now.sample, Window(seconds, top))
    except _DAMAGE as error:
        return unavailable(why(error, name))


def unavailable(reason: str) -> Facts:
    """What stands in the place of a subset that cannot be had."""
    return {"available": False, "why": reason, "limited": []}
