# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who fills the connection tracking table: what the module conntrack_facts adds. Private to this collection."""

from __future__ import annotations

import socket
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.collect import conntrack
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ctnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import NETLINK_NETFILTER, Netlink

# How much of the table is looked at: some three seconds. If there is more, that is said.
_MAX_FLOWS = 500_000
_PROTOCOLS = {1: "icmp", 6: "tcp", 17: "udp", 33: "dccp", 47: "gre", 58: "icmpv6", 132: "sctp", 136: "udplite"}


def conntrack_facts(host: Host, params: dict[str, Any]) -> Facts:
    """The result of the module of this name."""
    found = gather(host, {"conntrack": conntrack}, params["interval"], params["top"])["conntrack"]
    if params["flows"] and found.get("in_use"):
        try:
            found["top"] = top(host, params["top"])
        except Unavailable as error:
            found["top"] = None
            found["limited"] = [*found["limited"], f"flows: {error}; they need CAP_NET_ADMIN"]
    return {"ansible_facts": {"nettriage_conntrack": found}}


def top(host: Host, rows: int) -> Facts:
    """Who fills the table: the sources and destinations with most entries, and the states they are in.

    :raises Unavailable: the table may not be read.
    """
    ctnetlink.require(host)
    protocols: dict[int, int] = {}
    states: dict[int, int] = {}
    sources: dict[bytes, int] = {}
    destinations: dict[tuple[bytes, int | None, int], int] = {}
    seen = unreplied = 0
    with Netlink(NETLINK_NETFILTER) as link:
        for flow in ctnetlink.flows(link):
            seen += 1
            unreplied += not flow.replied
            protocols[flow.protocol] = protocols.get(flow.protocol, 0) + 1
            sources[flow.source] = sources.get(flow.source, 0) + 1
            destination = (flow.destination, flow.port, flow.protocol)
            destinations[destination] = destinations.get(destination, 0) + 1
            if flow.state is not None:
                states[flow.state] = states.get(flow.state, 0) + 1
            if seen == _MAX_FLOWS:
                break
        complete = seen < _MAX_FLOWS and not link.interrupted
    return {
        "flows": seen,
        "complete": complete,
        "unreplied": unreplied,
        "protocols": {_protocol(number): count for number, count in protocols.items()},
        "tcp_states": {_state(number): count for number, count in states.items()},
        "sources_total": len(sources),
        "sources": [{"address": _address(raw), "count": count} for raw, count in _most(sources, rows)],
        "destinations_total": len(destinations),
        "destinations": [
            {"address": _address(raw), "port": port, "protocol": _protocol(protocol), "count": count}
            for (raw, port, protocol), count in _most(destinations, rows)
        ],
    }


def _protocol(number: int) -> str:
    return _PROTOCOLS.get(number, str(number))


def _state(number: int) -> str:
    return ctnetlink.TCP_STATES[number] if number < len(ctnetlink.TCP_STATES) else str(number)


def _most(counts: dict[Any, int], rows: int) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], repr(item[0])))[:rows]


def _address(raw: bytes) -> str:
    family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(raw))
    return raw.hex() if family is None else socket.inet_ntop(family, raw)
