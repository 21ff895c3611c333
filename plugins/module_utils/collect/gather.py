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


class Taken(NamedTuple):
    """A sample, when it was taken, and why there is none."""

    at: float
    sample: Any
    why: str | None


# Damaged kernel data may break a parser in these ways; one subset's damage must not cost the others.
DAMAGE = (Unavailable, OSError, ValueError, LookupError, struct.error)


def gather(host: Host, subsets: dict[str, Subset], interval: float, top: int) -> Facts:
    """Facts of *subsets*, each from two samples *interval* seconds apart (from one where it is 0)."""
    before: dict[str, Taken] = {}
    if interval > 0:
        started = time.monotonic()
        before = first(host, subsets)
        time.sleep(max(0.0, interval - (time.monotonic() - started)))
    return second(host, subsets, before, top)


def first(host: Host, subsets: dict[str, Subset]) -> dict[str, Taken]:
    """The first of two samples of each of *subsets*."""
    return {name: _take(host, name, getattr(subset, "baseline", subset.sample)) for name, subset in subsets.items()}


def second(host: Host, subsets: dict[str, Subset], before: dict[str, Taken], top: int) -> Facts:
    """The last sample of each of *subsets*, and the facts of both; *before* is empty where it is the only one."""
    return {name: _facts(host, name, subset, before.get(name), top) for name, subset in subsets.items()}


def _take(host: Host, name: str, sample: Callable[[Host], Any]) -> Taken:
    try:
        return Taken(time.monotonic(), sample(host), None)
    except DAMAGE as error:
        return Taken(time.monotonic(), None, why(error, name))


def _facts(host: Host, name: str, subset: Subset, before: Taken | None, top: int) -> Facts:
    now = _take(host, name, subset.sample)
    if now.why is not None:
        return unavailable(now.why)
    earlier = before.sample if before is not None and before.why is None else None
    seconds = now.at - before.at if before is not None and earlier is not None else None
    try:
        return subset.facts(host, earlier, now.sample, Window(seconds, top))
    except DAMAGE as error:
        return unavailable(why(error, name))


def unavailable(reason: str) -> Facts:
    """What stands in the place of a subset that cannot be had."""
    return {"available": False, "why": reason, "limited": []}
