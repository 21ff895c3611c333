# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends lone SYNs from made-up addresses: ``syns.py COMMAND COUNT SOURCES NET ADDRESS:PORT``.

COUNT at each step, each from another port, from SOURCES addresses of the /16 NET (``10.66``). Nobody answers for
them, so the handshakes stay half open.
"""

from __future__ import annotations

import itertools
import socket
import struct
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay

_SYN = 0x02
_IP = struct.Struct("!BBHHHBBH4s4s")
_TCP = struct.Struct("!HHIIBBHHH")
_PSEUDO = struct.Struct("!4s4sBBH")


def checksum(data: bytes) -> int:
    """RFC 1071."""
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def segment(source: bytes, port: int, destination: bytes, service: int) -> bytes:
    """An IPv4 packet with one SYN; the kernel fills in the IP length, id and checksum (raw(7))."""
    bare = _TCP.pack(port, service, port * 7919, 0, 5 << 4, _SYN, 64240, 0, 0)
    check = checksum(_PSEUDO.pack(source, destination, 0, socket.IPPROTO_TCP, len(bare)) + bare)
    header = _IP.pack(0x45, 0, 0, 0, 0, 64, socket.IPPROTO_TCP, 0, source, destination)
    return header + bare[:16] + struct.pack("!H", check) + bare[18:]


def main(command: str, count: str, sources: str, net: str, where: str) -> None:
    enter(command)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    address, service = endpoint(where)
    destination = socket.inet_aton(address)
    hosts = [socket.inet_aton(f"{net}.{number >> 8 & 255}.{number & 255}") for number in range(1, int(sources) + 1)]
    ports = itertools.cycle(range(1024, 65536))
    turn = itertools.cycle(hosts)

    def send() -> None:
        for __ in range(int(count)):
            raw.sendto(segment(next(turn), next(ports), destination, service), (address, 0))

    send()
    say(sources=len(hosts))
    stay(send)


if __name__ == "__main__":
    main(*sys.argv[1:])
