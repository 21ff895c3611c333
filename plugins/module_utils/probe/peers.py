# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a host itself knows of its peers: the way there, the next hop, the sockets in between.

Private to this collection. Nothing is sent.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.routes import route_get
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_connections import Wanted, connections
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import neighbours, rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import Link

# So many sockets are looked at closely: each is asked for by itself. Those that are being opened, of which there may be
# many where nobody accepts, shall not crowd out those that stand.
_CLOSELY, _OPENING = 512, 64
# TIME_WAIT has no queue and no tcp_info, and there may be tens of thousands.
_HALF_OPEN = (diag.SYN_SENT, diag.SYN_RECV)
_STANDING = diag.CONNECTED & ~sum(1 << state for state in (diag.TIME_WAIT, diag.BOUND_INACTIVE, *_HALF_OPEN))
# Counters of tcp_info, and what their change is called.
_COUNTED = {
    "retransmitted_total": "retransmitted_delta",
    "data_segments_out": "segments_delta",
    "bytes_acked": "bytes_acked_delta",
    "bytes_received": "bytes_received_delta",
    "out_of_order_segments": "out_of_order_delta",
}


class Ways:
    """The routing of this host, read once for all peers."""

    def __init__(self, host: Host) -> None:
        """:raises Unavailable: rtnetlink cannot be asked."""
        self._host = host
        with rtnetlink.open_route() as link:
            self._links = {each.ifindex: each for each in rtnetlink.links(link)[0]}
            self._addresses = rtnetlink.addresses(link)[0]

    def rows(self, addresses: list[str]) -> list[dict[str, Any]]:
        """For each address ``{route, link, neighbour, links_down}``, as the kernel sees them now."""
        routes = [self._route(address) for address in addresses]
        hops = [route["gateway"] or address for route, address in zip(routes, addresses)]
        by_name = {shown(each.name): each for each in self._links.values()}
        states = self._states([hop for hop, route in zip(hops, routes) if route["interface"]])
        rows = []
        for address, route, hop in zip(addresses, routes, hops):
            through = by_name.get(route["interface"])
            state = states.get((through.ifindex, hop)) if through else None
            rows.append(
                {
                    "route": route,
                    "link": _link(through) if through else None,
                    "neighbour": {"address": hop, "state": state} if through else None,
                    "links_down": self._down(address) if route["error"] else [],
                }
            )
        return rows

    def _route(self, address: str) -> dict[str, Any]:
        bare, __, zone = address.partition("%")
        if zone:  # the kernel is told the interface, so there is nothing to look up
            row: dict[str, Any] = dict.fromkeys(("gateway", "source", "mtu", "table", "error"))
            return {"destination": address, "interface": zone, **row}
        return route_get(self._host, bare)

    def _states(self, hops: list[str]) -> dict[tuple[int, str], str]:
        wanted = frozenset(hop for hop in hops if "%" not in hop)
        with rtnetlink.open_route() as link:
            return neighbours.neighbours(link, wanted)[0].states if wanted else {}

    def _down(self, address: str) -> list[dict[str, Any]]:
        """Interfaces with an address that carry nothing now: their routes are gone. Nearest to *address* first."""
        rows = []
        for each in self._links.values():
            own = [one.text for one in self._addresses if one.ifindex == each.ifindex]
            if own and each.type != rtnetlink.ARPHRD_LOOPBACK and not _carries(each):
                rows.append({**_link(each), "addresses": own, "covers": any(_within(address, one) for one in own)})
        return sorted(rows, key=lambda row: not row["covers"])


def _carries(link: Link) -> bool:
    return bool((link.flags or 0) & rtnetlink.IFF_UP) and link.carrier is not False


def _link(link: Link) -> dict[str, Any]:
    return {
        "name": shown(link.name),
        "admin_up": None if link.flags is None else bool(link.flags & rtnetlink.IFF_UP),
        "carrier": link.carrier,
        "operstate": link.operstate,
        "mtu": link.mtu,
        "kind": link.kind,
    }


def _within(address: str, prefix: str) -> bool:
    """Whether *address* lies in *prefix* (``10.0.0.1/24``)."""
    own, __, length = prefix.partition("/")
    one, other = neighbours.packed(address.partition("%")[0]), neighbours.packed(own)
    if len(one) != len(other):
        return False
    shift = 8 * len(one) - int(length)
    return int.from_bytes(one, "big") >> shift == int.from_bytes(other, "big") >> shift


class Conversation(NamedTuple):
    """The sockets at one moment, each by its two ends.

    :ivar listeners: those on the port.
    :ivar sockets: connections with the peers at that port, on either side.
    :ivar half_open: how many are in these states, by their names.
    """

    listeners: dict[tuple[Any, ...], dict[str, Any]]
    sockets: dict[tuple[Any, ...], dict[str, Any]]
    half_open: dict[str, int]
    total: int


def conversation(host: Host, addresses: list[str], port: int) -> Conversation:
    """The listeners on *port* of this host, and the connections with *addresses* that have *port* on one side.

    :raises Unavailable: sockets cannot be asked for.
    """
    raw = {_packed(address) for address in addresses}
    own = connections(host, Wanted(1 << diag.LISTEN, None, port, None), _CLOSELY)
    found = connections(host, Wanted(_STANDING, raw.__contains__, port, None), _CLOSELY)
    opening = {
        diag.STATE_NAMES[state]: connections(host, Wanted(1 << state, raw.__contains__, port, None), _OPENING)
        for state in _HALF_OPEN
    }
    listeners = {_ends(row): row for row in own["connections"] if row["local_port"] == port}
    rows = [row for each in (found, *opening.values()) for row in each["connections"]]
    half_open = {name: int(each["connections_total"]) for name, each in opening.items()}
    total = int(found["connections_total"]) + sum(half_open.values())
    return Conversation(listeners, {_ends(row): row for row in rows}, half_open, total)


def _packed(address: str) -> bytes:
    raw = neighbours.packed(address.partition("%")[0])
    return raw[len(diag.MAPPED) :] if raw.startswith(diag.MAPPED) else raw


def _ends(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["local_address"], row["local_port"], row["peer_address"], row["peer_port"], row["inode"]


def told(before: Conversation | None, now: Conversation, top: int) -> dict[str, Any]:
    """What the two moments tell: of each peer at most *top* connections, those in trouble first."""
    states = {name: number for name, number in now.half_open.items() if number}
    by_peer: dict[str, list[dict[str, Any]]] = {}
    for ends, row in now.sockets.items():
        if row["state"] not in now.half_open:
            states[row["state"]] = states.get(row["state"], 0) + 1
        rows = by_peer.setdefault(row["peer_address"], [])
        rows.append(_connection(before.sockets.get(ends) if before else None, row))
    listeners = [_listener(before.listeners.get(ends) if before else None, row) for ends, row in now.listeners.items()]
    return {
        "listeners": listeners[:top],
        "listeners_total": len(listeners),
        "states": states,
        "connections_total": now.total,
        "connections": [row for rows in by_peer.values() for row in sorted(rows, key=_trouble, reverse=True)[:top]],
    }


def _trouble(row: dict[str, Any]) -> tuple[int, ...]:
    return (
        row["retransmitted_delta"] or 0,
        row["timer_retransmits"] or 0,
        min(row["receive_queue_bytes"] or 0, row["receive_queue_before_bytes"] or 0),
        min(row["send_queue_bytes"] or 0, row["send_queue_before_bytes"] or 0),
    )


def _listener(before: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    drops = row["drops"]
    known = before is not None and drops is not None and before["drops"] is not None
    return {
        "address": row["local_address"],
        "port": row["local_port"],
        "accept_queue": row["accept_queue"],
        "accept_queue_before": before["accept_queue"] if before else None,
        "backlog": row["backlog"],
        "drops": drops,
        "drops_delta": max(0, drops - before["drops"]) if known and before else None,
        "processes": row["processes"],
    }


def _connection(before: dict[str, Any] | None, row: dict[str, Any]) -> dict[str, Any]:
    info, first = row["tcp_info"] or {}, (before or {}).get("tcp_info") or {}
    changed = {
        name: max(0, info[counter] - first[counter])
        if info.get(counter) is not None and first.get(counter) is not None
        else None
        for counter, name in _COUNTED.items()
    }
    return {
        "state": row["state"],
        "local": diag.endpoint(row["local_address"], row["local_port"]),
        "peer": diag.endpoint(row["peer_address"], row["peer_port"]),
        "receive_queue_bytes": row["receive_queue_bytes"],
        "receive_queue_before_bytes": before["receive_queue_bytes"] if before else None,
        "send_queue_bytes": row["send_queue_bytes"],
        "send_queue_before_bytes": before["send_queue_bytes"] if before else None,
        "timer": row["timer"],
        "timer_retransmits": row["timer_retransmits"],
        **changed,
        "rtt_ms": info.get("rtt_ms"),
        "path_mtu": info.get("path_mtu"),
        "send_window_bytes": info.get("send_window_bytes"),
        "receive_window_bytes": info.get("receive_window_bytes"),
        "process": row["processes"][0] if row["processes"] else None,
    }


def available(work: Any, what: str) -> tuple[Any, str | None]:
    """What *work* gives, or ``None`` and why it cannot be had."""
    try:
        return work(), None
    except (Unavailable, OSError, ValueError) as error:
        return None, why(error, what)
