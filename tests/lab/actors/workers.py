# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A server that forks its workers first: ``workers.py COMMAND COUNT ADDRESS:PORT``; they accept and never close."""

from __future__ import annotations

import os
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, listen, say, stay


def main(command: str, count: str, where: str) -> None:
    enter(command)
    server = listen(where, 4096)
    for __ in range(int(count)):
        if not os.fork():
            work(command, server)
            return
    say(listening=where)
    stay()


def work(command: str, server: socket.socket) -> None:
    enter(command)
    server.settimeout(0.05)
    kept: list[socket.socket] = []
    stay(lambda: kept.append(_accepted(server)), 0)


def _accepted(server: socket.socket) -> socket.socket:
    try:
        return server.accept()[0]
    except OSError:
        return server


if __name__ == "__main__":
    main(*sys.argv[1:])
