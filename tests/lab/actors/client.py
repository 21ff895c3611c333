# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connects and then behaves as told: ``client.py COMMAND MODE COUNT ADDRESS:PORT...``.

COUNT connections are made to each destination, and the result is said as ``{"connected": n, "errors": {name: n}}``.
MODE is what becomes of a connection: ``close`` closes it at once (TIME_WAIT stays here), ``hold`` keeps it open,
``alive`` keeps it open with SO_KEEPALIVE, ``tenth`` closes nine of ten, ``churn`` closes and goes on at each step
with COUNT more to each, ``leak`` keeps it open and opens one more to each at each step.
"""

from __future__ import annotations

import errno
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay, tcp

_CONNECT_TIMEOUT_S = 5.0
_MOST_ERRORS = 3


class Client:
    """The connections of the process and what became of the attempts."""

    def __init__(self, mode: str) -> None:
        self.mode = mode
        self.kept: list[socket.socket] = []
        self.connected = 0
        self.errors: dict[str, int] = {}

    def connect(self, destination: tuple[str, int]) -> bool:
        made = tcp(destination[0])
        made.settimeout(_CONNECT_TIMEOUT_S)
        if self.mode == "alive":
            made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        try:
            made.connect(destination)
        except OSError as error:
            made.close()
            name = errno.errorcode.get(error.errno or 0, "timeout")
            self.errors[name] = self.errors.get(name, 0) + 1
            return False
        self.connected += 1
        if self.mode in ("close", "churn") or (self.mode == "tenth" and self.connected % 10):
            made.close()
        else:
            self.kept.append(made)
        return True

    def round(self, count: int, destinations: list[tuple[str, int]]) -> None:
        for destination in destinations:
            failed = 0
            for __ in range(count):
                failed += not self.connect(destination)
                if failed >= _MOST_ERRORS:
                    break


def main(command: str, mode: str, count: str, *where: str) -> None:
    enter(command)
    client, destinations = Client(mode), [endpoint(each) for each in where]
    client.round(int(count), destinations)
    say(connected=client.connected, errors=client.errors)
    more = {"churn": int(count), "leak": 1}.get(mode, 0)
    stay(lambda: client.round(more, destinations))


if __name__ == "__main__":
    main(*sys.argv[1:])
