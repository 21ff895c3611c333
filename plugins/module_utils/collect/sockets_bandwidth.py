# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What connections carry, by peer, process and interface, from the byte counters of tcp_info.

Private to this collection. It is the payload that TCP has delivered, without headers and what was sent again. A
connection that came and went between two samples is not seen.
"""

from __future__ import annotations

import socket
from typing import Any, Iterable, NamedTuple, Sequence, Union

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import Census
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_tables import ratio
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.cgroups import Group
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, shown

# Rows of each interface: its culprits, not its whole traffic.
_BELOW = 3
_NAMED_SOCKETS = 256
# Routes that are looked up for connections whose own address tells no interface.
_LOOKUPS = 64
_LOOPBACK = 1


class Flow(NamedTuple):
    """What one connection carried in the interval; ports and addresses as they lie in a message."""

    family: int
    source: bytes
    port: int
    destination: bytes
    peer_port: int
    inode: int
    received: int
    acked: int


class _Sum:
    """Several flows together; they come busiest first."""

    def __init__(self) -> None:
        self.flows: list[Flow] = []
        self.received = self.acked = 0

    def add(self, flow: Flow) -> None:
        self.flows.append(flow)
        self.received += flow.received
        self.acked += flow.acked


_Holder = Union[int, Group]


class Bandwidth:
    """The flows of one interval.

    :ivar inodes: of their sockets, whose owners the facts will name.
    """

    def __init__(self, host: Host, flows: list[Flow], census: Census, window: Window) -> None:
        self._flows = sorted(flows, key=lambda flow: flow.received + flow.acked, reverse=True)
        self._called = census.outbound([flow.port for flow in self._flows])
        # Now, while this process is in the namespace of these connections.
        ways = _Ways(host, bool(flows))
        self._through = [ways.interface(flow) for flow in self._flows]
        self._window = window
        self.inodes = {flow.inode for flow in flows}

    def busiest(self, owners: Owners) -> list[dict[str, Any]]:
        """The part ``flows`` of the quality."""
        return [
            {**self._flow(flow, owners), "interface": name}
            for flow, name in zip(self._flows[: self._window.top], self._through)
        ]

    def facts(self, owners: Owners) -> dict[str, Any]:
        """The part ``bandwidth`` of the facts."""
        places: dict[tuple[Any, ...], _Sum] = {}
        holders: dict[_Holder, _Sum] = {}
        interfaces: dict[str | None, _Sum] = {}
        everything = _Sum()
        for called, name, flow in zip(self._called, self._through, self._flows):
            port = flow.peer_port if called else flow.port
            place = (called, diag.address(flow.family, flow.destination), diag.raw_port(port))
            everything.add(flow)
            places.setdefault(place, _Sum()).add(flow)
            holders.setdefault(owners.holder(flow.inode), _Sum()).add(flow)
            interfaces.setdefault(name, _Sum()).add(flow)
        top = self._window.top
        return {
            **self._figures(everything),
            "destinations_total": len(places),
            "destinations": [
                {
                    "address": address,
                    "port": port if called else None,
                    "listener_port": None if called else port,
                    **self._figures(each),
                    "processes": owners.of(flow.inode for flow in each.flows[:_NAMED_SOCKETS]),
                }
                for (called, address, port), each in _most(places, top)
            ],
            "processes_total": len(holders),
            "processes": self._processes(holders, owners, top),
            "interfaces": [
                {
                    "name": name,
                    **self._figures(each),
                    "processes": self._processes(_by_holder(each.flows, owners), owners, _BELOW),
                    "flows": [self._flow(flow, owners) for flow in each.flows[:_BELOW]],
                }
                for name, each in _most(interfaces, top)
            ],
        }

    def _processes(self, holders: dict[_Holder, _Sum], owners: Owners, rows: int) -> list[dict[str, Any]]:
        return [{**owners.describe(holder), **self._figures(each)} for holder, each in _most(holders, rows)]

    def _figures(self, each: _Sum) -> dict[str, Any]:
        return {"connections": len(each.flows), "rx_mbps": self._mbps(each.received), "tx_mbps": self._mbps(each.acked)}

    def _flow(self, flow: Flow, owners: Owners) -> dict[str, Any]:
        return {
            "local": diag.endpoint(diag.address(flow.family, flow.source), diag.raw_port(flow.port)),
            "peer": diag.endpoint(diag.address(flow.family, flow.destination), diag.raw_port(flow.peer_port)),
            "rx_mbps": self._mbps(flow.received),
            "tx_mbps": self._mbps(flow.acked),
            "process": owners.one(flow.inode),
        }

    def _mbps(self, size: int) -> float | None:
        return ratio(size * 8e-6, self._window.seconds or 0.0)


class _Ways:
    """Through which interface a connection goes.

    That is the one with its own address; for an address of the loopback interface, as load balancers and anycast give
    to their servers, the one to which the route leads; between two addresses of this host the loopback interface.
    """

    def __init__(self, host: Host, wanted: bool) -> None:
        self._local: dict[str, int] = {}
        self._routes: dict[str, str | None] = {}
        self._names: dict[int, str | None] = {}
        self._live = wanted and host.live
        if self._live:
            try:
                with rtnetlink.open_route() as link:
                    self._local = {one.text.partition("/")[0]: one.ifindex for one in rtnetlink.addresses(link)[0]}
            except Unavailable:
                self._live = False

    def interface(self, flow: Flow) -> str | None:
        """Its name, ``None`` where that cannot be told."""
        if not self._live:
            return None
        local, peer = diag.address(flow.family, flow.source), diag.address(flow.family, flow.destination)
        index = self._local.get(local)
        if peer in self._local or peer.startswith("127."):
            return self._name(_LOOPBACK)
        if index is not None and index != _LOOPBACK:
            return self._name(index)
        if peer not in self._routes:
            self._routes[peer] = self._route(peer) if len(self._routes) < _LOOKUPS else None
        return self._routes[peer]

    def _route(self, peer: str) -> str | None:
        try:
            with rtnetlink.open_route() as link:
                index = rtnetlink.way(link, peer).ifindex
        except Unavailable:
            return None
        return self._name(index) if index else None

    def _name(self, index: int) -> str | None:
        if index not in self._names:
            try:
                self._names[index] = shown(socket.if_indextoname(index))
            except OSError:
                self._names[index] = None
        return self._names[index]


def _by_holder(flows: Iterable[Flow], owners: Owners) -> dict[_Holder, _Sum]:
    found: dict[_Holder, _Sum] = {}
    for flow in flows:
        found.setdefault(owners.holder(flow.inode), _Sum()).add(flow)
    return found


def _most(sums: dict[Any, _Sum], rows: int) -> Sequence[tuple[Any, _Sum]]:
    return sorted(sums.items(), key=lambda item: item[1].received + item[1].acked, reverse=True)[:rows]
