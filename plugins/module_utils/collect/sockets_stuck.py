# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connections on which something waits: queues that do not drain, segments that nobody acknowledges.

Private to this collection.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_past import COUNTED, Past
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import per_second

# The segment was sent three times: RFC 6298's timer has doubled twice.
_BACKOFF = 2
_ACKED = 2 + COUNTED.index("bytes_acked")
_RECEIVED = 2 + COUNTED.index("bytes_received")


class _Row(NamedTuple):
    one: diag.Socket
    info: dict[str, int | None]
    past: tuple[int, ...] | None

    @property
    def acked_delta(self) -> int | None:
        acked = self.info["bytes_acked"]
        return acked - self.past[_ACKED] if acked is not None and self.past is not None else None

    @property
    def read_delta(self) -> int | None:
        """How many bytes the program has read since the first sample."""
        received = self.info["bytes_received"]
        if received is None or self.past is None:
            return None
        return max(0, received - self.past[_RECEIVED] - (self.one.receive_queue - self.past[0]))


class Stuck:
    """What stands out among the connections of *now*.

    :ivar inodes: of the sockets whose owners the facts will name.
    """

    def __init__(self, now: Sample, past: Past | None, window: Window) -> None:
        self._past, self._compared = past, past is not None
        self._seconds, top = window.seconds, window.top
        receive = [self._row(message) for __, message in now.census.receive]
        send = [self._row(message) for __, message in now.census.send]
        # First what was there before and is there still, then what is most.
        receive.sort(
            key=lambda row: (min(row.one.receive_queue, row.past[0] if row.past else 0), row.one.receive_queue)
        )
        send.sort(
            key=lambda row: (row.acked_delta == 0 and row.past is not None and row.past[1] > 0, row.one.send_queue)
        )
        self._receive, self._send = receive[: -top - 1 : -1], send[: -top - 1 : -1]
        stalled = [row for row in map(self._row, now.census.suspects) if _is_stalled(row)]
        stalled.sort(key=lambda row: (row.info["backoff"] or row.one.retransmits, row.one.send_queue), reverse=True)
        self._stalled = stalled[:top]
        self.inodes = {row.one.inode for row in (*self._receive, *self._send, *self._stalled)}

    def _row(self, message: bytes) -> _Row:
        (one,) = diag.rows(Batch(message, len(message), len(message)))
        return _Row(
            one, tcp_info.parse(one.attributes.get(diag.INFO, b"")), self._past.find(one.cookie) if self._past else None
        )

    def queues(self, owners: Owners) -> dict[str, list[dict[str, Any]]]:
        """The part ``queues`` of the facts."""
        receive = [
            {
                **_who(row),
                "bytes": row.one.receive_queue,
                "bytes_before": row.past[0] if row.past else None,
                "bytes_read_per_s": per_second(row.read_delta, self._seconds),
                "process": owners.one(row.one.inode),
            }
            for row in self._receive
        ]
        send = [
            {
                **_who(row),
                "bytes": row.one.send_queue,
                "bytes_before": row.past[1] if row.past else None,
                "unacked": row.info["unacked"],
                "bytes_acked_delta": row.acked_delta,
                "process": owners.one(row.one.inode),
            }
            for row in self._send
        ]
        return {"receive": receive, "send": send}

    def stalled(self, owners: Owners, progressed: set[bytes]) -> list[dict[str, Any]]:
        """The part ``stalled`` of the facts.

        :param progressed: the peer addresses that acknowledged something on any connection in the interval.
        """
        return [
            {
                **_who(row),
                "backoff": row.info["backoff"],
                "unacked": row.info["unacked"],
                "retransmits": row.one.retransmits,
                "mss": row.info["snd_mss"],
                "path_mtu": row.info["pmtu"],
                "sacked": row.info["sacked"],
                "bytes_acked_delta": row.acked_delta,
                "peer_progress": normal(row.one.family, row.one.destination) in progressed if self._compared else None,
                "process": owners.one(row.one.inode),
            }
            for row in self._stalled
        ]


def _is_stalled(row: _Row) -> bool:
    backoff, unacked = row.info["backoff"], row.info["unacked"]
    if backoff is None or unacked is None:  # no tcp_info: the retransmits of the bare socket say as much
        return True
    return backoff >= _BACKOFF and unacked > 0 and not row.acked_delta


def _who(row: _Row) -> dict[str, Any]:
    one = row.one
    return {
        "local": diag.endpoint(diag.address(one.family, one.source), one.port),
        "peer": diag.endpoint(diag.address(one.family, one.destination), one.peer_port),
        "state": diag.STATE_NAMES.get(one.state),
    }
