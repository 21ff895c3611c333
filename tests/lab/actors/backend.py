# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that accepts at once: ``backend.py COMMAND MODE ADDRESS:PORT...``.

MODE is what it does with a connection: ``serve`` reads until the peer closes and closes then, ``hold`` keeps it and
reads nothing, ``sip`` reads a little at times, ``leave`` closes it first, ``keep`` reads but never closes.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, listen, say, stay

_BLOCK = 1 << 18
_SIP = 1 << 12
_PAUSE_S = 0.1


class Backend:
    """All listeners and connections of the process, behind one epoll instance."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.poll = select.epoll()
        self.listeners: dict[int, socket.socket] = {}
        self.connections: dict[int, socket.socket] = {}

    def listen(self, where: str) -> None:
        server = listen(where, 4096)
        server.setblocking(False)
        self.listeners[server.fileno()] = server
        self.poll.register(server, select.EPOLLIN)

    def step(self) -> None:
        if self.mode == "sip":
            for connection in self.connections.values():
                with contextlib.suppress(OSError):
                    connection.recv(_SIP)
        for descriptor, __ in self.poll.poll(_PAUSE_S, 512):
            if descriptor in self.listeners:
                self.accept(self.listeners[descriptor])
            elif descriptor in self.connections:
                self.read(self.connections[descriptor])

    def accept(self, server: socket.socket) -> None:
        for __ in range(512):
            try:
                connection, __ = server.accept()
            except OSError:
                return
            if self.mode == "leave":
                connection.close()
                continue
            connection.setblocking(False)
            self.connections[connection.fileno()] = connection
            if self.mode not in ("hold", "sip"):
                self.poll.register(connection, select.EPOLLIN)

    def read(self, connection: socket.socket) -> None:
        try:
            if connection.recv(_BLOCK):
                return
        except BlockingIOError:
            return
        except OSError:
            pass
        self.poll.unregister(connection)
        if self.mode != "keep":
            del self.connections[connection.fileno()]
            connection.close()


def main(command: str, mode: str, *where: str) -> None:
    enter(command)
    backend = Backend(mode)
    for each in where:
        backend.listen(each)
    say(listening=where)
    stay(backend.step, 0, 100_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
