# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends bytes over TCP for as long as the lab stands: ``sender.py COMMAND CONNECTIONS BLOCK EVERY_MS ADDRESS:PORT...``.

Each of CONNECTIONS to each destination is offered BLOCK bytes at each step, as one write; what does not fit is not
offered again.
"""

from __future__ import annotations

import contextlib
import select
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay, tcp

_CONNECT_TIMEOUT_S = 10.0


def opened(destination: tuple[str, int]) -> socket.socket:
    made = tcp(destination[0])
    made.setblocking(False)
    made.connect_ex(destination)
    if not select.select([], [made], [], _CONNECT_TIMEOUT_S)[1]:
        raise TimeoutError(f"no connection to {destination}")
    made.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return made


def main(command: str, connections: str, block: str, every_ms: str, *where: str) -> None:
    enter(command)
    flows = [opened(endpoint(each)) for each in where for __ in range(int(connections))]
    payload = b"n" * int(block)
    say(connections=len(flows))

    def send() -> None:
        for flow in flows:
            with contextlib.suppress(BlockingIOError):
                flow.send(payload)

    stay(send, int(every_ms) / 1000, 40_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
