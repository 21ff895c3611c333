# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Begins connections and never waits for them: ``dialer.py COMMAND COUNT MORE ADDRESS:PORT``.

COUNT at once, then MORE at each step (0 for none).
"""

from __future__ import annotations

import errno
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay, tcp

_MOST = 8000
_dialled: list[socket.socket] = []


def dial(destination: tuple[str, int], count: int) -> None:
    for __ in range(min(count, _MOST - len(_dialled))):
        made = tcp(destination[0])
        made.setblocking(False)
        code = made.connect_ex(destination)
        if code not in (0, errno.EINPROGRESS):
            raise OSError(code, errno.errorcode[code])
        _dialled.append(made)


def main(command: str, count: str, more: str, where: str) -> None:
    enter(command)
    destination = endpoint(where)
    dial(destination, int(count))
    say(dialled=len(_dialled))
    stay(lambda: dial(destination, int(more)))


if __name__ == "__main__":
    main(*sys.argv[1:])
