# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""pcap streams: our own, those of others, in blocks of any size, damaged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_pcap import (
    HEADER_BYTES,
    MAX_SNAPLEN,
    RECORD_BYTES,
    Parser,
    header,
    record,
)

_FRAMES = st.lists(
    st.builds(Frame, st.integers(0, (1 << 32) * 10**9 - 1), st.integers(0, 1 << 17), st.binary(max_size=90))
)


@given(_FRAMES, st.integers(1, 50))
def test_what_was_written_is_read(frames: list[Frame], size: int) -> None:
    stream = header(276, 0) + b"".join(map(record, frames))
    assert len(stream) == HEADER_BYTES + sum(RECORD_BYTES + len(frame.data) for frame in frames)
    parser = Parser()
    seen: list[Frame] = []
    for at in range(0, len(stream), size):
        seen += parser.feed(stream[at : at + size])
    assert parser.link_type == 276
    assert seen == frames


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(("magic", "unit_ns"), [(0xA1B2C3D4, 1000), (0xA1B23C4D, 1)])
def test_streams_of_others(order: str, magic: int, unit_ns: int) -> None:
    stream = struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, 0x10000001)
    stream += struct.pack(order + "IIII", 5, 7, 2, 60) + b"ab"
    parser = Parser()
    assert list(parser.feed(stream)) == [Frame(5 * 10**9 + 7 * unit_ns, 60, b"ab")]
    assert parser.link_type == 1


@given(st.binary(min_size=HEADER_BYTES, max_size=200))
def test_what_is_no_pcap(data: bytes) -> None:
    with pytest.raises(Malformed, match="does not begin like one"):
        list(Parser().feed(b"\0" + data))


def test_a_length_that_cannot_be() -> None:
    wrong = struct.pack("=IIII", 0, 0, MAX_SNAPLEN + 1, 0)
    with pytest.raises(Malformed, match=str(MAX_SNAPLEN + 1)):
        list(Parser().feed(header(1, 0) + wrong))
