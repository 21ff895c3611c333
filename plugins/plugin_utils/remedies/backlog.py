# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for connections that wait at a listener. Private to this collection."""

from __future__ import annotations

from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
    enough,
    owners,
)

_HIGHEST = 65535


def _full(case: Case) -> list[dict[str, Any]]:
    return [row for row in case.rows("sockets.tcp.listeners") if (row["fill"] or 0) >= 0.8 or row["drops_delta"]]


def _accept_backlog(case: Case) -> Proposal:
    """Lets listeners that are as long as somaxconn allows have a longer accept queue, after a restart."""
    somaxconn = case.number("net.core.somaxconn") or 0
    limited = [row for row in _full(case) if row["backlog"] == somaxconn]
    smaller = [row for row in _full(case) if row["backlog"] < somaxconn]
    own = "; ".join(
        f"{row['address']}:{row['port']} asked for {row['backlog']} in listen(), or has to be restarted"
        for row in smaller
    )
    target = enough(somaxconn, case.policy.somaxconn, _HIGHEST, bool(limited))
    why = "the accept queue of {} is as long as somaxconn allows".format(
        ", ".join(f"{row['address']}:{row['port']}" for row in limited) or "a listener"
    )
    changes = (
        [Change("net.core.somaxconn", target, why, "tcp.delta.TcpExt.ListenOverflows")] if target > somaxconn else []
    )
    syn_backlog = case.number("net.ipv4.tcp_max_syn_backlog")
    if case.number("net.ipv4.tcp_syncookies") == 0 and syn_backlog is not None and syn_backlog < target:
        changes.append(
            Change(
                "net.ipv4.tcp_max_syn_backlog",
                target,
                "without SYN cookies it limits the half-open connections",
                "tcp.delta.TcpExt.TCPReqQFullDrop",
            )
        )
    accepted = case.at("tcp.delta.Tcp.PassiveOpens")
    restart = [name for row in limited for name in owners(row["processes"])]
    return Proposal(
        changes,
        [
            case.exists("net.core.somaxconn"),
            Guard(
                "somaxconn is the limit",
                bool(limited) or not smaller,
                f"somaxconn is {somaxconn}; {own or 'no full listener asked for less'}",
            ),
            Guard(
                "the service accepts connections",
                not limited or accepted is None or accepted > 0,
                "not one connection got through during the sample: a longer queue would only hide that"
                if accepted == 0
                else "connections are being taken from the queue",
            ),
        ],
        restart,
    )


def _syn_cookies(case: Case) -> Proposal:
    """Answers handshakes with SYN cookies when the queue of half-open connections is full, and only then."""
    current = case.number("net.ipv4.tcp_syncookies")
    why = (
        "handshakes go on when the queue of half-open connections is full"
        if current == 0
        else ("2 sends cookies always and costs every connection its options; 1 sends them under pressure only")
    )
    changes = [Change("net.ipv4.tcp_syncookies", 1, why, "tcp.delta.TcpExt.TCPReqQFullDrop", raises=False)]
    return Proposal(changes if current != 1 else [], [case.exists("net.ipv4.tcp_syncookies")])


ACCEPT_BACKLOG = Remedy(
    "accept_backlog",
    ("tcp.accept_queue", "tcp.syn_queue"),
    "low",
    ("net.core.somaxconn", "net.ipv4.tcp_max_syn_backlog"),
    _accept_backlog,
)
SYN_COOKIES = Remedy(
    "syn_cookies", ("tcp.syn_queue", "tcp.syn_flood"), "low", ("net.ipv4.tcp_syncookies",), _syn_cookies
)
