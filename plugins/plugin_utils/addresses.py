# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is to be known about addresses: scope, prefix, how they are written. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from functools import cache

with suppress(ImportError):  # see packages.MISSING
    import netaddr

# A wider prefix than these tells nothing about where the addresses belong.
_SHORTEST_PREFIX = {4: 16, 6: 32}
_MINIMUM_TO_GROUP = 2


def parse(text: str) -> netaddr.IPAddress | None:
    """The address in *text*, without its zone; IPv4-mapped IPv6 becomes IPv4; ``None`` where it is none."""
    try:
        address = netaddr.IPAddress(text.partition("%")[0])
    except (netaddr.AddrFormatError, ValueError):
        return None
    return address.ipv4() if address.version == 6 and address.is_ipv4_mapped() else address


def scope(text: str) -> str | None:
    """Where an address reaches: any, loopback, link_local, multicast, private, or global.

    Global is everything else.
    """
    address = parse(text)
    if address is None:
        return None
    if not address.value:
        return "any"
    for name, block in _blocks(address.version):
        if address in block:
            return name
    return "global"


# Private is RFC 1918, RFC 6598 (carrier-grade NAT) and RFC 4193.
_SCOPES = {
    4: (
        ("loopback", "127.0.0.0/8"),
        ("link_local", "169.254.0.0/16"),
        ("multicast", "224.0.0.0/4"),
        ("private", "10.0.0.0/8"),
        ("private", "172.16.0.0/12"),
        ("private", "192.168.0.0/16"),
        ("private", "100.64.0.0/10"),
    ),
    6: (
        ("loopback", "::1/128"),
        ("link_local", "fe80::/10"),
        ("multicast", "ff00::/8"),
        ("private", "fc00::/7"),
    ),
}


@cache
def _blocks(version: int) -> list[tuple[str, netaddr.IPNetwork]]:
    return [(name, netaddr.IPNetwork(block)) for name, block in _SCOPES[version]]


def common_prefix(texts: Iterable[str]) -> str | None:
    """The smallest prefix that holds all addresses; ``None`` where they are of no one network.

    No one network: fewer than two addresses, both families, or nothing in common but a /15 (IPv6: a /31).
    """
    addresses = {address for address in map(parse, texts) if address is not None}
    if len(addresses) < _MINIMUM_TO_GROUP or len({address.version for address in addresses}) > 1:
        return None
    network = netaddr.spanning_cidr(sorted(addresses))
    return str(network) if network.prefixlen >= _SHORTEST_PREFIX[network.version] else None


def endpoint(address: str, port: object = None) -> str:
    """``ADDRESS:PORT`` as ss writes it: an IPv6 address stands in brackets; ``*`` is any."""
    host = f"[{address}]" if ":" in address else address
    return host if port is None else f"{host}:{port}"
