# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who of the fleet has an address, and what listens there. Private to this collection.

Nothing is guessed: an address that several hosts have is nobody's in particular, and neither is one in a network that
several hosts have each for itself, as every Docker host has a 172.17.0.0/16.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Listener
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import Node, Traits

Network = IPv4Network | IPv6Network
_ANY = ("0.0.0.0", "::")  # noqa: S104  # compared with, not bound to
_ALONE = 2  # so many hosts have a network each for itself


class Place(NamedTuple):
    """Where a connection goes.

    :ivar node: who has the address; ``None`` where it cannot be told, or nobody of the fleet has it.
    :ivar candidates: who might have it.
    :ivar listener: what accepts there, where that is known.
    :ivar note: what cannot be told, as one sentence.
    """

    address: str
    port: int | None
    node: Node | None = None
    candidates: tuple[Node, ...] = ()
    listener: Listener | None = None
    note: str | None = None

    @property
    def ambiguous(self) -> bool:
        """Whether somebody of the fleet has the address and nobody can tell who."""
        return self.node is None and bool(self.candidates)

    @property
    def host(self) -> str | None:
        """The host that has the address, itself or in a namespace."""
        return self.node.host if self.node else None

    @property
    def inside(self) -> str | None:
        """The namespace that has it."""
        return self.node.inside if self.node else None


class Owners:
    """The addresses of all hosts.

    :param stated: addresses that the inventory states, by host: also of hosts that could not be looked at.
    """

    def __init__(self, traits: Mapping[Node, Traits], stated: Mapping[str, str]) -> None:
        self._traits = traits
        self._owners: dict[str, list[Node]] = {}
        for node, each in traits.items():
            for address in each.addresses:
                self._add(str(address.ip), node)
        for host, text in stated.items():
            parsed = parse(text)
            if parsed is not None:
                self._add(str(parsed), Node(host))
        self._identity = {
            node: (each.machine, frozenset(str(address.ip) for address in each.addresses))
            for node, each in traits.items()
            if each.machine
        }
        self._repeated = self._repeated_networks()

    def _add(self, address: str, node: Node) -> None:
        owners = self._owners.setdefault(address, [])
        if node not in owners and not _local(address):
            owners.append(node)

    def find(self, source: Node, address: str, port: int | None) -> Place | None:
        """Where a connection of *source* to *address* and *port* goes; ``None`` where it stays there."""
        address = address.partition("%")[0]
        owners = self._owners.get(address, [])
        if source in owners or _local(address):
            return None
        if not owners:
            return Place(address, port)
        own = [node for node in owners if node.host == source.host]
        if len(own) == 1:
            # What several hosts have each for itself is here this host's.
            return self._at(own[0], source, address, port)
        network = self._repeated_at(address)
        if network is not None:
            return Place(
                address, port, None, tuple(owners), None, f"several hosts have the network {network} each for itself"
            )
        if len(owners) > 1 and not self._one_machine(owners):
            return Place(address, port, None, tuple(owners), None, f"{len(owners)} hosts have this address")
        return self._at(owners[0], source, address, port)

    def addresses(self, node: Node) -> set[str]:
        """What *node* has, as far as it is known."""
        found = self._traits.get(node)
        return {str(address.ip) for address in found.addresses} if found else set()

    def _at(self, node: Node, source: Node, address: str, port: int | None) -> Place:
        known = self._traits.get(node)
        if port is None:
            return Place(address, port, node)
        if known is None:
            return Place(address, port, node, (), None, "that host could not be looked at")
        listener = next(_listening(known.listeners, address, port), None)
        if listener is None:
            for client in self.addresses(source):
                if (client, port) in known.inbound:
                    listener = Listener(address, port, known.inbound[client, port])
        note = None
        if listener is None and known.listeners_whole:
            note = (
                "nothing listens there on the host itself: a port published for a container, or a service that is gone"
            )
        elif listener is None:
            note = "its listener is not among the rows of that host's facts"
        return Place(address, port, node, (), listener, note)

    def _one_machine(self, owners: Iterable[Node]) -> bool:
        """Whether *owners* are names of one host."""
        return len({self._identity.get(owner, owner) for owner in owners}) == 1

    def _repeated_networks(self) -> dict[Network, None]:
        """Networks in which several hosts have nothing but addresses that others have as well.

        An address that moves between hosts (VRRP) does not make its network one of these: each has another one there.
        """
        alone: dict[Network, set[object]] = {}
        for node, each in self._traits.items():
            own: dict[Network, list[str]] = {}
            for address in each.addresses:
                if address.network.num_addresses > 1 and not _local(str(address.ip)):
                    own.setdefault(address.network, []).append(str(address.ip))
            for network, addresses in own.items():
                if all(len(self._owners[address]) > 1 for address in addresses):
                    alone.setdefault(network, set()).add(self._identity.get(node, node))
        return dict.fromkeys(network for network, hosts in alone.items() if len(hosts) >= _ALONE)

    def _repeated_at(self, address: str) -> Network | None:
        if not self._repeated:
            return None
        parsed = parse(address)
        return next((network for network in self._repeated if parsed is not None and parsed in network), None)


def _listening(listeners: Iterable[Listener], address: str, port: int) -> Iterator[Listener]:
    """Those that accept at *address* and *port*, the one that is bound to just that address first."""
    found = [each for each in listeners if each.port == port and each.address in (address, *_ANY)]
    return iter(sorted(found, key=lambda each: each.address in _ANY))


@lru_cache(maxsize=65536)
def parse(text: str) -> IPv4Address | IPv6Address | None:
    """The address in *text*, without its zone; ``None`` where it is none."""
    try:
        return ip_address(text.partition("%")[0])
    except ValueError:
        return None


@lru_cache(maxsize=65536)
def _local(text: str) -> bool:
    """Whether the same address means something else on each host: loopback, link-local, any, multicast."""
    address = parse(text)
    return address is None or (
        address.is_loopback or address.is_link_local or address.is_unspecified or address.is_multicast
    )
