# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Listens and never accepts: ``listener.py COMMAND ADDRESS:PORT BACKLOG``."""

from __future__ import annotations

import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, listen, say, stay


def main(command: str, where: str, backlog: str) -> None:
    enter(command)
    with listen(where, int(backlog)):
        say(listening=where)
        stay()


if __name__ == "__main__":
    main(*sys.argv[1:])
