# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for connections on their way out. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
    enough,
)

_TIME_WAIT_BYTES = 256
_MOST_BUCKETS = 1 << 20


def _fin_timeout(case: Case) -> Proposal:
    """Frees closed connections sooner whose peer never closes; TIME_WAIT is another thing."""
    key = "net.ipv4.tcp_fin_timeout"
    current, wanted = case.number(key) or 0, case.policy.fin_timeout_s
    orphans = case.at("sockets.tcp.orphans.fin_wait2")
    why = "orphans in FIN_WAIT2 end sooner; TIME_WAIT stays at its 60 s, which no setting changes"
    return Proposal(
        [Change(key, wanted, why, "sockets.tcp.orphans.fin_wait2", raises=False)] if current > wanted else [],
        [
            case.exists(key),
            Guard(
                "there are orphans in FIN_WAIT2",
                orphans is None or orphans > 0,
                f"{'an unknown number' if orphans is None else orphans} of orphaned sockets in FIN_WAIT2",
            ),
        ],
    )


def _tw_buckets(case: Case) -> Proposal:
    """Lets more connections be in TIME_WAIT at the same time."""
    key = "net.ipv4.tcp_max_tw_buckets"
    current = case.number(key) or 0
    target = enough(
        current, case.policy.tw_buckets, _MOST_BUCKETS, bool(case.at("tcp.delta.TcpExt.TCPTimeWaitOverflow"))
    )
    why = "beyond it connections skip TIME_WAIT and late segments may meet a new connection"
    cost = (target - current) * _TIME_WAIT_BYTES
    return Proposal(
        [Change(key, target, why, "tcp.delta.TcpExt.TCPTimeWaitOverflow", cost)] if target > current else [],
        [case.exists(key)],
    )


FIN_TIMEOUT = Remedy("fin_timeout", ("tcp.fin_wait2",), "low", ("net.ipv4.tcp_fin_timeout",), _fin_timeout)
TW_BUCKETS = Remedy("tw_buckets", ("tcp.time_wait_overflow",), "low", ("net.ipv4.tcp_max_tw_buckets",), _tw_buckets)
