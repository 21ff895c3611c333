# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends UDP datagrams for as long as the lab stands: ``datagrams.py COMMAND COUNT SIZE SOURCE ADDRESS:PORT...``.

COUNT of SIZE bytes to each destination at each step, from address SOURCE (``0.0.0.0`` or ``::`` for any).
"""

from __future__ import annotations

import contextlib
import sys

from ansible_collections.nettriage.linux.tests.lab.actors.stage import endpoint, enter, say, stay, udp


def main(command: str, count: str, size: str, source: str, *where: str) -> None:
    enter(command)
    sender = udp(source)
    sender.bind((source, 0))
    destinations = [endpoint(each) for each in where]
    payload = b"n" * int(size)

    def send() -> None:
        for destination in destinations:
            for __ in range(int(count)):
                with contextlib.suppress(OSError):  # an unreachable neighbour or a full queue is the point of some labs
                    sender.sendto(payload, destination)

    send()
    say(sending=len(destinations))
    stay(send)


if __name__ == "__main__":
    main(*sys.argv[1:])
