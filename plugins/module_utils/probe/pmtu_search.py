# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The largest packet that arrives: which sizes to try, whatever a try is. Private to this collection."""

from __future__ import annotations

from typing import Callable, Literal, NamedTuple

# MTUs that links and tunnels have; between two of them lies hardly ever the one that is looked for.
_USUAL = (
    68, 296, 508, 576, 1006, 1280, 1300, 1320, 1340, 1350, 1358, 1360, 1370, 1376, 1380, 1390, 1400, 1406, 1410, 1412,
    1418, 1420, 1424, 1428, 1430, 1432, 1436, 1438, 1440, 1442, 1446, 1450, 1454, 1458, 1460, 1462, 1464, 1468, 1470,
    1472, 1476, 1480, 1484, 1488, 1490, 1492, 1496, 1500, 2304, 4352, 8950, 8958, 8960, 8980, 9000, 16384, 65535,
)  # fmt: skip


class TooBig(NamedTuple):
    """Somebody said that a packet of this size does not fit.

    :ivar mtu: what fits, 0 where that was not said.
    :ivar address: who said it; ``None`` for this host itself.
    """

    mtu: int
    address: str | None


class TimeUp(Exception):
    """The time limit came before the answer."""


class Search:
    """Looks for the largest size, from *low*, which is known to arrive, to *high*.

    :param arrives: tries one size; ``True`` where it arrives, a :class:`TooBig`, or ``None`` where it vanishes. Its
        second argument asks to make sure of the latter: what looks lost by chance is found out before the end.
    :ivar good: the largest size that is known to arrive.
    :ivar refused: the sizes that do not, each with who said so.
    """

    def __init__(self, arrives: Callable[[int, bool], Literal[True] | TooBig | None], low: int, high: int) -> None:
        self._arrives = arrives
        self.good = low
        self.high = high
        self.refused: dict[int, TooBig | None] = {}
        # The size that decides whether there is anything to look for, and then the one that ends the search.
        self._sure = {high}

    @property
    def vanished(self) -> int | None:
        """The smallest size that vanishes for certain."""
        return min((size for size, said in self.refused.items() if said is None and size in self._sure), default=None)

    @property
    def told(self) -> TooBig | None:
        """What was said about the smallest size that somebody refused."""
        sizes = [size for size, said in self.refused.items() if said is not None]
        return self.refused[min(sizes)] if sizes else None

    def run(self) -> None:
        """:raises TimeUp: :attr:`good` and :attr:`refused` are what is known so far."""
        size: int | None = self.high
        while size is not None:
            found = self._arrives(size, size in self._sure)
            if found is True:
                self.good = max(self.good, size)
                # What was taken for lost, and arrives at last, was lost by chance.
                self.refused = {each: said for each, said in self.refused.items() if each > self.good}
            else:
                self.refused[size] = found
            size = self._next()

    def _next(self) -> int | None:
        """The size to try next; ``None`` where everything is known."""
        if self.good >= self.high:
            return None
        bad = min(self.refused, default=self.high + 1)
        said = self.refused.get(bad)
        if bad - self.good == 1 or (said and said.mtu == self.good):
            # The size that decides is asked for once more, where only silence speaks against it.
            if said is None and bad not in self._sure and bad <= self.high:
                self._sure.add(bad)
                return bad
            return None
        if said and self.good < said.mtu < bad:
            return said.mtu
        usual = [each for each in _USUAL if self.good < each < bad]
        if usual:
            return usual[len(usual) // 2]
        if self.good in _USUAL:
            return self.good + 1
        return (self.good + bad) // 2
