# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the trace's ring buffer: recorded, made up, and damaged."""

from __future__ import annotations

import contextlib
import json
import pathlib
import struct
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ring_buffer
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ring_buffer import Run, records
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import Field, PageFormat

RECORDED = pathlib.Path(__file__).parents[3] / "fixtures" / "6.18" / "tracing" / "pages.json"
FORM = PageFormat(4096, Field(8, 8, True, False), 16)
_MISSED_EVENTS = 1 << 31
little_endian = pytest.mark.skipif(sys.byteorder == "big", reason="pages are as the machine's own words are")


def event(payload: bytes, kind: int | None = None, delta: int = 7) -> bytes:
    """A data event: small ones have their length in the header, others a word for it."""
    if kind is None:
        kind = len(payload) // 4 if 0 < len(payload) <= 112 else 0
    header = struct.pack("<I", delta << 5 | kind)
    return header + (payload if kind else struct.pack("<I", len(payload) + 4) + payload)


def page(*events: bytes, flags: int = 0) -> bytes:
    data = b"".join(events)
    return struct.pack("<QQ", 1, len(data) | flags) + data + bytes(FORM.size - FORM.data - len(data))


@little_endian
def test_events_of_every_kind() -> None:
    small, large = b"\x01\x02" + bytes(38), b"\x05\x06" + bytes(198)
    time = struct.pack("<II", 5 << 5 | 30, 1)
    stamp = struct.pack("<II", 5 << 5 | 31, 1)
    discarded = struct.pack("<II", 9 << 5 | 29, 12) + bytes(8)
    filled = page(event(small), time, event(large), stamp, discarded, event(small), flags=_MISSED_EVENTS)
    found = records(filled, FORM)
    assert [filled[at : at + 2] for at in found] == [b"\x01\x02", b"\x05\x06", b"\x01\x02"]
    assert ring_buffer.run(filled, FORM) is None


@little_endian
def test_the_rest_of_a_page_is_padding() -> None:
    filled = page(event(b"\x01\x02\0\0"), struct.pack("<I", 29), b"\xff" * 40)
    assert records(filled, FORM) == [20]


def test_an_empty_page() -> None:
    assert records(page(), FORM) == [] and ring_buffer.run(page(), FORM) is None


@little_endian
def test_a_run_is_told_by_every_header() -> None:
    same = [event(bytes([number, 9]) + bytes(38), delta=number) for number in range(5)]
    assert ring_buffer.run(page(*same), FORM) == Run(16, 16 + 5 * 44, 44)
    assert records(page(*same), FORM) == [20, 64, 108, 152, 196]
    # As long in all, yet not alike.
    assert ring_buffer.run(page(*same[:3], event(bytes(16)), event(bytes(64))), FORM) is None
    assert ring_buffer.run(page(*same[:3], event(bytes(20))), FORM) is None
    assert ring_buffer.run(page(event(bytes(200))), FORM) is None


@little_endian
@given(st.lists(st.integers(1, 40), max_size=30))
def test_a_run_has_the_same_records(sizes: list[int]) -> None:
    filled = page(*(event(bytes(4 * size)) for size in sizes))[: FORM.size]
    found = ring_buffer.run(filled, FORM)
    if found is not None:
        assert [at + 4 for at in range(found.start, found.end, found.stride)] == records(filled, FORM)
    assert (found is not None) == (len(set(sizes)) == 1 and sizes[0] <= 28)


@little_endian
def test_recorded_pages() -> None:
    pages = [bytes.fromhex(text) for text in json.loads(RECORDED.read_text())["pages"]]
    numbers = [int.from_bytes(each[at : at + 2], "little") for each in pages for at in records(each, FORM)]
    assert {2279, 2280, 2287, 2310} == set(numbers)
    assert numbers.count(2310) == 4  # one segment and three datagrams for ports where nobody listens


def test_32_bits() -> None:
    form = PageFormat(4096, Field(8, 4, True, False), 12)
    data = (36).to_bytes(4, sys.byteorder)
    word = 8 << 27 if sys.byteorder == "big" else 8
    assert records(bytes(8) + data + word.to_bytes(4, sys.byteorder) + bytes(32), form) == [16]


@little_endian
@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        page()[:12],
        page(event(bytes(40)))[:30],
        page(struct.pack("<I", 10)),
        page(struct.pack("<I", 0)),
        page(struct.pack("<II", 0, 3)),
        page(struct.pack("<II", 0, 4000)),
        page(struct.pack("<I", 30)),
    ],
)
def test_pages_that_contradict_themselves(damaged: bytes) -> None:
    with pytest.raises(Malformed):
        records(damaged, FORM)


@given(st.binary(max_size=300), st.integers(0, 400))
def test_any_bytes_end(data: bytes, used: int) -> None:
    damaged = struct.pack("=QQ", 0, used) + data
    for read in (records, ring_buffer.run):
        with contextlib.suppress(Malformed):
            read(damaged, FORM)
