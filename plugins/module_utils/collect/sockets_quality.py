# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well connections do, from tcp_info: round trips, retransmits, what limits them. Private to this collection."""

from __future__ import annotations

import struct
from array import array
from collections import Counter
from functools import lru_cache
from itertools import repeat
from operator import itemgetter, sub
from typing import Any, Sequence, Tuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_bandwidth import Flow
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_past import COUNTED, Past
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_tables import ratio
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch

# A connection on which no data came or went for so long is idle.
IDLE_MS = 60_000
# A receive buffer is at its limit from here on: the kernel grows it in steps.
_NEAR_LIMIT = 0.9
_NAMED_SOCKETS = 256

# What is read of a connection, in the order in which the kernel puts it into a message.
_READ = (
    "lost",
    "last_data_sent_ms",
    "last_data_recv_ms",
    "pmtu",
    "rtt_us",
    "reordering",
    "min_rtt_us",
    *COUNTED,
)
_INFO = tuple(sorted(_READ, key=lambda name: tcp_info.FIELDS[name][0]))
_ATTRIBUTES = (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)
_MEMORY = ("rcvbuf", "sndbuf")
_NAMES = ("family", "state", "port", "peer_port", "source", "destination", "cookie", "inode")
_ROW = (*_NAMES, *_MEMORY, *_INFO, "congestion")
_FAMILY, _STATE, _PORT, _PEER_PORT, _SOURCE, _DESTINATION, _COOKIE, _INODE = range(len(_NAMES))
_AT = {name: index for index, name in enumerate(_ROW)}
_LOST, _RTT, _RETRANSMITTED = _AT["lost"], _AT["rtt_us"], _AT["total_retrans"]
_MIN_RTT, _NOTHING = _AT["min_rtt_us"], (0,) * len(COUNTED)
_LOST_OF, _RTT_OF, _RETRANSMITS_OF = itemgetter(_LOST), itemgetter(_RTT), itemgetter(_RETRANSMITTED)
_ACKED, _RECEIVED = _AT["bytes_acked"], _AT["bytes_received"]
_FLOW = itemgetter(_FAMILY, _SOURCE, _PORT, _DESTINATION, _PEER_PORT, _INODE, _RECEIVED, _ACKED)
_SUMMED = tuple(name for name in COUNTED if not name.startswith("bytes_"))
_COUNTS = itemgetter(*(_AT[name] for name in COUNTED))
_ABSENT: dict[str, Any] = {**dict.fromkeys(_ROW, 0), "min_rtt_us": tcp_info.UNKNOWN_32, "congestion": b""}

_Row = Tuple[Any, ...]
# Whether we called, family, port (theirs if we called, else ours) and peer address.
_Place = Tuple[int, int, int, bytes]


class Quality:
    """Reads the connections of *now* that were asked for with tcp_info.

    With a first sample, counters are those of the interval, else those of the connections' lives.

    :ivar inodes: of the sockets whose owners the facts will name.
    :ivar moved: the connections that carried something in the interval, those that are being closed among them.
    :ivar progressed: the peer addresses that acknowledged something in the interval.
    """

    def __init__(self, host: Host, now: Sample, past: Past | None, window: Window) -> None:
        self._census, self._past, self._window = now.census, past, window
        self._receive_limit, self._send_limit = _most(host, "tcp_rmem"), _most(host, "tcp_wmem")
        self._known: set[str] = set()
        self._connections = self._idle = self._at_send = self._at_receive = self._reordering = 0
        self._rtts, self._min_rtts = array("L"), array("L")
        self._totals = dict.fromkeys(_SUMMED, 0)
        self._algorithms: Counter[bytes] = Counter()
        self._groups: dict[_Place, list[_Row]] = {}
        self.moved: list[Flow] = []
        self.progressed: set[bytes] = set()
        for whole in now.details:
            for batch, places in diag.layouts(whole, _ATTRIBUTES):
                if diag.INFO in places:
                    self._add(*_read(batch, places))
        self._worst = sorted(self._groups.items(), key=_badness, reverse=True)[: window.top]
        self.inodes: set[int] = set()
        for __, rows in self._worst:
            self.inodes.update(row[_INODE] for row in rows[:_NAMED_SOCKETS])

    def _add(self, known: Sequence[str], rows: list[_Row], established: bool) -> None:
        if self._past is not None:
            rows = [self._since(self._past, row) for row in rows]
            self.moved += [Flow._make(_FLOW(row)) for row in rows if row[_ACKED] or row[_RECEIVED]]
        if not established:
            rows = [row for row in rows if row[_STATE] == diag.ESTABLISHED]
        if not rows:
            return
        self._known.update(known)
        columns = dict(zip(_ROW, zip(*rows)))
        self._connections += len(rows)
        sent, received = columns["last_data_sent_ms"], columns["last_data_recv_ms"]
        if max(sent) >= IDLE_MS <= max(received):
            self._idle += sum(map(IDLE_MS.__le__, map(min, sent, received)))
        self._rtts.extend(columns["rtt_us"])
        self._min_rtts.extend(columns["min_rtt_us"])
        self._reordering = max(self._reordering, *columns["reordering"])
        for name in _SUMMED:
            self._totals[name] += sum(columns[name])
        if "congestion" in known:
            self._algorithms.update(columns["congestion"])
        self._at_receive += _reaching(columns["rcvbuf"], self._receive_limit, _NEAR_LIMIT)
        self._at_send += _reaching(columns["sndbuf"], self._send_limit, 1.0)
        groups = self._groups
        for called, row in zip(self._census.outbound(columns["port"]), rows):
            place = (called, row[_FAMILY], row[_PEER_PORT] if called else row[_PORT], row[_DESTINATION])
            if place in groups:
                groups[place].append(row)
            else:
                groups[place] = [row]

    def _since(self, past: Past, row: _Row) -> _Row:
        """*row* with what its counters grew by since the first sample."""
        before = past.find(row[_COOKIE])
        if before is not None or not past.complete:
            # How much of the life of one that was not met lies in the interval cannot be told.
            counts = map(sub, _COUNTS(row), before[2:]) if before is not None else _NOTHING
            retransmitted, acked, received, segments, *limits = counts
            row = (*row[:_RETRANSMITTED], retransmitted, acked, received, row[_MIN_RTT], segments, *limits, row[-1])
        if row[_ACKED]:
            self.progressed.add(normal(row[_FAMILY], row[_DESTINATION]))
        return row

    def _ratio(self, totals: dict[str, int], part: str, whole: str) -> float | None:
        """A ratio of two counters, ``None`` where this kernel has not both."""
        return ratio(totals[part], totals[whole], 6) if part in self._known and whole in self._known else None

    def facts(self, owners: Owners) -> dict[str, Any]:
        """The part ``quality`` of the facts."""
        rtts = sorted(filter(None, self._rtts))
        min_rtts = sorted(filter(tcp_info.UNKNOWN_32.__ne__, self._min_rtts))
        return {
            "connections": self._connections,
            "idle_connections": self._idle,
            "keepalive_share": ratio(self._census.keepalive, self._census.timed),
            "rtt_ms": {"median": _ms(rtts, 0.5), "p95": _ms(rtts, 0.95), "max": _ms(rtts, 1.0)},
            "min_rtt_ms": {"median": _ms(min_rtts, 0.5), "p95": _ms(min_rtts, 0.95)},
            **self._ratios(self._totals),
            "congestion_control": {
                name.partition(b"\0")[0].decode("ascii", "replace"): count
                for name, count in self._algorithms.most_common(self._window.top)
            },
            "at_send_limit": None if self._send_limit is None or "sndbuf" not in self._known else self._at_send,
            "at_receive_limit": None
            if self._receive_limit is None or "rcvbuf" not in self._known
            else self._at_receive,
            "reordering_max": self._reordering if self._connections else None,
            "destinations": [self._destination(place, rows, owners) for place, rows in self._worst],
        }

    def _ratios(self, totals: dict[str, int]) -> dict[str, float | None]:
        return {
            "retransmit_ratio": self._ratio(totals, "total_retrans", "data_segs_out"),
            "sndbuf_limited_share": self._ratio(totals, "sndbuf_limited_us", "busy_time_us"),
            "rwnd_limited_share": self._ratio(totals, "rwnd_limited_us", "busy_time_us"),
        }

    def _destination(self, place: _Place, rows: list[_Row], owners: Owners) -> dict[str, Any]:
        called, family, port, peer = place
        columns = dict(zip(_ROW, zip(*rows)))
        totals = {name: sum(columns[name]) for name in _SUMMED}
        compared = self._past is not None
        min_rtt = min(columns["min_rtt_us"])
        return {
            "address": diag.address(family, peer),
            "port": diag.raw_port(port) if called else None,
            "listener_port": None if called else diag.raw_port(port),
            "connections": len(rows),
            "rtt_ms": _ms(sorted(filter(None, columns["rtt_us"])), 0.5),
            "min_rtt_ms": None if min_rtt == tcp_info.UNKNOWN_32 else _ms([min_rtt], 0.5),
            **self._ratios(totals),
            "retransmitted_delta": totals["total_retrans"] if compared else None,
            "segments_delta": totals["data_segs_out"] if compared and "data_segs_out" in self._known else None,
            "lost": sum(columns["lost"]),
            "reordering": max(columns["reordering"]),
            "path_mtu": min(columns["pmtu"]),
            "processes": owners.of(columns["inode"][:_NAMED_SOCKETS]),
        }


def _badness(group: tuple[_Place, list[_Row]]) -> tuple[int, int, int]:
    """What was retransmitted, what is lost right now, then the slowest round trip."""
    rows = group[1]
    if len(rows) == 1:
        (row,) = rows
        return row[_RETRANSMITTED], row[_LOST], row[_RTT]
    return sum(map(_RETRANSMITS_OF, rows)), sum(map(_LOST_OF, rows)), max(map(_RTT_OF, rows))


def _read(batch: Batch, places: dict[int, tuple[int, int]]) -> tuple[Sequence[str], list[_Row], bool]:
    """The names of what this kernel has, the connections of *batch*, each as ``_ROW`` says, and whether all of them are
    established.
    """
    data, length, stride = batch
    names, read = _reader(stride, *(places.get(kind) for kind in _ATTRIBUTES))
    rows: list[_Row] = list(read.iter_unpack(memoryview(data)[:length]))
    if names != _ROW and rows:  # an older kernel
        columns = dict(zip(names, zip(*rows)))
        rows = list(zip(*(columns.get(name) or repeat(_ABSENT[name], len(rows)) for name in _ROW)))
    return names, rows, data[diag.STATE : length : stride].count(diag.ESTABLISHED) == len(rows)


@lru_cache(maxsize=64)
def _reader(
    stride: int, info: tuple[int, int], memory: tuple[int, int] | None, congestion: tuple[int, int] | None
) -> tuple[Sequence[str], struct.Struct]:
    """How to read a message with its attributes at these places, and the names of what it yields."""
    fields = [
        ("family", diag.FAMILY, "B"),
        ("state", diag.STATE, "B"),
        ("port", diag.SOURCE_PORT, "H"),
        ("peer_port", diag.DESTINATION_PORT, "H"),
        ("source", diag.SOURCE, "16s"),
        ("destination", diag.DESTINATION, "16s"),
        ("cookie", diag.COOKIE, "Q"),
        ("inode", diag.INODE, "I"),
        *tcp_info.fields(info, _INFO),
    ]
    if memory is not None:
        fields += [("rcvbuf", memory[0] + 4 * diag.RCVBUF, "I"), ("sndbuf", memory[0] + 4 * diag.SNDBUF, "I")]
    if congestion is not None:
        fields.append(("congestion", congestion[0], f"{(congestion[1] - congestion[0] + 3) & ~3}s"))
    fields.sort(key=lambda field: field[1])
    read = diag.record(stride, tuple(field[1:] for field in fields))
    return tuple(field[0] for field in fields), read


def _reaching(sizes: Sequence[int], limit: int | None, share: float) -> int:
    """How many *sizes* reach that share of *limit*."""
    if not limit or max(sizes) < limit * share:
        return 0
    return sum(size >= limit * share for size in sizes)


def _most(host: Host, name: str) -> int | None:
    """The largest buffer that the kernel's own tuning may give."""
    try:
        return int(read_text(host.proc("sys/net/ipv4", name)).split()[2])
    except (Unavailable, ValueError, IndexError):
        return None


def _ms(ordered: Sequence[int], quantile: float) -> float | None:
    """A quantile of microseconds, in milliseconds."""
    if not ordered:
        return None
    return round(ordered[min(len(ordered) - 1, int(quantile * len(ordered)))] / 1000, 3)
