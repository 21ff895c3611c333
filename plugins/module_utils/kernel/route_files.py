# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, neighbours and their limits from files, where netlink cannot be asked. Private to this collection.

Sources: ``net/ipv4/fib_trie.c``, ``net/ipv6/route.c``, ``net/ipv4/arp.c``, ``include/uapi/linux/{route,ipv6_route}.h``.
Lines that cannot be read are left out and counted, as is a last one without its end, which may have lost digits.
"""

from __future__ import annotations

import os
import socket
import struct
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import (
    Host,
    hexadecimal,
    number,
    read_int,
    read_text,
)

_RTF_REJECT = 0x200
_RTF_ANYCAST, _RTF_CACHE, _RTF_LOCAL = 0x00100000, 0x01000000, 0x80000000
_ATF_COM, _ATF_PERM = 0x2, 0x4


class FileRoute(NamedTuple):
    """One route. :ivar gateway: ``None`` where the destination is on the link."""

    interface: str
    default: bool
    gateway: str | None
    metric: int


def parse_route(content: str) -> tuple[list[FileRoute], int]:
    """``/proc/net/route``: the routes of IPv4's main table. Addresses are hexadecimal in the machine's byte order."""
    found = []
    lines, damaged = _below_heading(content)
    for line in lines:
        fields = line.split()
        try:
            destination, gateway, flags, mask = (hexadecimal(fields[at]) for at in (1, 2, 3, 7))
            metric = number(fields[6])
            address = socket.inet_ntop(socket.AF_INET, struct.pack("=I", gateway)) if gateway else None
        except (ValueError, IndexError, struct.error):
            damaged += 1
            continue
        default = destination == mask == 0 and not flags & _RTF_REJECT
        found.append(FileRoute(fields[0], default, address, metric))
    return found, damaged


def parse_ipv6_route(content: str) -> tuple[list[FileRoute], int]:
    """``/proc/net/ipv6_route``: all tables of IPv6; the host's own addresses are left out. It has no heading."""
    found = []
    *lines, rest = content.split("\n")
    damaged = int(bool(rest))
    for line in lines:
        fields = line.split()
        try:
            length, metric, flags = (hexadecimal(fields[at]) for at in (1, 5, 8))
            gateway = bytes.fromhex(fields[4])
            interface = fields[9]
            address = socket.inet_ntop(socket.AF_INET6, gateway) if any(gateway) else None
        except (ValueError, IndexError):
            damaged += 1
            continue
        if flags & (_RTF_LOCAL | _RTF_ANYCAST | _RTF_CACHE) or fields[0].startswith("ff"):
            continue
        found.append(FileRoute(interface, not length and not flags & _RTF_REJECT, address, metric))
    return found, damaged


def read_routes(host: Host) -> tuple[dict[int, list[FileRoute]], list[str]]:
    """Address family to routes, and what was damaged; a family whose file cannot be read is missing here too."""
    found = {}
    limited = []
    for family, file, parse in (
        (socket.AF_INET.value, "route", parse_route),
        (socket.AF_INET6.value, "ipv6_route", parse_ipv6_route),
    ):
        try:
            routes, damaged = parse(read_text(host.net(file)))
        except Unavailable:
            continue
        if damaged:
            limited.append(f"net/{file}: {damaged} lines are damaged")
        if routes or not damaged:
            found[family] = routes
    return found, limited


def parse_arp(content: str) -> tuple[list[tuple[str, str, str]], int]:
    """``/proc/net/arp``: interface, address and state, which is ``incomplete``, ``complete`` or ``permanent`` there."""
    found = []
    lines, damaged = _below_heading(content)
    for line in lines:
        fields = line.split()
        try:
            flags = hexadecimal(fields[2])
            device = fields[5]
            socket.inet_pton(socket.AF_INET, fields[0])
        except (ValueError, IndexError, OSError):
            damaged += 1
            continue
        state = "permanent" if flags & _ATF_PERM else "complete" if flags & _ATF_COM else "incomplete"
        found.append((device, fields[0], state))
    return found, damaged


def _below_heading(content: str) -> tuple[list[str], int]:
    """The whole lines below the heading, and how many were not whole; the kernel always prints the heading."""
    __, *lines = content.split("\n")
    return lines[:-1], int(not lines or bool(lines[-1]))


def rp_filters(host: Host) -> dict[str, int]:
    """``net.ipv4.conf.*.rp_filter`` by interface, ``all`` among them."""
    directory = host.proc("sys/net/ipv4/conf")
    try:
        names = os.listdir(directory)
    except OSError:
        return {}
    values = {name: read_int(os.path.join(directory, name, "rp_filter")) for name in names if name != "default"}
    return {name: value for name, value in values.items() if value is not None}
