# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Messages of NETLINK_SOCK_DIAG, made by hand or recorded, and a kernel's end that hands them out."""

from __future__ import annotations

import errno
import json
import os
import socket
import struct

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag

FIXTURES = os.path.join(os.path.dirname(__file__), "fixtures")
BY_FAMILY = 20
DONE = struct.pack("=IHHIIi", 20, netlink.NLMSG_DONE, netlink.NLM_F_MULTI, 1, 0, 0)


class Answers:
    """Stands for the kernel's end: hands out prepared datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)

    def recv_into(self, *__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "nothing")

    def send(self, data: bytes) -> int:
        return len(data)

    def recvmsg_into(self, buffers: list[bytearray]) -> tuple[int, list[object], int, None]:
        datagram = self.datagrams.pop(0)
        buffers[0][: len(datagram)] = datagram
        return len(datagram), [], 0, None

    def close(self) -> None:
        pass


def answering(*datagrams: bytes) -> diag.SockDiag:
    """A source that answers its first request with *datagrams*."""
    source = diag.SockDiag()
    source._link.close()
    source._link._socket = Answers(*datagrams)  # type: ignore[assignment]
    return source


def recorded(name: str) -> list[bytes]:
    """The datagrams of one dump of Linux 6.18: listen, connected, bare, bound, udp or unix."""
    with open(os.path.join(FIXTURES, "6.18", "netlink", "sock_diag.json"), encoding="ascii") as file:
        return [bytes.fromhex(datagram) for datagram in json.load(file)[name]]


def message(
    state: int,
    local: tuple[str, int],
    peer: tuple[str, int] = ("0.0.0.0", 0),
    attributes: bytes = b"",
    inode: int = 0,
    cookie: int = 0,
    timer: int = 0,
    retransmits: int = 0,
    queues: tuple[int, int] = (0, 0),
    flags: int = netlink.NLM_F_MULTI,
) -> bytes:
    """One socket as the kernel answers it, netlink header included."""
    family = socket.AF_INET6 if ":" in local[0] else socket.AF_INET
    body = struct.pack(
        "=BBBBHH16s16sIQIIIII",
        family,
        state,
        timer,
        retransmits,
        socket.htons(local[1]),
        socket.htons(peer[1]),
        socket.inet_pton(family, local[0]),
        socket.inet_pton(family, peer[0] if ":" in peer[0] or family == socket.AF_INET else "::"),
        0,
        cookie or inode,
        0,
        *queues,
        0,
        inode,
    )
    return struct.pack("=IHHII", 16 + len(body) + len(attributes), BY_FAMILY, flags, 1, 0) + body + attributes


def info(length: int = 248, **fields: int) -> bytes:
    """An attribute with a tcp_info of *length* bytes."""
    from ansible_collections.nettriage.linux.plugins.module_utils.kernel import tcp_info

    raw = bytearray(max(length, 256))
    for name, value in fields.items():
        at, code = tcp_info.FIELDS[name]
        struct.pack_into("=" + code, raw, at, value)
    return netlink.attribute(diag.INFO, bytes(raw[:length]))


def batches(*messages: bytes) -> list[netlink.Batch]:
    """Each of *messages* as a batch."""
    return [netlink.Batch(one, len(one), len(one)) for one in messages]
