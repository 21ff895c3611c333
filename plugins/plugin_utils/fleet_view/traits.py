# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of a host's facts the fleet view needs. Private to this collection.

Facts may come from another release of the collection or be damaged, so nothing here relies on their shape.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from ipaddress import IPv4Interface, IPv6Interface, ip_interface
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Listener, Process
from ansible_collections.nettriage.linux.plugins.plugin_utils.namespaces import each, label
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_cells import at

Address = IPv4Interface | IPv6Interface
_PROCESSES = 3
_GROUPS_OF_A_RELEASE = 2  # 6.1 of 6.1.0-18-amd64

# Ratios that are comparable among hosts of one role, and where the facts have them.
RATIOS = {
    "retransmit_ratio": "tcp.derived.retransmit_ratio",
    "out_of_order_ratio": "tcp.derived.out_of_order_ratio",
    "memory_ratio": "tcp.derived.memory_ratio",
    "conntrack_usage": "conntrack.usage",
    "rtt_ms": "sockets.tcp.quality.rtt_ms.median",
}


class Destination(NamedTuple):
    """A row of ``sockets.tcp.destinations``, see docs/facts.md."""

    address: str
    port: int
    states: Mapping[str, int]
    processes: list[Process]


class Interface(NamedTuple):
    """A physical interface that has a carrier, or the one of the default route."""

    name: str
    default_route: bool
    speed_mbps: int | None
    mtu: int | None
    duplex: str | None


class Node(NamedTuple):
    """A host, or one of the network namespaces on it.

    :ivar inside: what people call the namespace (``container 3f4e5d6c7b8a``); ``None`` for the host's own.
    """

    host: str
    inside: str | None = None

    def __str__(self) -> str:
        return f"{self.host} ({self.inside})" if self.inside else self.host


class Traits(NamedTuple):
    """A host as the fleet sees it, or a network namespace on it.

    :ivar machine: what the host and another name of the same host have in common; ``None`` where it is not known.
    :ivar listeners_whole: whether ``listeners`` are all that there are.
    :ivar inbound: who has a client's connections at a port, as far as the facts tell: ``{(client, port): processes}``.
    :ivar quality: ``{(address, port): (rtt_ms, retransmit_ratio)}`` of destinations.
    :ivar kernel: its release as far as behaviour depends on it: ``6.1``.
    :ivar inner: the other network namespaces of the host by their names, where they were looked into.
    """

    machine: str | None
    addresses: list[Address]
    gateways: list[str]
    listeners: list[Listener]
    listeners_whole: bool
    destinations: list[Destination]
    inbound: Mapping[tuple[str, int], list[Process]]
    quality: Mapping[tuple[str, int], tuple[float | None, float | None]]
    interfaces: list[Interface]
    settings: Mapping[str, Any]
    ratios: Mapping[str, float]
    segments: float
    kernel: str | None
    memory_bytes: float | None
    inner: Mapping[str, Traits]


def traits_of(facts: dict[str, Any]) -> Traits:
    """The traits of the host of *facts*."""
    inner = {label(identity): _traits(found, {}) for identity, found in each(facts)}
    return _traits(facts, inner)


def nodes(hosts: Mapping[str, Traits]) -> dict[Node, Traits]:
    """The traits of *hosts*, and of what is inside of them."""
    found = {}
    for host, traits in hosts.items():
        found[Node(host)] = traits
        found.update({Node(host, name): inner for name, inner in traits.inner.items()})
    return found


def inside(finding: Mapping[str, Any]) -> str | None:
    """The namespace that a host's *finding* is about; ``None`` for the host's own."""
    identity = finding.get("namespace")
    return label(identity) if isinstance(identity, Mapping) else None


def _traits(facts: Mapping[str, Any], inner: Mapping[str, Traits]) -> Traits:
    listeners = list(_listeners(facts))
    total = at(facts, "sockets.tcp.listeners_total")
    inbound, quality = _quality(facts)
    destinations = list(_destinations(facts))
    sent = at(facts, "tcp.derived.data_segments_sent")
    memory = at(facts, "meta.memory_bytes")
    settings = at(facts, "sysctl.values")
    return Traits(
        _text(at(facts, "meta.boot_id")),
        list(_addresses(facts)),
        [gateway for row in _rows(facts, "routes.default") if (gateway := _text(row.get("gateway")))],
        listeners,
        is_number(total) and total <= len(listeners),
        destinations,
        inbound,
        quality,
        list(_interfaces(facts)),
        {sys.intern(str(key)): value for key, value in settings.items()} if isinstance(settings, Mapping) else {},
        {name: value for name, path in RATIOS.items() if is_number(value := at(facts, path))},
        sent if is_number(sent) else 0,
        _release(at(facts, "meta.kernel")),
        memory if is_number(memory) else None,
        inner,
    )


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _rows(facts: Any, path: str) -> Iterator[Mapping[str, Any]]:
    yield from (row for row in _list(at(facts, path)) if isinstance(row, Mapping))


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) and value else None


def _port(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 < value < 1 << 16 else None


def _processes(row: Mapping[str, Any]) -> list[Process]:
    return [process for process in _list(row.get("processes")) if isinstance(process, Mapping)][:_PROCESSES]


def _addresses(facts: Any) -> Iterator[Address]:
    """Its own: those of its interfaces, and those that its connections come from."""
    found: dict[str, Address] = {}
    texts = [text for row in _rows(facts, "nic.interfaces") for text in _list(row.get("addresses")) if _text(text)]
    texts += [source for row in _rows(facts, "sockets.tcp.destinations") if (source := _text(row.get("source")))]
    for text in texts:
        try:
            address = ip_interface(text)
        except ValueError:
            continue
        # The first is an interface's: it knows its network.
        found.setdefault(str(address.ip), address)
    yield from found.values()


def _listeners(facts: Any) -> Iterator[Listener]:
    for row in _rows(facts, "sockets.tcp.listeners"):
        address, port = _text(row.get("address")), _port(row.get("port"))
        if address and port:
            yield Listener(address, port, _processes(row))


def _destinations(facts: Any) -> Iterator[Destination]:
    for row in _rows(facts, "sockets.tcp.destinations"):
        address, port, states = _text(row.get("address")), _port(row.get("port")), row.get("states")
        if address and port:
            counts = states.items() if isinstance(states, Mapping) else ()
            counted = {sys.intern(str(state)): number for state, number in counts if isinstance(number, int) and number}
            yield Destination(address, port, counted, _processes(row))


def _quality(
    facts: Any,
) -> tuple[dict[tuple[str, int], list[Process]], dict[tuple[str, int], tuple[float | None, float | None]]]:
    inbound, outbound = {}, {}
    for row in _rows(facts, "sockets.tcp.quality.destinations"):
        address = _text(row.get("address"))
        if address and (port := _port(row.get("listener_port"))):
            inbound[address, port] = _processes(row)
        elif address and (port := _port(row.get("port"))):
            rtt, ratio = row.get("rtt_ms"), row.get("retransmit_ratio")
            outbound[address, port] = rtt if is_number(rtt) else None, ratio if is_number(ratio) else None
    return inbound, outbound


def _interfaces(facts: Any) -> Iterator[Interface]:
    for row in _rows(facts, "nic.interfaces"):
        name, default = _text(row.get("name")), row.get("has_default_route") is True
        if name and row.get("carrier") is True and (default or row.get("virtual") is False):
            speed, mtu, duplex = row.get("speed_mbps"), row.get("mtu"), row.get("duplex")
            yield Interface(
                name,
                default,
                # What a virtual interface reports as its speed means nothing.
                speed if isinstance(speed, int) and speed > 0 and row.get("virtual") is False else None,
                mtu if isinstance(mtu, int) else None,
                duplex if duplex in ("half", "full") and row.get("virtual") is False else None,
            )


def _release(kernel: Any) -> str | None:
    parts = kernel.split("-")[0].split(".") if isinstance(kernel, str) else []
    return ".".join(parts[:_GROUPS_OF_A_RELEASE]) if len(parts) >= _GROUPS_OF_A_RELEASE else None
