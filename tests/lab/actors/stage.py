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
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def say(**words: object) -> None:
    """Tell the lab one JSON object."""
    print(json.dumps(words), flush=True)


def told(seconds: float) -> str:
    """The next word of the lab; empty after *seconds* without one. Ends this process where the lab is gone."""
    if not select.select([sys.stdin], [], [], seconds)[0]:
        return ""
    line = sys.stdin.readline()
    if not line:
        sys.exit(0)
    return line.strip()


def stay(work: Callable[[], object] | None = None, every_s: float = 0.05, steps: int = 4000) -> None:
    """Stay for at most *steps* times *every_s* seconds and do *work* at each step; ``stop`` from the lab ends it."""
    for _ in range(steps):
        if told(every_s) == "stop":
            return
        if work is not None:
            work()


def endpoint(text: str) -> tuple[str, int]:
    """``ADDRESS:PORT`` as Python wants it."""
    address, _, port = text.rpartition(":")
    return address, int(port)


def tcp() -> socket.socket:
    """A new TCP socket over IPv4 that does not block."""
    made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    made.setblocking(False)
    return made
