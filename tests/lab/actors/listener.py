# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listens and never accepts: ``listener.py COMMAND ADDRESS:PORT BACKLOG``."""

from __future__ import annotations

import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay


def main(command: str, where: str, backlog: str) -> None:
    enter(command)
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(endpoint(where))
    server.listen(int(backlog))
    say(listening=where)
    stay()


if __name__ == "__main__":
    main(*sys.argv[1:])
