# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Two processes send the same new flow at the same time: ``racers.py COMMAND SOURCE ADDRESS:PORT``.

Connection tracking may confirm only one of them; the other's packet is dropped and counted as ``insert_failed``.
"""

from __future__ import annotations

import contextlib
import itertools
import mmap
import os
import socket
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay
from ansible_collections.nettriage.linux.tests.lab.actors.syns import segment

_ROUND = 50
_MOST_SPINS = 1_000_000
_APART = 32  # counters on cache lines of their own


def race(raw: socket.socket, packets: list[bytes], address: str) -> None:
    """Send each packet from two processes that wait for each other before it."""
    with mmap.mmap(-1, mmap.PAGESIZE) as shared, memoryview(shared).cast("I") as turns:
        child = os.fork()
        mine, other = (0, _APART) if child == 0 else (_APART, 0)
        for turn, packet in enumerate(packets, 1):
            turns[mine] = turn
            spins = 0
            while turns[other] < turn and spins < _MOST_SPINS:
                spins += 1
            with contextlib.suppress(PermissionError):  # how the kernel tells the loser
                raw.sendto(packet, (address, 0))
        if child == 0:
            os._exit(0)
        os.waitpid(child, 0)


def main(command: str, source: str, where: str) -> None:
    enter(command)
    raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    address, service = endpoint(where)
    ends = socket.inet_aton(source), socket.inet_aton(address)
    ports = itertools.cycle(range(1024, 65536))

    def step() -> None:
        race(raw, [segment(ends[0], next(ports), ends[1], service) for __ in range(_ROUND)], address)

    step()
    say(racing=where)
    stay(step, 0.01, 10_000)


if __name__ == "__main__":
    main(*sys.argv[1:])
