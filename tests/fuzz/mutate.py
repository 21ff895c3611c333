# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A seeded loop of mutations: the way to fuzz where atheris is not installed, and the same each time."""

from __future__ import annotations

import random
import time
from typing import Callable, Sequence

from ansible_collections.nettriage.linux.tests.fuzz.harness import MAX_BYTES

_NUMBERS = (0, 1, 2, 3, 4, 7, 8, 15, 16, 127, 128, 255, 256, 0x7FFF, 0x8000, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    b"\0", b"\n", b"\r\n", b" ", b"\t", b"-1", b"9" * 30, b"0x", b"1_0", b"+1", b"\xff", b"\xc0\x0c", b"\xed\xa0\x80",
    b"\xe2\x80\xae", b"\xd9\xa3", b"\xc2\xb2", b"\x1b[31m", b"null", b"NaN", b"1e999", b"[" * 2000, b"{{7*7}}", b"'",
    b'"', b"%s", b"=", b":", b"/", b"..", b"*", b"|", b"`", b"@",
)  # fmt: skip


def mutated(data: bytes, others: Sequence[bytes], dice: random.Random) -> bytes:
    """*data* with some damage: bits, numbers, words, lengths, pieces of *others*."""
    made = bytearray(data)
    for __ in range(1 << dice.randrange(4)):
        at = dice.randrange(len(made) + 1)
        kind = dice.randrange(8)
        if kind == 0 and at < len(made):
            made[at] ^= 1 << dice.randrange(8)
        elif kind == 1 and at < len(made):
            made[at] = dice.randrange(256)
        elif kind == 2:
            size = dice.choice((1, 2, 4, 8))
            number = dice.choice(_NUMBERS) & ((1 << 8 * size) - 1)
            made[at : at + size] = number.to_bytes(size, dice.choice(("little", "big")))
        elif kind == 3:
            word = dice.choice(_WORDS)
            made[at : at + dice.choice((0, len(word)))] = word
        elif kind == 4:
            del made[at : at + 1 + dice.randrange(16)]
        elif kind == 5:
            del made[at:]
        elif kind == 6:
            made[at:at] = made[at : at + 1 + dice.randrange(64)] * dice.choice((1, 1, 2, 50))
        else:
            other = dice.choice(others)
            start = dice.randrange(len(other) + 1)
            made[at : at + dice.randrange(64)] = other[start : start + 1 + dice.randrange(64)]
    return bytes(made[:MAX_BYTES])


def loop(run: Callable[[bytes], None], seeds: Sequence[bytes], seconds: float, seed: int) -> int:
    """Hand mutations of *seeds* to *run* for some time; how many.

    Each of the seeds is run as it is first. The part that an input is for (its first byte) mostly stays.
    """
    dice = random.Random(seed)
    end = time.monotonic() + seconds
    for whole in seeds:
        run(whole)
    count = len(seeds)
    while time.monotonic() < end:
        whole = dice.choice(seeds)
        run(whole[:1] + mutated(whole[1:], seeds, dice))
        count += 1
    return count
