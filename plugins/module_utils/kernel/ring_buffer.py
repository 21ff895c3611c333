# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pages of the kernel's trace ring buffer, as ``trace_pipe_raw`` gives them. Private to this collection.

Sources: ``include/linux/ring_buffer.h`` (struct ring_buffer_event), ``kernel/trace/ring_buffer.c``,
``events/header_event`` of tracefs.
"""

from __future__ import annotations

import struct
import sys
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import PageFormat

HEADER_SIZE = 4
_WORD = struct.Struct("=I")
# The upper bits of the commit field are flags: events were lost before this page.
_COMMIT_MASK = (1 << 27) - 1
_PADDING, _TIME_EXTEND, _TIME_STAMP = 29, 30, 31
_TIME_SIZE = 8
_LOW_BITS = bytes(value & 31 for value in range(256))
# Bit fields lie in a word from the end where its lowest byte is.
_BIG = sys.byteorder == "big"


class Run(NamedTuple):
    """Events of one size, end to end: what a page is made of while something happens fast.

    :ivar stride: from one event to the next, in bytes.
    """

    start: int
    end: int
    stride: int


def run(page: bytes, form: PageFormat) -> Run | None:
    """The page as a run of events; ``None`` where it is none.

    :raises Malformed: the page contradicts itself.
    """
    start, end = form.data, _used(page, form)
    if _BIG or start >= end:
        return None
    kind = page[start] & 31
    stride = HEADER_SIZE + kind * 4
    if not 0 < kind < _PADDING or (end - start) % stride:
        return None
    # Each event says how long it is, so where all say the same, each of them begins where the one before it ends.
    alike = page[start:end:stride].translate(_LOW_BITS).count(kind) * stride == end - start
    return Run(start, end, stride) if alike else None


def records(page: bytes, form: PageFormat) -> list[int]:
    """Where in *page* the records of events begin; each of them has at least the two bytes of its number.

    :raises Malformed: the page contradicts itself.
    """
    end = _used(page, form)
    found = []
    at, read = form.data, _WORD.unpack_from
    while at + 4 <= end:
        (header,) = read(page, at)
        kind, delta = (header >> 27, header & _COMMIT_MASK) if _BIG else (header & 31, header >> 5)
        if 0 < kind < _PADDING:
            start, at = at + 4, at + 4 + kind * 4
            found.append(start)
            continue
        if kind in (_TIME_EXTEND, _TIME_STAMP):
            at += _TIME_SIZE
            continue
        if kind == _PADDING and delta == 0:
            break  # the rest of the page
        if at + 8 > end:
            raise Malformed("an event of the trace is cut off")
        # The length counts its own word, but not the header before it.
        (length,) = read(page, at + 4)
        if length < 4:
            raise Malformed("an event of the trace has an impossible length")
        if kind == 0 and length > 4:
            found.append(at + 8)
        at += 4 + length
    if at > end:
        raise Malformed("an event of the trace is cut off")
    return found


def _used(page: bytes, form: PageFormat) -> int:
    """Where the last event of *page* ends."""
    commit = form.commit
    if len(page) < form.data:
        raise Malformed("a page of the trace is too short")
    used = int.from_bytes(page[commit.offset : commit.offset + commit.size], sys.byteorder) & _COMMIT_MASK
    if form.data + used > len(page):
        raise Malformed("a page of the trace is cut off")
    return form.data + used
