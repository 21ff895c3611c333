# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info

# The structure's length in a release, the last field that it brought and the first that it has not.
RELEASES = [
    ("3.10", 104, "total_retrans", "pacing_rate"),
    ("3.16", 120, "max_pacing_rate", "bytes_acked"),
    ("4.1", 136, "bytes_received", "segs_out"),
    ("4.2", 144, "segs_in", "notsent_bytes"),
    ("4.6", 160, "data_segs_out", "delivery_rate"),
    ("4.9", 168, "delivery_rate", "busy_time_us"),
    ("4.10", 192, "sndbuf_limited_us", "delivered"),
    ("4.18", 200, "delivered_ce", "bytes_sent"),
    ("4.19", 224, "reord_seen", "rcv_ooopack"),
    ("5.4", 232, "snd_wnd", "rcv_wnd"),
    ("6.2", 240, "rehash", "total_rto"),
]


@pytest.mark.parametrize(("release", "length", "last", "missing"), RELEASES)
def test_a_release_has_what_its_length_says(release: str, length: int, last: str, missing: str) -> None:
    parsed = tcp_info.parse(b"\1" * length)
    __, code = tcp_info.FIELDS[last]
    assert parsed[last] == struct.unpack_from("=" + code, b"\1" * 8)[0], release
    assert parsed[missing] is None
    assert [name for name, value in parsed.items() if value is None] == [
        name for name, (at, __) in tcp_info.FIELDS.items() if at >= length
    ]


def test_what_the_kernel_does_not_know_is_none() -> None:
    raw = bytearray(248)
    struct.pack_into("=I", raw, 148, 0xFFFFFFFF)
    struct.pack_into("=Q", raw, 112, 0xFFFFFFFFFFFFFFFF)
    struct.pack_into("=I", raw, 76, 0x7FFFFFFF)
    parsed = tcp_info.parse(bytes(raw))
    assert parsed["min_rtt_us"] is parsed["max_pacing_rate"] is parsed["snd_ssthresh"] is None
    assert parsed["rtt_us"] == 0


def test_fields_do_not_overlap() -> None:
    end = 0
    for name, (at, code) in tcp_info.FIELDS.items():
        assert at >= end, name
        end = at + struct.calcsize("=" + code)


@given(st.binary(max_size=400))
def test_any_length_is_read(raw: bytes) -> None:
    parsed = tcp_info.parse(raw)
    assert parsed.keys() == tcp_info.FIELDS.keys()
    for name, at, code in tcp_info.fields((0, len(raw)), tcp_info.FIELDS):
        assert at + struct.calcsize("=" + code) <= len(raw), name
