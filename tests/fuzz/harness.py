# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a fuzz harness is: parts that each take one damaged input, and what they may do with it."""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Callable, Iterable, Mapping, NamedTuple

FIXTURES = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "unit", "fixtures")
MAX_BYTES = 16384


class Broken(AssertionError):
    """A parser kept going where it must not, or told what nobody had said."""


class Part(NamedTuple):
    """One parser.

    :ivar take: hands it an input, and raises :class:`Broken` where the result breaks its contract.
    :ivar seeds: inputs that it understands.
    :ivar documented: the exceptions that its docstring names; any other is a fault.
    """

    take: Callable[[bytes], None]
    seeds: Callable[[], Iterable[bytes]]
    documented: tuple[type[Exception], ...] = ()


class Harness(NamedTuple):
    """The parsers of one family; the first byte of an input chooses among them."""

    name: str
    parts: Mapping[str, Part]

    def seeds(self) -> list[bytes]:
        """All inputs that are understood, as :meth:`run` takes them."""
        found = []
        for number, part in enumerate(self.parts.values()):
            found += [bytes((number,)) + seed[: MAX_BYTES - 1] for seed in part.seeds()]
        return found

    def run(self, data: bytes) -> None:
        """One input. Whatever comes out of it but a return is a fault."""
        if not data:
            return
        part = list(self.parts.values())[data[0] % len(self.parts)]
        with suppress(*part.documented):
            part.take(data[1:])

    def part_of(self, data: bytes) -> str:
        """The name of the part that takes *data*."""
        return list(self.parts)[data[0] % len(self.parts)] if data else "none"


def told(data: bytes, *values: Any) -> None:
    """Each of *values* that is not absent is somewhere in *data*: a number in the machine's bytes, a text as it is.

    :raises Broken: one of them was invented.
    """
    for value in values:
        if isinstance(value, str):
            if value and "\ufffd" not in value and value.encode("utf-8", "surrogateescape") not in data:
                raise Broken(f"{value!r} is not in the input")
        elif isinstance(value, int) and not isinstance(value, bool) and value not in (0, 1):
            sizes = [size for size in (1, 2, 4, 8) if -(1 << (8 * size - 1)) <= value < 1 << (8 * size)]
            if not any(value.to_bytes(size, order, signed=value < 0) in data for size in sizes for order in ORDERS):
                raise Broken(f"{value} is not in the input")


ORDERS: tuple[Any, ...] = ("little", "big")


def numbers_of(text: str, found: Iterable[int | None], bases: tuple[int, ...] = (10,)) -> None:
    """Each number of *found* is written in *text*.

    :raises Broken: one of them was invented.
    """
    lower = text.lower()
    for value in found:
        if value and not any(_written(abs(value), base) in lower for base in bases):
            raise Broken(f"{value} is not in the input")


def _written(value: int, base: int) -> str:
    return f"{value:x}" if base == 16 else str(value)


def as_json(value: Any) -> None:
    """*value* can stand in facts: JSON that everything reads, and text that has an encoding.

    :raises Broken: it cannot.
    """
    try:
        json.dumps(value, allow_nan=False, ensure_ascii=False).encode("utf-8")
    except (ValueError, TypeError) as error:
        raise Broken(f"no JSON: {error}") from error


def text_of(data: bytes) -> str:
    """*data* as ``read_text`` gives the bytes of a file."""
    return data.decode("utf-8", "surrogateescape")


def fixture(*path: str) -> bytes:
    """A recorded file."""
    with open(os.path.join(FIXTURES, *path), "rb") as file:
        return file.read()


def fixtures(*path: str) -> list[bytes]:
    """The same file of every recorded kernel."""
    places = [os.path.join(FIXTURES, kernel, *path) for kernel in sorted(os.listdir(FIXTURES))]
    return [fixture(place) for place in places if os.path.isfile(place)]
