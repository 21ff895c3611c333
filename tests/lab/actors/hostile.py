# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whoever wants to break the report.

hostile.py named PORT HEXADECIMAL...   processes of these names, each with a full accept queue from PORT upwards
hostile.py dns WHERE BEHAVIOUR         a name server that answers loop, huge, wrong, nul or early
hostile.py http WHERE                  a web server whose headers do not end
hostile.py secret COMMAND WHERE ...    a listener; arguments and environment are whatever they are
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import select
import socket
import struct
import sys
import threading
from typing import Callable

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, listen, say, stay, udp

_FULL = 4
_DIED_WITH_PARENT = 1
_SIGKILL = 9


def named(port: str, *names: str) -> None:
    children = []
    for number, name in enumerate(names):
        ready, told = os.pipe()
        child = os.fork()
        if not child:
            ctypes.CDLL(None).prctl(_DIED_WITH_PARENT, _SIGKILL)
            with open("/proc/self/comm", "wb", buffering=0) as file:
                file.write(bytes.fromhex(name))
            server = listen(f"127.0.0.1:{int(port) + number}", 1)
            waiting = []
            for __ in range(_FULL):
                waiting.append(socket.socket())
                waiting[-1].setblocking(False)
                with contextlib.suppress(BlockingIOError):
                    waiting[-1].connect(server.getsockname())
            os.write(told, b"1")
            select.select([sys.stdin], [], [], 200)
            os._exit(0)
        os.read(ready, 1)
        children.append(child)
    say(children=children)
    stay()


def dns(where: str, behaviour: str) -> None:
    enter("named")
    server, stream = udp(endpoint(where)[0]), listen(where, 64)
    server.bind(endpoint(where))
    say(serving=where)
    while not select.select([sys.stdin], [], [], 0)[0]:
        ready = select.select([sys.stdin, server, stream], [], [])[0]
        if server in ready:
            question, peer = server.recvfrom(4096)
            with contextlib.suppress(OSError):
                server.sendto(_answer(question, behaviour, 1400), peer)
        if stream in ready:
            with contextlib.suppress(OSError), stream.accept()[0] as one:
                one.settimeout(2)
                question = one.recv(4096)[2:]
                answer = _answer(question, behaviour, 65000)
                one.sendall(struct.pack("!H", len(answer)) + answer)


def _answer(question: bytes, behaviour: str, most: int) -> bytes:
    identity, __, __, __, __, __ = struct.unpack_from("!6H", question)
    end = question.index(b"\0", 12) + 5
    asked = question[12:end]
    loop = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + struct.pack("!H", 0xC000 | end)
    nul = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 14) + b"\x0c\0\x1b[31m<b>{{7\0"
    address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\x7f\0\0\1"
    records = {"loop": [loop * 2], "nul": [nul], "huge": [address] * ((most - 300) // 16), "early": [address[:9]]}
    rows = records.get(behaviour, [address])
    if behaviour == "wrong":
        identity ^= 0x5555
    flags = 0x8380 if behaviour == "huge" and most < 2000 else 0x8180
    return struct.pack("!6H", identity, flags, 1, len(rows), 0, 0) + asked + b"".join(rows)


def http(where: str) -> None:
    enter("httpd")
    server = listen(where, 64)

    def serve(stream: socket.socket) -> None:
        with contextlib.suppress(OSError), stream:
            stream.sendall(b"HTTP/1.1 200 OK\r\n")
            for __ in range(100000):
                stream.sendall(b"X-Header: " + b"\x1b[31m<b>" * 20 + b"\r\n")

    def accept() -> None:
        while True:
            threading.Thread(target=serve, args=(server.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    say(serving=where)
    stay()


def secret(command: str, where: str, *__: str) -> None:
    enter(command)
    server = listen(where, 1)
    waiting = [socket.create_connection(endpoint(where)) for __ in range(2)]
    say(serving=where, held=len(waiting), server=server.fileno())
    stay()


if __name__ == "__main__":
    modes: dict[str, Callable[..., None]] = {"named": named, "dns": dns, "http": http, "secret": secret}
    modes[sys.argv[1]](*sys.argv[2:])
