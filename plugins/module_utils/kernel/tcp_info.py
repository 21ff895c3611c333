# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""struct tcp_info as kernels from 3.10 on have it. Private to this collection.

The structure only ever grew at its end, so its length tells which fields a kernel has.
Source: ``include/uapi/linux/tcp.h``.
"""

from __future__ import annotations

import struct
from typing import Iterable

# name: (offset, struct code). Times are milliseconds where the name ends in _ms, else microseconds.
FIELDS = {
    "ca_state": (1, "B"),
    "retransmits": (2, "B"),
    "probes": (3, "B"),
    "backoff": (4, "B"),
    "options": (5, "B"),
    "window_scales": (6, "B"),
    "flags": (7, "B"),
    "rto_us": (8, "I"),
    "snd_mss": (16, "I"),
    "rcv_mss": (20, "I"),
    "unacked": (24, "I"),
    "sacked": (28, "I"),
    "lost": (32, "I"),
    "retrans": (36, "I"),
    "last_data_sent_ms": (44, "I"),
    "last_data_recv_ms": (52, "I"),
    "last_ack_recv_ms": (56, "I"),
    "pmtu": (60, "I"),
    "rtt_us": (68, "I"),
    "rttvar_us": (72, "I"),
    "snd_ssthresh": (76, "I"),
    "snd_cwnd": (80, "I"),
    "advmss": (84, "I"),
    "reordering": (88, "I"),
    "rcv_rtt_us": (92, "I"),
    "rcv_space": (96, "I"),
    "total_retrans": (100, "I"),
    "pacing_rate": (104, "Q"),  # 3.15
    "max_pacing_rate": (112, "Q"),
    "bytes_acked": (120, "Q"),  # 4.1
    "bytes_received": (128, "Q"),
    "segs_out": (136, "I"),  # 4.2
    "segs_in": (140, "I"),
    "notsent_bytes": (144, "I"),  # 4.6
    "min_rtt_us": (148, "I"),
    "data_segs_in": (152, "I"),
    "data_segs_out": (156, "I"),
    "delivery_rate": (160, "Q"),  # 4.9
    "busy_time_us": (168, "Q"),  # 4.10
    "rwnd_limited_us": (176, "Q"),
    "sndbuf_limited_us": (184, "Q"),
    "delivered": (192, "I"),  # 4.18
    "delivered_ce": (196, "I"),
    "bytes_sent": (200, "Q"),  # 4.19
    "bytes_retrans": (208, "Q"),
    "dsack_dups": (216, "I"),
    "reord_seen": (220, "I"),
    "rcv_ooopack": (224, "I"),  # 5.4
    "snd_wnd": (228, "I"),
    "rcv_wnd": (232, "I"),  # 6.2
    "rehash": (236, "I"),
    "total_rto": (240, "H"),  # 6.7
}
_SIZES = {"B": 1, "H": 2, "I": 4, "Q": 8}
NO_SSTHRESH = 0x7FFFFFFF
UNKNOWN_32 = 0xFFFFFFFF
UNKNOWN_64 = 0xFFFFFFFFFFFFFFFF


def fields(place: tuple[int, int], names: Iterable[str]) -> list[tuple[str, int, str]]:
    """Those of *names* that a structure at *place* (start, end) has whole, as (name, offset, code) in order."""
    start, end = place
    found = [(name, start + FIELDS[name][0], FIELDS[name][1]) for name in names]
    return sorted((row for row in found if row[1] + _SIZES[row[2]] <= end), key=lambda row: row[1])


def parse(raw: bytes) -> dict[str, int | None]:
    """Every field of *raw*; ``None`` for what this kernel has not, or says it does not know."""
    values: dict[str, int | None] = dict.fromkeys(FIELDS)
    for name, at, code in fields((0, len(raw)), FIELDS):
        (values[name],) = struct.unpack_from("=" + code, raw, at)
    for name, unknown in (
        ("min_rtt_us", UNKNOWN_32),
        ("pacing_rate", UNKNOWN_64),
        ("max_pacing_rate", UNKNOWN_64),
        ("snd_ssthresh", NO_SSTHRESH),
    ):
        if values[name] == unknown:
            values[name] = None
    return values
