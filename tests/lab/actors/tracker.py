# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fills this namespace's connection tracking table: ``tracker.py COMMAND KIND ENTRIES``.

KIND ``assured`` makes flows that answered, which the kernel keeps; ``unanswered`` flows are dropped early for new ones.
Entries are made by ctnetlink (``IPCTNL_MSG_CT_NEW`` of linux/netfilter/nfnetlink_conntrack.h), many to a datagram.
"""

from __future__ import annotations

import socket
import struct
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, say, stay

_NETLINK_NETFILTER = 12
_CT_NEW = 1 << 8
_REQUEST, _CREATE, _EXCLUSIVE = 0x1, 0x400, 0x200
_BATCH = 500
_TUPLE_ORIG, _TUPLE_REPLY, _STATUS, _TIMEOUT = 1, 2, 3, 7
_SEEN_REPLY, _ASSURED, _CONFIRMED = 0x2, 0x4, 0x8
_TUPLE_IP, _TUPLE_PROTO = 1, 2
_IP_SOURCE, _IP_DESTINATION = 1, 2
_PROTO_NUMBER, _PROTO_SOURCE, _PROTO_DESTINATION = 1, 2, 3
_NESTED = 0x8000
_HEADER = struct.Struct("=IHHII")


def attribute(kind: int, value: bytes) -> bytes:
    return struct.pack("=HH", 4 + len(value), kind) + value + b"\0" * (-len(value) % 4)


def flow(kind: int, source: bytes, destination: bytes, ports: tuple[int, int]) -> bytes:
    addresses = attribute(_IP_SOURCE, source) + attribute(_IP_DESTINATION, destination)
    protocol = (
        attribute(_PROTO_NUMBER, bytes([socket.IPPROTO_UDP]))
        + attribute(_PROTO_SOURCE, struct.pack("!H", ports[0]))
        + attribute(_PROTO_DESTINATION, struct.pack("!H", ports[1]))
    )
    return attribute(
        kind | _NESTED,
        attribute(_TUPLE_IP | _NESTED, addresses) + attribute(_TUPLE_PROTO | _NESTED, protocol),
    )


def entry(number: int, status: int) -> bytes:
    """One request for an UDP flow of its own."""
    source = struct.pack("!I", 0x0A420000 + number // 60_000)
    destination, ports = socket.inet_aton("10.67.0.1"), (1024 + number % 60_000, 53)
    payload = (
        struct.pack("=BBH", socket.AF_INET, 0, 0)
        + flow(_TUPLE_ORIG, source, destination, ports)
        + flow(_TUPLE_REPLY, destination, source, (ports[1], ports[0]))
        + attribute(_STATUS, struct.pack("!I", status))
        + attribute(_TIMEOUT, struct.pack("!I", 600))
    )
    return _HEADER.pack(16 + len(payload), _CT_NEW, _REQUEST | _CREATE | _EXCLUSIVE, number, 0) + payload


def main(command: str, kind: str, entries: str) -> None:
    enter(command)
    status = _CONFIRMED | (_SEEN_REPLY | _ASSURED if kind == "assured" else 0)
    link = socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, _NETLINK_NETFILTER)
    for first in range(0, int(entries), _BATCH):
        link.send(b"".join(entry(number, status) for number in range(first, min(first + _BATCH, int(entries)))))
    say(entries=int(entries))
    stay()


if __name__ == "__main__":
    main(*sys.argv[1:])
