# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A name server over UDP and TCP: ``nameserver.py COMMAND ADDRESS:PORT ZONE``.

ZONE is JSON: ``{"delay_ms": 0, "records": {"db.example": ["192.0.2.1", "2001:db8::1"]}, "behaviour": ...}``.
Behaviours: ``normal``; ``silent``; ``servfail``; ``refused``; ``truncate`` (UDP answers are cut); ``second_lost`` (the
second question from one port is not answered); ``wrong`` (another number first, then the answer); ``garbage``;
``slow_first`` (the first question of each port is delayed by ``delay_ms``, the others are not).
A name that has no record does not exist; with an alias, the record is ``["-> target"]``. Each question is told as a
line ``{"asked": NAME, "type": TYPE, "by": "udp"}``.
"""

from __future__ import annotations

import heapq
import json
import select
import socket
import struct
import sys
import time
from typing import Any, Callable

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, listen, say, udp

_TYPES = {"A": 1, "AAAA": 28}
_RCODES = {"servfail": 2, "refused": 5}
_STEPS = 20000
_PAIR_S = 0.02


class Zone:
    def __init__(self, text: str) -> None:
        data: dict[str, Any] = json.loads(text)
        self.records: dict[str, list[str]] = data.get("records", {})
        self.behaviour: str = data.get("behaviour", "normal")
        self.delay_s: float = data.get("delay_ms", 0) / 1000

    def answer(self, question: bytes, by: str) -> bytes:
        name, rtype, end = _question(question)
        say(asked=name, type=rtype, by=by)
        flags, rcode, found = 0x8180, 0, []
        if self.behaviour in _RCODES:
            rcode = _RCODES[self.behaviour]
        elif self.behaviour == "truncate" and by == "udp":
            flags |= 0x0200
        elif name.lower() in self.records:
            found = self._found(name.lower(), rtype)
        elif name != ".":
            rcode = 3
        header = question[:2] + struct.pack("!5H", flags | rcode, 1, len(found), 0, 0)
        return header + question[12:end] + b"".join(found)

    def _found(self, name: str, rtype: int) -> list[bytes]:
        found = []
        for value in self.records[name]:
            if value.startswith("-> "):
                target = value[3:]
                data = _wire(target)
                found.append(_record(name, 5, data))
                found += self._found(target, rtype)
                continue
            family = socket.AF_INET6 if ":" in value else socket.AF_INET
            if rtype == _TYPES["AAAA" if ":" in value else "A"]:
                found.append(_record(name, rtype, socket.inet_pton(family, value)))
        return found


def _wire(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


def _record(name: str, rtype: int, data: bytes) -> bytes:
    return _wire(name) + struct.pack("!HHIH", rtype, 1, 60, len(data)) + data


def _question(message: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while message[at]:
        labels.append(message[at + 1 : at + 1 + message[at]].decode("latin-1"))
        at += message[at] + 1
    (rtype,) = struct.unpack_from("!H", message, at + 1)
    return ".".join(labels) or ".", rtype, at + 5


class Server:
    """Answers what comes, each answer when it is due."""

    def __init__(self, where: str, zone: Zone) -> None:
        self.zone = zone
        self.datagrams = udp(endpoint(where)[0])
        self.datagrams.bind(endpoint(where))
        self.listener = listen(where, 64)
        self.seen: dict[object, tuple[float, int]] = {}
        self.due: list[tuple[float, int, Callable[[], object]]] = []

    def serve(self) -> None:
        for number in range(_STEPS):
            wait = min(0.5, max(0.0, self.due[0][0] - time.monotonic())) if self.due else 0.5
            ready, __, __ = select.select([self.datagrams, self.listener, sys.stdin], [], [], wait)
            if sys.stdin in ready:
                return
            if self.datagrams in ready:
                self.datagram(number)
            if self.listener in ready:
                self.connection(number)
            while self.due and self.due[0][0] <= time.monotonic():
                heapq.heappop(self.due)[2]()

    def datagram(self, number: int) -> None:
        message, peer = self.datagrams.recvfrom(4096)
        now = time.monotonic()
        last, order = self.seen.get(peer, (0.0, 0))
        order = order + 1 if now - last < _PAIR_S else 1  # the kernel gives a port to others later on
        self.seen[peer] = now, order
        behaviour = self.zone.behaviour
        answer = self.zone.answer(message, "udp")
        if behaviour == "silent" or (behaviour == "second_lost" and order == 2):
            return
        if behaviour == "wrong":
            self.datagrams.sendto(bytes((answer[0] ^ 0xFF,)) + answer[1:], peer)
        if behaviour == "garbage":
            self.datagrams.sendto(answer[:12] + b"\xc0\x0c\xc0\x0c", peer)
            return
        delay = 0.0 if behaviour == "slow_first" and order > 1 else self.zone.delay_s
        heapq.heappush(self.due, (time.monotonic() + delay, number, lambda: self.datagrams.sendto(answer, peer)))

    def connection(self, number: int) -> None:
        stream, __ = self.listener.accept()
        stream.settimeout(1)
        try:
            (length,) = struct.unpack("!H", stream.recv(2, socket.MSG_WAITALL))
            answer = self.zone.answer(stream.recv(length, socket.MSG_WAITALL), "tcp")
        except (OSError, struct.error):
            stream.close()
            return
        if self.zone.behaviour == "silent":
            self.due.append((time.monotonic() + 3600, number, stream.close))
            return

        def send() -> None:
            with stream:
                stream.sendall(struct.pack("!H", len(answer)) + answer)

        heapq.heappush(self.due, (time.monotonic() + self.zone.delay_s, number, send))


def main(command: str, where: str, zone: str) -> None:
    enter(command)
    server = Server(where, Zone(zone))
    say(serving=where)
    server.serve()


if __name__ == "__main__":
    main(*sys.argv[1:])
