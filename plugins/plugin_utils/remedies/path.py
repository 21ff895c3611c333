# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for packets that the path or the routing loses. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
)


def _mtu_probing(case: Case) -> Proposal:
    """Lets TCP find out by itself that full-sized segments vanish on the way."""
    key = "net.ipv4.tcp_mtu_probing"
    # 2 would start every connection at base_mss; 1 probes only once a black hole shows.
    why = "a connection whose full-sized segments vanish tries smaller ones by itself"
    changes = [Change(key, 1, why, "tcp.delta.TcpExt.TCPMTUPSuccess", raises=False, proof="rises")]
    return Proposal(changes if case.number(key) == 0 else [], [case.exists(key)])


def _rp_filter(case: Case) -> Proposal:
    """Loosens the reverse path filter on interfaces of which asymmetric routing is stated; never switches it off."""
    rows = {row["interface"]: row for row in case.rows("routes.rp_filter")}
    stated = case.policy.asymmetric_interfaces
    unknown = [name for name in stated if name not in rows]
    why = "replies to what arrives here leave by another interface; loose mode only asks that the source is reachable"
    changes = [
        Change(f"net/ipv4/conf/{name}/rp_filter", 2, why, "tcp.delta.TcpExt.IPReversePathFilter", raises=False)
        for name in stated
        if name in rows and rows[name]["effective"] == 1
    ]
    return Proposal(
        changes,
        [
            Guard(
                "asymmetric routing is known",
                bool(stated),
                f"stated for {', '.join(stated)}"
                if stated
                else "asymmetric_interfaces states none; with symmetric routing the dropped packets are spoofed",
            ),
            Guard(
                "the interfaces exist", not unknown, f"not on this host: {', '.join(unknown)}" if unknown else "they do"
            ),
        ],
    )


MTU_PROBING = Remedy("mtu_probing", ("path.mtu_black_hole",), "low", ("net.ipv4.tcp_mtu_probing",), _mtu_probing)
RP_FILTER = Remedy("rp_filter", ("ip.rp_filter_drops",), "medium", ("net/ipv4/conf/*/rp_filter",), _rp_filter)
