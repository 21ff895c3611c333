# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every actor needs: a name for the process table, an end with its parent, a word when it stands."""

from __future__ import annotations

import ctypes
import json
import resource
import select
import signal
import socket
import sys
from typing import Callable

_PR_SET_PDEATHSIG = 1
_PR_SET_NAME = 15


def enter(command: str) -> None:
    """Be called *command* (at most 15 bytes), end when the lab does, have all descriptors that the system allows."""
    libc = ctypes.CDLL(None)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    libc.prctl(_PR_SET_NAME, command.encode())
    __, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(**words: object) -> None:
    """Tell the lab one JSON object."""
    print(json.dumps(words), flush=True)


def stay(work: Callable[[], object] | None = None, every_s: float = 0.05, steps: int = 4000) -> None:
    """Stay for at most *steps* times *every_s* seconds, or as long as the lab is there, and do *work* at each step."""
    for __ in range(steps):
        if select.select([sys.stdin], [], [], every_s)[0]:
            return  # the lab never says anything: its end was closed
        if work is not None:
            work()


def endpoint(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT``, or ``[ADDRESS]:PORT`` for IPv6, as Python wants it."""
    address, __, port = text.rpartition(":")
    return address.strip("[]"), int(port)


def tcp(address: str) -> socket.socket:
    """A new TCP socket for the family of *address*; one for ``::`` serves IPv4 as well."""
    return socket.socket(_family(address), socket.SOCK_STREAM)


def udp(address: str) -> socket.socket:
    """A new UDP socket for the family of *address* that does not block."""
    made = socket.socket(_family(address), socket.SOCK_DGRAM)
    made.setblocking(False)
    return made


def listen(where: str, backlog: int) -> socket.socket:
    """A listener at *where*, beside others on the same port where there are any."""
    server = tcp(endpoint(where)[0])
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    server.bind(endpoint(where))
    server.listen(backlog)
    return server


def _family(address: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in address else socket.AF_INET
