# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How well connections do, from tcp_info: round trips, retransmits, what limits them. Private to this collection."""

from __future__ import annotations

from array import array
from collections import Counter
from operator import add, sub
from typing import Any, Dict, Sequence, Tuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_past import COUNTED, Past
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_tables import ends, ratio, text
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
_KEPT_FLOWS = 2000
_READ = ("lost", "last_data_sent_ms", "last_data_recv_ms", "pmtu", "rtt_us", "reordering", "min_rtt_us")
_RETRANSMITTED, _ACKED, _RECEIVED, _SEGMENTS, _BUSY, _RWND, _SNDBUF = range(len(COUNTED))

Columns = Dict[str, Sequence[Any]]
# Bytes both ways, received, acknowledged, then who: inode, family, ports and addresses.
_Flow = Tuple[int, int, int, int, int, bytes]


class _Group:
    """The connections to one destination, or those of one client to a listener."""

    __slots__ = ("counts", "inodes", "lost", "min_rtt", "pmtu", "reordering", "rtts")

    def __init__(self) -> None:
        self.counts: Sequence[int] = (0,) * len(COUNTED)
        self.inodes: list[int] = []
        self.rtts: list[int] = []
        self.lost = self.reordering = 0
        self.min_rtt = self.pmtu = tcp_info.UNKNOWN_32


_Place = Tuple[bool, int, bytes]


class Quality:
    """Reads the connections of *now* that were asked for with tcp_info.

    With a first sample, counters are those of the interval, else those of the connections' lives.

    :ivar inodes: of the sockets whose owners the facts will name.
    """

    def __init__(self, host: Host, now: Sample, past: Past | None, window: Window) -> None:
        self._census, self._past, self._window = now.census, past, window
        self._receive_limit, self._send_limit = _most(host, "tcp_rmem"), _most(host, "tcp_wmem")
        self._known: set[str] = set()
        self._connections = self._idle = self._at_send = self._at_receive = self._reordering = 0
        self._rtts, self._min_rtts = array("L"), array("L")
        self._algorithms: Counter[bytes] = Counter()
        self._groups: dict[_Place, _Group] = {}
        self._flows: list[_Flow] = []
        self._progressed: set[bytes] = set()
        for whole in now.details:
            for batch, places in diag.layouts(whole, (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)):
                if diag.INFO in places:
                    self._add(_established(batch, places))
        self._flows = sorted(self._flows, reverse=True)[: window.top]
        self._worst = self._rank()
        self.inodes = {flow[3] for flow in self._flows}
        for _, group in self._worst:
            self.inodes.update(group.inodes[:_NAMED_SOCKETS])

    @property
    def progressed(self) -> set[bytes]:
        """The peer addresses that acknowledged something in the interval."""
        return self._progressed

    def _add(self, columns: Columns) -> None:
        count = len(columns["family"])
        if not count:
            return
        self._known.update(columns)
        zeros, unknown = [0] * count, [tcp_info.UNKNOWN_32] * count
        min_rtts = columns.get("min_rtt_us", unknown)
        self._connections += count
        self._idle += sum(map(IDLE_MS.__le__, map(min, columns["last_data_sent_ms"], columns["last_data_recv_ms"])))
        self._rtts.extend(filter(None, columns["rtt_us"]))
        self._min_rtts.extend(filter(tcp_info.UNKNOWN_32.__ne__, min_rtts))
        self._reordering = max(self._reordering, max(columns["reordering"]))
        self._algorithms.update(columns.get("congestion", ()))
        if self._receive_limit is not None:
            self._at_receive += sum(map(int(self._receive_limit * _NEAR_LIMIT).__le__, columns.get("rcvbuf", ())))
        if self._send_limit is not None:
            self._at_send += sum(map(self._send_limit.__le__, columns.get("sndbuf", ())))
        counted = zip(*(columns.get(name, zeros) for name in COUNTED))
        who = zip(columns["family"], columns["identity"], columns["cookie"], columns["inode"])
        how = zip(columns["rtt_us"], min_rtts, columns["lost"], columns["reordering"], columns["pmtu"])
        groups, past = self._groups, self._past
        for (family, identity, cookie, inode), counts, (rtt, min_rtt, lost, reordering, pmtu) in zip(who, counted, how):
            calls = self._census.outbound(identity)
            place = (calls, family, (identity[2:4] if calls else identity[:2]) + identity[20:])
            group = groups.get(place)
            if group is None:
                group = groups[place] = _Group()
            group.inodes.append(inode)
            group.rtts.append(rtt)
            group.lost += lost
            if min_rtt < group.min_rtt:
                group.min_rtt = min_rtt
            if reordering > group.reordering:
                group.reordering = reordering
            if pmtu < group.pmtu:
                group.pmtu = pmtu
            if past is not None:
                before = past.find(cookie)
                if before is not None:
                    counts = tuple(map(sub, counts, before[2:]))
                elif not past.complete:
                    continue  # how much of its life lies in the interval cannot be told
                if counts[_ACKED] or counts[_RECEIVED]:
                    if counts[_ACKED]:
                        self._progressed.add(normal(family, identity[20:]))
                    both = counts[_ACKED] + counts[_RECEIVED]
                    self._flows.append((both, counts[_RECEIVED], counts[_ACKED], inode, family, identity))
            if any(counts):
                group.counts = tuple(map(add, group.counts, counts))
        if len(self._flows) > _KEPT_FLOWS:
            self._flows = sorted(self._flows, reverse=True)[: self._window.top]

    def _rank(self) -> list[tuple[_Place, _Group]]:
        """The destinations that are worst off."""

        def badness(item: tuple[_Place, _Group]) -> tuple[int, int, int]:
            group = item[1]
            return group.counts[_RETRANSMITTED], group.lost, max(group.rtts)

        return sorted(self._groups.items(), key=badness, reverse=True)[: self._window.top]

    def _ratio(self, counts: Sequence[int], part: int, whole: int) -> float | None:
        """A ratio of two counters, ``None`` where this kernel has not both."""
        if COUNTED[part] not in self._known or COUNTED[whole] not in self._known:
            return None
        return ratio(counts[part], counts[whole], 6)

    def facts(self, owners: Owners) -> dict[str, Any]:
        """The part ``quality`` of the facts."""
        counts: Sequence[int] = (0,) * len(COUNTED)
        for group in self._groups.values():
            counts = tuple(map(add, counts, group.counts))
        rtts, min_rtts = sorted(self._rtts), sorted(self._min_rtts)
        return {
            "connections": self._connections,
            "idle_connections": self._idle,
            "keepalive_share": ratio(self._census.keepalive, self._census.timed),
            "rtt_ms": {"median": _ms(rtts, 0.5), "p95": _ms(rtts, 0.95), "max": _ms(rtts, 1.0)},
            "min_rtt_ms": {"median": _ms(min_rtts, 0.5), "p95": _ms(min_rtts, 0.95)},
            "retransmit_ratio": self._ratio(counts, _RETRANSMITTED, _SEGMENTS),
            "congestion_control": {
                name.partition(b"\0")[0].decode("ascii", "replace"): count
                for name, count in self._algorithms.most_common(self._window.top)
            },
            "sndbuf_limited_share": self._ratio(counts, _SNDBUF, _BUSY),
            "rwnd_limited_share": self._ratio(counts, _RWND, _BUSY),
            "at_send_limit": self._at_send if "sndbuf" in self._known and self._send_limit is not None else None,
            "at_receive_limit": self._at_receive
            if "rcvbuf" in self._known and self._receive_limit is not None
            else None,
            "reordering_max": self._reordering if self._connections else None,
            "flows": [self._flow(flow, owners) for flow in self._flows],
            "destinations": [self._destination(place, group, owners) for place, group in self._worst],
        }

    def _flow(self, flow: _Flow, owners: Owners) -> dict[str, Any]:
        _, received, acked, inode, family, identity = flow
        local, peer = ends(family, identity)
        seconds = self._window.seconds or 0.0
        return {
            "local": local,
            "peer": peer,
            "rx_mbps": ratio(received * 8e-6, seconds),
            "tx_mbps": ratio(acked * 8e-6, seconds),
            "process": owners.one(inode),
        }

    def _destination(self, place: _Place, group: _Group, owners: Owners) -> dict[str, Any]:
        outbound, family, raw = place
        port = int.from_bytes(raw[:2], "big")
        rtts = sorted(filter(None, group.rtts))
        return {
            "address": text(normal(family, raw[2:])),
            "port": port if outbound else None,
            "listener_port": None if outbound else port,
            "connections": len(group.inodes),
            "rtt_ms": _ms(rtts, 0.5),
            "min_rtt_ms": _ms([group.min_rtt], 0.5) if group.min_rtt != tcp_info.UNKNOWN_32 else None,
            "retransmit_ratio": self._ratio(group.counts, _RETRANSMITTED, _SEGMENTS),
            "retransmitted_delta": group.counts[_RETRANSMITTED] if self._past is not None else None,
            "segments_delta": group.counts[_SEGMENTS]
            if self._past is not None and COUNTED[_SEGMENTS] in self._known
            else None,
            "lost": group.lost,
            "sndbuf_limited_share": self._ratio(group.counts, _SNDBUF, _BUSY),
            "rwnd_limited_share": self._ratio(group.counts, _RWND, _BUSY),
            "reordering": group.reordering,
            "path_mtu": group.pmtu,
            "processes": owners.of(group.inodes[:_NAMED_SOCKETS]),
        }


def _established(batch: Batch, places: dict[int, tuple[int, int]]) -> Columns:
    """The fields that are read, each as a column over the established connections of *batch*."""
    data, length, stride = batch
    fields = [
        ("family", diag.FAMILY, "B"),
        ("state", diag.STATE, "B"),
        ("identity", diag.SOURCE_PORT, "36s"),
        ("cookie", diag.COOKIE, "Q"),
        ("inode", diag.INODE, "I"),
        *tcp_info.fields(places[diag.INFO], (*_READ, *COUNTED)),
    ]
    if diag.SKMEMINFO in places:
        start = places[diag.SKMEMINFO][0]
        fields += [("rcvbuf", start + 4 * diag.RCVBUF, "I"), ("sndbuf", start + 4 * diag.SNDBUF, "I")]
    if diag.CONGESTION in places:
        start, end = places[diag.CONGESTION]
        fields.append(("congestion", start, f"{(end - start + 3) & ~3}s"))
    fields.sort(key=lambda field: field[1])
    read = diag.record(stride, tuple((at, code) for _, at, code in fields))
    rows: list[tuple[Any, ...]] = list(read.iter_unpack(memoryview(data)[:length]))
    if data[diag.STATE : length : stride].count(diag.ESTABLISHED) != len(rows):
        rows = [row for row in rows if row[1] == diag.ESTABLISHED]
    columns: list[Sequence[Any]] = list(zip(*rows)) or [()] * len(fields)
    return dict(zip((name for name, _, _ in fields), columns))


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
