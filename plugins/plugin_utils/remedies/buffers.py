# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for socket buffers that are smaller than the path or the bursts. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
    enough,
    owners,
)

_PAGE = 4096
_STEP = 65536


def _rtt_ms(case: Case) -> float | None:
    return case.policy.rtt_ms or case.at("sockets.tcp.quality.min_rtt_ms.p95")


def _bandwidth_mbps(case: Case) -> float | None:
    if case.policy.bandwidth_mbps:
        return case.policy.bandwidth_mbps
    speeds = [
        row["speed_mbps"]
        for row in case.rows("nic.interfaces")
        if row["has_default_route"] and row["speed_mbps"] and not row["virtual"]
    ]
    return max(speeds) if speeds else None


def _buffers(case: Case) -> Proposal:
    """Lets the buffers of TCP grow to twice the bandwidth-delay product of the path, as far as memory allows."""
    rtt, bandwidth = _rtt_ms(case), _bandwidth_mbps(case)
    receive, send = case.triple("net.ipv4.tcp_rmem"), case.triple("net.ipv4.tcp_wmem")
    limits, used = case.triple("net.ipv4.tcp_mem"), case.at("tcp.derived.memory_ratio")
    connections = case.at("sockets.tcp.quality.connections") or 0
    changes = []
    wanted = 0
    if rtt and bandwidth:
        product = bandwidth * 1e6 / 8 * rtt / 1e3
        wanted = min(int(-(-2 * product // _STEP) * _STEP), case.policy.buffer_max_bytes)
        for key, current in (("net.ipv4.tcp_rmem", receive), ("net.ipv4.tcp_wmem", send)):
            if current and current[2] < wanted:
                why = f"twice the bandwidth-delay product of {bandwidth:g} Mbit/s and {rtt:g} ms"
                path = "sockets.tcp.quality." + ("rwnd_limited_share" if "rmem" in key else "sndbuf_limited_share")
                cost = (wanted - current[2]) * connections
                changes.append(Change(key, [current[0], current[1], wanted], why, path, memory_bytes=cost))
    busy = max(connections, 1)
    return Proposal(
        changes,
        [
            case.exists("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
            Guard(
                "round-trip time and bandwidth are known",
                bool(rtt and bandwidth),
                f"round-trip time {rtt or 'unknown'} ms, bandwidth {bandwidth or 'unknown'} Mbit/s;"
                " state rtt_ms and bandwidth_mbps where they cannot be measured",
            ),
            Guard(
                "no memory pressure",
                not case.found("tcp.memory") and (used is None or used < 0.8),
                "TCP uses "
                + ("an unknown share" if used is None else f"{used:.0%}")
                + " of what it may before pressure",
            ),
            Guard(
                "fits into tcp_mem",
                not limits or wanted * busy < limits[1] * _PAGE,
                f"{wanted} bytes on each of {busy} connections, pressure begins at "
                + (
                    f"{limits[1] * _PAGE} bytes" if limits else "an unknown limit: this namespace does not show tcp_mem"
                ),
            ),
            Guard(
                "window scaling on",
                case.number("net.ipv4.tcp_window_scaling") != 0,
                f"net.ipv4.tcp_window_scaling is {case.value('net.ipv4.tcp_window_scaling')};"
                " without it no window exceeds 64 KiB",
            ),
        ],
    )


def _udp_buffers(case: Case) -> Proposal:
    """Gives UDP sockets that drop datagrams a larger receive buffer, by the limit that holds them."""
    policy = case.policy
    default, most = case.number("net.core.rmem_default") or 0, case.number("net.core.rmem_max") or 0
    dropping = [row for row in case.rows("sockets.udp.sockets") if row["drops_delta"]]
    # The kernel doubles what SO_RCVBUF asks for, so a socket at its cap shows twice rmem_max.
    capped = [row for row in dropping if (row["receive_buffer_bytes"] or 0) >= 2 * most]
    plain = [row for row in dropping if row["receive_buffer_bytes"] == default]
    changes = []
    if plain or not dropping:
        target = enough(default, policy.udp_buffer_bytes, policy.buffer_max_bytes, bool(plain))
        changes.append(_raised(case, "net.core.rmem_default", default, target, "sockets that set no SO_RCVBUF get it"))
    if capped or not dropping:
        target = enough(most, policy.udp_buffer_bytes, policy.buffer_max_bytes, bool(capped))
        changes.append(_raised(case, "net.core.rmem_max", most, target, "it caps what SO_RCVBUF may ask for"))
    return Proposal(
        [change for change in changes if change is not None],
        [
            case.exists("net.core.rmem_default", "net.core.rmem_max"),
            Guard(
                "the limit is the host's",
                not dropping or bool(plain or capped),
                "the dropping sockets were opened with another SO_RCVBUF below net.core.rmem_max: theirs to raise"
                if dropping and not (plain or capped)
                else f"{len(plain)} dropping sockets use the default, {len(capped)} are at the cap",
            ),
        ],
        [name for row in dropping for name in owners(row["processes"])],
    )


def _raised(case: Case, key: str, current: int, target: int, why: str) -> Change | None:
    sockets = case.at("sockets.udp.total") or 0
    cost = (target - current) * sockets
    return Change(key, target, why, "tcp.delta.Udp.RcvbufErrors", memory_bytes=cost) if target > current else None


BUFFERS = Remedy(
    "buffers",
    ("tcp.buffers_below_bdp", "tcp.receive_pruned"),
    "medium",
    ("net.ipv4.tcp_rmem", "net.ipv4.tcp_wmem"),
    _buffers,
)
UDP_BUFFERS = Remedy(
    "udp_buffers", ("udp.receive_errors",), "low", ("net.core.rmem_default", "net.core.rmem_max"), _udp_buffers
)
