# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends over one connection and says how fast that was: ``transfer.py COMMAND BYTES ADDRESS:PORT``.

BYTES is a multiple of 16 KiB. The peer has to read all and then to close, as ``backend.py serve`` does. The time runs
from the first byte until the peer has closed, so what only lies in a buffer does not count as sent. Each write is
small: one large write may be taken whole, far beyond the send buffer [measured on Linux 6.18].
"""

from __future__ import annotations

import socket
import sys
import time

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, tcp

_TIMEOUT_S = 60.0
_WRITE = 1 << 14


def main(command: str, size: str, where: str) -> None:
    enter(command)
    with tcp(endpoint(where)[0]) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(endpoint(where))
        begin = time.monotonic()
        for __ in range(int(size) // _WRITE):
            connection.sendall(bytes(_WRITE))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        seconds = time.monotonic() - begin
    say(seconds=seconds, mbps=int(size) * 8e-6 / seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
