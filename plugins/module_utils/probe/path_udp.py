# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes as UDP datagrams to a port where nobody is expected to listen; no privilege. Private to this collection."""

from __future__ import annotations

import socket
import struct

from ansible_collections.nettriage.linux.plugins.module_utils.probe import error_queue
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import Answer, DatagramSender
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

PORT = 33434  # where traceroute(8) begins
_HEAD = struct.Struct("!HH")
_MARK = 0x4E54


class Udp(DatagramSender):
    """The destination answers "port unreachable". A probe's number stands at the beginning of its payload."""

    method = "udp"
    paced = True

    def __init__(self, endpoint: Endpoint, port: int | None, whole_packets: bool) -> None:
        self.port = port or PORT
        made = socket.socket(endpoint.family, socket.SOCK_DGRAM)
        try:
            error_queue.prepare(made, whole_packets)
            made.connect(endpoint.at(self.port))
        except OSError:
            made.close()
            raise
        super().__init__(made, endpoint.address)
        self._headers = 48 if endpoint.ipv6 else 28
        self.smallest = self._headers + _HEAD.size

    def packet(self, number: int, size: int) -> bytes:
        return _HEAD.pack(_MARK, number) + bytes(size - self._headers - _HEAD.size)

    def number_in(self, quoted: bytes) -> int | None:
        """The kernel begins behind the UDP header, which is all that some routers quote."""
        if len(quoted) < _HEAD.size:
            return None
        mark, number = _HEAD.unpack_from(quoted)
        if mark != _MARK:
            raise LookupError
        return int(number)

    def replies(self) -> list[Answer]:
        """Somebody does listen there, and says something: which probe it is about cannot be known."""
        found: list[Answer] = []
        while True:
            try:
                control = self.socket.recvmsg(16, 256)[1]
            except OSError:
                return found
            found.append(Answer(None, error_queue.REACHED, self.destination, error_queue.stamp(control)))
