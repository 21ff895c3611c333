# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces from ``/proc/net/dev`` and ``/sys/class/net``, where netlink cannot be asked. Private to this collection.

Sources: ``net/core/net-procfs.c``, ``Documentation/ABI/testing/sysfs-class-net``, ``net/ipv4/fib_trie.c``.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ethtool import Settings, known_speed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import (
    Host,
    hexadecimal,
    read_int,
    read_text,
    shown,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.route_files import read_routes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import IFF_UP, STATISTICS, Link

_ARPHRD_ETHER, _ARPHRD_LOOPBACK = 1, 772
# The kernel folds several counters into some of the columns: "drop" contains rx_missed_errors, "frame" all four
# detailed receive errors, "carrier" four detailed transmit errors.
_COLUMNS = (
    "rx_bytes", "rx_packets", "rx_errors", "rx_dropped", "rx_fifo_errors", "rx_frame_errors", "rx_compressed",
    "multicast", "tx_bytes", "tx_packets", "tx_errors", "tx_dropped", "tx_fifo_errors", "collisions",
    "tx_carrier_errors", "tx_compressed",
)  # fmt: skip
_DUPLEX = ("half", "full")


class FileDevice(NamedTuple):
    """One interface. :ivar virtual: ``None`` where sysfs could not be read."""

    link: Link
    settings: Settings | None
    virtual: bool | None


def read(host: Host) -> tuple[list[FileDevice], list[str]]:
    """Every interface that the files know, and what they do not tell.

    sysfs shows the network namespace in which it was mounted, which need not be the one that is looked into, so it is
    read only where it was recorded with the rest.

    :raises Unavailable: there is no ``/proc/net/dev``, or nothing in it can be read.
    """
    counters, damaged = parse_dev(read_text(host.net("dev")))
    if not counters:
        raise Unavailable(f"{host.net('dev')} tells no interface")
    limited = [f"net/dev: {damaged} lines are damaged"] if damaged else []
    recorded = not host.live and not os.path.ismount(host.sysfs)
    found = [_interface(host, number, name, counters[name], recorded) for number, name in enumerate(counters, 1)]
    if not recorded:
        limited.append(
            "net/dev tells counters only; crc and length errors are within frame, missed ones within dropped"
        )
    return found, limited


def parse_dev(content: str) -> tuple[dict[str, dict[str, int]], int]:
    """``/proc/net/dev``: interface to counters, and how many lines could not be read.

    A name may contain colons. A long number stands right behind the one that ends it.
    """
    found: dict[str, dict[str, int]] = {}
    *lines, rest = content.split("\n")
    damaged = int(bool(rest))  # a line without its end may have lost digits
    for line in lines:
        if "|" in line or not line.strip():
            continue
        name, __, numbers = line.rpartition(":")
        fields = numbers.split()
        if not name.strip() or len(fields) != len(_COLUMNS) or not all(f.isascii() and f.isdigit() for f in fields):
            damaged += 1
            continue
        found[name.strip()] = dict(zip(_COLUMNS, map(int, fields)))
    return found, damaged


def _interface(host: Host, number: int, name: str, folded: dict[str, int], recorded: bool) -> FileDevice:
    directory = host.sys("class/net", name)
    if not recorded or name in (".", "..") or "/" in name or not os.path.isdir(directory):
        link = Link(number, _hardware(name), None, name, None, None, None, None, None, None, None, folded)
        return FileDevice(link, None, None)

    def number_in(file: str) -> int | None:
        return read_int(os.path.join(directory, file))

    def text_in(file: str) -> str | None:
        try:
            return shown(read_text(os.path.join(directory, file)).strip()) or None
        except Unavailable:
            return None

    values = {each: number_in("statistics/" + each) for each in STATISTICS}
    counters = {each: value for each, value in values.items() if value is not None} or folded
    try:
        flags: int | None = hexadecimal(text_in("flags") or "")
    except ValueError:
        flags = None
    carrier, speed, duplex = number_in("carrier"), number_in("speed"), text_in("duplex")
    hardware = number_in("type")
    link = Link(
        ifindex=number_in("ifindex") or number,
        type=_hardware(name) if hardware is None else hardware,
        flags=flags,
        name=name,
        mtu=number_in("mtu"),
        operstate=text_in("operstate"),
        carrier=None if carrier is None or flags is None or not flags & IFF_UP else bool(carrier),
        carrier_changes=number_in("carrier_changes"),
        kind=_kind(directory, text_in("uevent") or ""),
        master=None,
        parent="device" if os.path.lexists(os.path.join(directory, "device")) else None,
        counters=counters,
    )
    known = Settings(None if speed is None else known_speed(speed), None, duplex if duplex in _DUPLEX else None, None)
    return FileDevice(link, known if speed is not None or duplex is not None else None, link.parent is None)


def _hardware(name: str) -> int:
    return _ARPHRD_LOOPBACK if name == "lo" else _ARPHRD_ETHER


def _kind(directory: str, uevent: str) -> str | None:
    for line in uevent.split("\n"):
        if line.startswith("DEVTYPE="):
            return line[8:].strip() or None
    for kind in ("bridge", "bonding"):
        if os.path.isdir(os.path.join(directory, kind)):
            return kind.replace("bonding", "bond")
    return "tun" if os.path.exists(os.path.join(directory, "tun_flags")) else None


def routed(host: Host, links: list[Link]) -> set[int] | None:
    """The interfaces that a default route leads out of; ``None`` where no file tells."""
    families, __ = read_routes(host)
    names = {route.interface for routes in families.values() for route in routes if route.default}
    return {link.ifindex for link in links if link.name in names} if families else None
