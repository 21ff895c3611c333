# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What active measurements share: an end that is kept, threads, figures of a series. Private to this collection."""

from __future__ import annotations

import threading
import time
from typing import Any, Callable, Iterable, Sequence

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption


class Deadline:
    """A point in time that everything has to keep.

    :ivar at: on the clock of ``time.monotonic``.
    """

    def __init__(self, seconds: float) -> None:
        self.at = time.monotonic() + seconds

    def left(self, most: float = float("inf")) -> float:
        """Seconds that are left, at most *most* and at least 0."""
        return max(0.0, min(most, self.at - time.monotonic()))

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.at

    def within(self, seconds: float) -> Deadline:
        """An earlier end, or this one."""
        return Deadline(self.left(seconds))


def since_ms(started: float) -> float:
    """Milliseconds since *started* on the clock of ``time.perf_counter``."""
    return (time.perf_counter() - started) * 1000


def distribution(values: Iterable[float]) -> dict[str, float] | None:
    """Figures of *values*, rounded to microseconds where they are milliseconds; ``None`` where there are none.

    The median and the 95th percentile are values that occurred (nearest rank), the median the lower of two.
    """
    ranked = sorted(values)
    if not ranked:
        return None

    def at(share: float) -> float:
        return round(ranked[max(0, -int(-share * len(ranked) // 1) - 1)], 3)

    return {"min": at(0), "median": at(0.5), "p95": at(0.95), "max": at(1)}


def tally(words: Iterable[str]) -> dict[str, int]:
    """How often each word occurs, most frequent first."""
    found: dict[str, int] = {}
    for word in words:
        found[word] = found.get(word, 0) + 1
    return dict(sorted(found.items(), key=lambda item: -item[1]))


def side_by_side(work: Callable[[Any], Any], items: Sequence[Any], workers: int) -> list[Any]:
    """``[work(item), ...]`` by at most *workers* threads; *work* has to end by itself.

    :raises Exception: what the first *work* that failed has raised, after all have ended.
    """
    results: list[Any] = [None] * len(items)
    failures: list[Exception] = []
    waiting = iter(range(len(items)))
    lock = threading.Lock()

    def run() -> None:
        while True:
            with lock:
                number = next(waiting, None)
            if number is None:
                return
            try:
                results[number] = work(items[number])
            except Exception as error:
                failures.append(error)

    threads = [threading.Thread(target=run, daemon=True) for __ in range(min(workers, len(items)))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if failures:
        raise failures[0]
    return results


def bounded_option(params: dict[str, Any], option: str, least: float, most: float) -> None:
    """:raises BadOption: the number lies outside of *least* to *most*, or is none."""
    if not least <= params[option] <= most:
        raise BadOption(option, params[option], f"a number from {least:g} to {most:g}")


def endpoint(text: str, port: int | None) -> tuple[str, int | None]:
    """``HOST``, ``HOST:PORT``, ``ADDRESS6`` or ``[ADDRESS6]:PORT`` in its parts; *port* where none is stated.

    The port is ``None`` where it is no number from 1 to 65535, or a bracket has no partner.
    """
    if text.startswith("["):
        host, bracket, rest = text[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return text, None
        digits = rest[1:] if rest else None
    elif text.count(":") == 1:
        host, __, digits = text.partition(":")
    else:
        host, digits = text, None
    if digits is None:
        return host, port
    valid = digits.isascii() and digits.isdigit() and len(digits) <= 5 and 1 <= int(digits) <= 65535
    return host, int(digits) if valid else None
