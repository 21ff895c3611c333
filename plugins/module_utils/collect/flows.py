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

# A walk of a table this large takes seconds; what lies beyond is not looked at, and that is said.
_MAX_FLOWS = 2_000_000
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
    with Netlink(NETLINK_NETFILTER) as link:
        counts, cut = ctnetlink.count_flows(link, _MAX_FLOWS)
        interrupted = link.interrupted
    protocols: dict[str, int] = {}
    states: dict[str, int] = {}
    sources: dict[bytes, int] = {}
    destinations: dict[Any, int] = {}
    unreplied = 0
    for flow, count in counts.items():
        protocol = _PROTOCOLS.get(flow.protocol, str(flow.protocol))
        _add(protocols, protocol, count)
        if flow.state is not None:
            known = flow.state < len(ctnetlink.TCP_STATES)
            _add(states, ctnetlink.TCP_STATES[flow.state] if known else str(flow.state), count)
        _add(sources, flow.source, count)
        _add(destinations, (flow.destination, flow.port, protocol), count)
        unreplied += 0 if flow.replied else count
    return {
        "flows": sum(counts.values()),
        "complete": not (cut or interrupted),
        "unreplied": unreplied,
        "protocols": protocols,
        "tcp_states": states,
        "sources_total": len(sources),
        "sources": [{"address": _address(raw), "count": count} for raw, count in _most(sources, rows)],
        "destinations_total": len(destinations),
        "destinations": [
            {"address": _address(raw), "port": port, "protocol": protocol, "count": count}
            for (raw, port, protocol), count in _most(destinations, rows)
        ],
    }


def _add(counts: dict[Any, int], key: Any, count: int) -> None:
    counts[key] = counts.get(key, 0) + count


def _most(counts: dict[Any, int], rows: int) -> list[tuple[Any, int]]:
    return sorted(counts.items(), key=lambda item: (-item[1], repr(item[0])))[:rows]


def _address(raw: bytes) -> str:
    family = {4: socket.AF_INET, 16: socket.AF_INET6}.get(len(raw))
    return raw.hex() if family is None else socket.inet_ntop(family, raw)
