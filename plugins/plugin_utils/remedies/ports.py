# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for outgoing connections that run out of local ports. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
)


def _reuse(case: Case) -> Proposal:
    """Lets connect() take over ports whose former connection is in TIME_WAIT for more than a second."""
    rows = [row for row in case.rows("sockets.tcp.destinations") if row["port_usage"]]
    waiting = sum(row["states"].get("time_wait", 0) for row in rows)
    used = sum(row["ports_used"] for row in rows)
    share = waiting / used if used else 0.0
    current = case.number("net.ipv4.tcp_tw_reuse")
    changes = [
        Change(
            "net.ipv4.tcp_tw_reuse",
            1,
            "an outgoing connection may take over a port whose former connection closed more than a second ago",
            "tcp.delta.TcpExt.TWRecycled",
            raises=False,
            proof="rises",
        )
    ]
    guards = [
        case.exists("net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_timestamps"),
        Guard(
            "timestamps on",
            bool(case.number("net.ipv4.tcp_timestamps")),
            f"net.ipv4.tcp_timestamps is {case.value('net.ipv4.tcp_timestamps')}; without timestamps nothing is reused",
        ),
        Guard(
            "ports are held by TIME_WAIT",
            not case.found("tcp.ephemeral_ports") or share >= 0.5,
            f"{waiting} of the {used} ports in use are in TIME_WAIT; the others are held by open connections,"
            " which no setting frees",
        ),
    ]
    if current == 1:
        changes = []
    if case.number("net.ipv4.tcp_tw_recycle"):
        changes.append(
            Change(
                "net.ipv4.tcp_tw_recycle",
                0,
                "it drops connections of clients behind NAT",
                "sysctl.values",
                raises=False,
                proof="set",
            )
        )
    return Proposal(changes, guards)


def _range(case: Case) -> Proposal:
    """Widens the range of ephemeral ports, and reserves the ports of the services that listen within it."""
    now = case.value("net.ipv4.ip_local_port_range")
    current = now if isinstance(now, list) and len(now) == 2 else [32768, 60999]
    low, high = min(case.policy.port_range[0], current[0]), max(case.policy.port_range[1], current[1])
    if low % 2 == high % 2:
        low += 1
    listeners = case.rows("sockets.tcp.listeners")
    total = case.at("sockets.tcp.listeners_total") or 0
    bound = [*listeners, *case.rows("sockets.udp.sockets")]
    taken = sorted({row["port"] for row in bound if row["port"] and low <= row["port"] <= high})
    reserved = merged_ports(case.value("net.ipv4.ip_local_reserved_ports"), case.policy.reserved_ports, taken)
    start = case.number("net.ipv4.ip_unprivileged_port_start") or 1024
    changes = [
        Change(
            "net.ipv4.ip_local_port_range",
            [low, high],
            f"{high - low + 1} local ports towards each destination instead of {current[1] - current[0] + 1}",
            "sockets.tcp.destinations.port_usage",
            raises=False,
        )
    ]
    if reserved != merged_ports(case.value("net.ipv4.ip_local_reserved_ports"), "", []):
        changes.insert(
            0,
            Change(
                "net.ipv4.ip_local_reserved_ports",
                reserved,
                "ports of this host's own services must not be taken for outgoing connections",
                "sysctl.values",
                raises=False,
                proof="set",
            ),
        )
    return Proposal(
        [] if [low, high] == current else changes,
        [
            case.exists("net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"),
            Guard(
                "all listeners are known",
                len(listeners) >= total,
                f"{len(listeners)} of {total} listeners were gathered; their ports have to be reserved first",
            ),
            Guard(
                "above the privileged ports", low >= start, f"the lowest port {low}, privileged ports end below {start}"
            ),
        ],
    )


def merged_ports(current: object, stated: str, ports: list[int]) -> str:
    """The union of port lists as ``ip_local_reserved_ports`` prints it: ``1,5-7``.

    :raises ValueError: a list that the kernel would not print.
    """
    wanted = set(ports)
    for text in (str(current or ""), stated):
        for part in text.replace(" ", "").split(","):
            first, __, last = part.partition("-")
            if first:
                wanted.update(range(int(first), int(last or first) + 1))
    runs: list[list[int]] = []
    for port in sorted(wanted):
        if runs and runs[-1][1] == port - 1:
            runs[-1][1] = port
        else:
            runs.append([port, port])
    return ",".join(f"{first}" if first == last else f"{first}-{last}" for first, last in runs)


TW_REUSE = Remedy(
    "tw_reuse",
    ("tcp.ephemeral_ports", "sysctl.tcp_tw_recycle"),
    "low",
    ("net.ipv4.tcp_tw_reuse", "net.ipv4.tcp_tw_recycle"),
    _reuse,
)
PORT_RANGE = Remedy(
    "port_range",
    ("tcp.ephemeral_ports",),
    "low",
    ("net.ipv4.ip_local_port_range", "net.ipv4.ip_local_reserved_ports"),
    _range,
)
