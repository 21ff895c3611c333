# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connections of the first of two samples, found again by their cookies. Private to this collection."""

from __future__ import annotations

import struct
from typing import Any, Dict, Tuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info

# Counters of tcp_info that are compared between samples, in the order of their places.
COUNTED = (
    "total_retrans",
    "bytes_acked",
    "bytes_received",
    "data_segs_out",
    "busy_time_us",
    "rwnd_limited_us",
    "sndbuf_limited_us",
)
_Table = Tuple[Dict[int, bytes], struct.Struct, Tuple[int, ...]]


class Past:
    """Queues and counters of every connection of *before*.

    :ivar complete: whether all connections were looked at: then one that is not there is new.
    """

    def __init__(self, before: Sample) -> None:
        # One table for each layout: the messages from the receive queue to the end of tcp_info, and how to read them.
        self._tables: dict[tuple[int, int], _Table] = {}
        seen = 0
        for whole in before.details:
            for batch, places in diag.layouts(whole, (diag.INFO,)):
                if diag.INFO not in places:
                    continue
                start, end = (edge - diag.RECEIVE_QUEUE for edge in places[diag.INFO])
                if (start, end) not in self._tables:
                    fields = tcp_info.fields((start, end), COUNTED)
                    read = diag.record(end, ((0, "I"), (4, "I"), *((at, code) for __, at, code in fields)))
                    self._tables[start, end] = ({}, read, (0,) * (len(COUNTED) - len(fields)))
                picked = diag.record(batch.stride, ((diag.COOKIE, "Q"), (diag.RECEIVE_QUEUE, f"{end}s")))
                rows: Any = picked.iter_unpack(memoryview(batch.data)[: batch.length])
                self._tables[start, end][0].update(rows)
                seen += batch.length // batch.stride
        self.complete = seen < before.most_details

    def find(self, cookie: int) -> tuple[int, ...] | None:
        """Receive queue, send queue, then the counters as :data:`COUNTED` (0 for what this kernel has not)."""
        for table, read, missing in self._tables.values():
            raw = table.get(cookie)
            if raw is not None:
                return read.unpack(raw) + missing
        return None
