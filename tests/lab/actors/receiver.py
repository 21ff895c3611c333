# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A UDP socket: ``receiver.py COMMAND MODE ADDRESS:PORT BUFFER``.

MODE ``deaf`` never reads, ``hear`` reads all; BUFFER is SO_RCVBUF in bytes, 0 for the system's own.
"""

from __future__ import annotations

import contextlib
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay, udp

_BURST = 4096


def main(command: str, mode: str, where: str, buffer: str) -> None:
    enter(command)
    receiver = udp(endpoint(where)[0])
    if int(buffer):
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, int(buffer))
    receiver.bind(endpoint(where))
    say(bound=where)

    def read() -> None:
        with contextlib.suppress(BlockingIOError):
            for __ in range(_BURST):
                receiver.recv(65536)

    stay(read if mode == "hear" else None, 0.01, 20_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
