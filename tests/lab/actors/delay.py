# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A long line between two namespaces: ``delay.py COMMAND NEAR FAR_NAMESPACE FAR DELAY_MS LOSS RATE_MBPS QUEUE_MS``.

It stands for netem, which many kernels are built without. Two TUN interfaces, NEAR in the namespace that it is started
in and FAR in FAR_NAMESPACE (a path), are the ends of the line; what enters one leaves the other, both ways alike:

- DELAY_MS later, so that the round trip takes twice as long. Packets keep their order.
- LOSS of 0 to 1 is the share of packets that vanish on the way, at random but the same in every run.
- RATE_MBPS is how much the line carries each way; 0 is as much as comes. What cannot be sent yet waits in front of the
  line as in a router, and is dropped once it would have to wait for more than QUEUE_MS.

:meth:`netlab.Lab.line` starts one and gives it addresses. A line is no hop: it decrements no TTL. Its MTU is that of
its interfaces. Without loss TCP segments cross it in bulk, as on a cable with segmentation offload, so that what is
counted as one packet here holds up to 64 KiB of them. It carries some 30,000 packets a second, about 400 Mbit/s.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import random
import select
import struct
import sys
import time
from collections import deque

from ansible_collections.nettriage.linux.tests.lab.actors.stage import enter, say

# include/uapi/linux/if_tun.h
_TUNSETIFF, _TUNSETOFFLOAD = 0x400454CA, 0x400454D0
_IFF_TUN, _IFF_NO_PI, _IFF_VNET_HDR = 0x0001, 0x1000, 0x4000
_TUN_F_CSUM, _TUN_F_TSO4, _TUN_F_TSO6, _TUN_F_TSO_ECN = 1, 2, 4, 8
_VNET_HEADER = 10
_LARGEST = 65536 + _VNET_HEADER
_CLONE_NEWNET = 0x40000000
_BATCH = 256
_LONGEST_S = 3600.0
_IDLE_S = 1.0


class Way:
    """One direction of the line.

    :ivar free_at: when the last bit of what was accepted has left the queue in front of the line.
    """

    def __init__(self, source: int, sink: int, dice: random.Random) -> None:
        self.source = source
        self.sink = sink
        self.dice = dice
        self.flying: deque[tuple[float, bytes]] = deque()
        self.free_at = 0.0

    def accept(self, delay_s: float, loss: float, byte_s: float, queue_s: float) -> None:
        for __ in range(_BATCH):
            try:
                packet = os.read(self.source, _LARGEST)
            except OSError:  # nothing more, or the interface is down
                return
            now = time.monotonic()
            starts_at = max(now, self.free_at)
            if starts_at - now > queue_s or (loss and self.dice.random() < loss):
                continue
            self.free_at = starts_at + (len(packet) - _VNET_HEADER) * byte_s
            self.flying.append((self.free_at + delay_s, packet))

    def deliver(self) -> float:
        """Hand over what has arrived; seconds until the next one does."""
        while self.flying:
            remaining = self.flying[0][0] - time.monotonic()
            if remaining > 0:
                return remaining
            with contextlib.suppress(OSError):  # the other end is down: what arrives there is lost
                os.write(self.sink, self.flying.popleft()[1])
        return _IDLE_S


def end_of_line(name: str, bulk: bool) -> int:
    """A new TUN interface in this thread's namespace; it exists as long as the descriptor does."""
    descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    flags = _IFF_TUN | _IFF_NO_PI | _IFF_VNET_HDR
    fcntl.ioctl(descriptor, _TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    if bulk:
        fcntl.ioctl(descriptor, _TUNSETOFFLOAD, _TUN_F_CSUM | _TUN_F_TSO4 | _TUN_F_TSO6 | _TUN_F_TSO_ECN)
    return descriptor


def move(namespace: str) -> None:
    """Have this process in *namespace*; the standard library has setns(2) only since Python 3.12."""
    with open(namespace, "rb") as file:
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.setns(file.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"setns to {namespace}")


def main(command: str, near: str, far_namespace: str, far: str, *numbers: str) -> None:
    enter(command)
    delay_ms, loss, rate_mbps, queue_ms = map(float, numbers)
    how = (delay_ms / 1000, loss, 8e-6 / rate_mbps if rate_mbps else 0.0, queue_ms / 1000)
    one = end_of_line(near, bulk=not loss)
    move(far_namespace)
    other = end_of_line(far, bulk=not loss)
    ways = {one: Way(one, other, random.Random(1)), other: Way(other, one, random.Random(2))}
    say(ends=[near, far])
    stdin, end = sys.stdin.fileno(), time.monotonic() + _LONGEST_S
    poll = select.epoll()
    for descriptor in (one, other, stdin):
        poll.register(descriptor, select.EPOLLIN)
    while time.monotonic() < end:
        ready = poll.poll(min(way.deliver() for way in ways.values()))
        for descriptor, __ in ready:
            if descriptor == stdin:
                return  # the lab is gone
            ways[descriptor].accept(*how)


if __name__ == "__main__":
    main(*sys.argv[1:])
