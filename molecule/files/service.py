# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Services with faults, to run as systemd units: ``service.py MODE PORT [BACKLOG]``, all on 127.0.0.1.

``leak`` never closes what its clients have closed, ``deaf`` listens and never accepts, ``slow`` accepts some hundred
connections a second, and ``crowd`` is clients of such a one that come forty at a time, five times a second, so that
every sample sees as many drops as the one before.
"""

from __future__ import annotations

import socket
import sys
import time
from typing import Callable

_CROWD = 40
_MOST = 800


def listen(port: int, backlog: int) -> socket.socket:
    server = socket.socket()
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(("127.0.0.1", port))
    server.listen(backlog)
    return server


def dial(port: int, count: int) -> list[socket.socket]:
    """Begin *count* connections and wait for none."""
    made = [socket.socket() for __ in range(count)]
    for client in made:
        client.setblocking(False)
        client.connect_ex(("127.0.0.1", port))
    return made


def leak(port: int, __: int) -> None:
    server, kept = listen(port, 128), []
    while True:
        if len(kept) < _MOST:
            client = socket.create_connection(("127.0.0.1", port))
            kept.append(server.accept()[0])
            client.close()
        if len(kept) > 60:
            time.sleep(0.5)


def deaf(port: int, backlog: int) -> None:
    server = listen(port, backlog)
    waiting = dial(port, backlog + 1)
    while True:
        time.sleep(0.5)
        if len(waiting) < _MOST:
            waiting += dial(port, 2)
        server.getsockname()


def slow(port: int, backlog: int) -> None:
    server = listen(port, backlog)
    while True:
        server.accept()[0].close()
        time.sleep(0.002)


def crowd(port: int, __: int) -> None:
    while True:
        clients = dial(port, _CROWD)
        time.sleep(0.2)
        for client in clients:
            client.close()


MODES: dict[str, Callable[[int, int], None]] = {"leak": leak, "deaf": deaf, "slow": slow, "crowd": crowd}

if __name__ == "__main__":
    MODES[sys.argv[1]](int(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
