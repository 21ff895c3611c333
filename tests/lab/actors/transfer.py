# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends BYTES over one connection and says how fast that was: ``transfer.py COMMAND BYTES ADDRESS:PORT``.

The peer has to read all and then to close, as ``backend.py serve`` does. The time runs from the first byte until the
peer has closed, so what only lies in a buffer does not count as sent.
"""

from __future__ import annotations

import socket
import sys
import time

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, tcp

_TIMEOUT_S = 60.0


def main(command: str, size: str, where: str) -> None:
    enter(command)
    with tcp(endpoint(where)[0]) as connection:
        connection.settimeout(_TIMEOUT_S)
        connection.connect(endpoint(where))
        begin = time.monotonic()
        connection.sendall(bytes(int(size)))
        connection.shutdown(socket.SHUT_WR)
        connection.recv(1)
        seconds = time.monotonic() - begin
    say(seconds=seconds, mbps=int(size) * 8e-6 / seconds)


if __name__ == "__main__":
    main(*sys.argv[1:])
