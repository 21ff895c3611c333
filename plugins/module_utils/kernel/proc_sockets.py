# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sockets from the text files of procfs, in the form that NETLINK_SOCK_DIAG gives them. Private to this collection.

For kernels without it and for recorded files. The text has neither backlog, drops of listeners, memory nor tcp_info.
Sources: proc_net(5), ``net/ipv4/tcp_ipv4.c`` (get_tcp4_sock), ``net/ipv6/tcp_ipv6.c``, ``net/ipv4/udp.c``.
"""

from __future__ import annotations

import struct
from typing import IO, Iterable, Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch

_BATCH = 256
# A message as netlink would give it: its header, then struct inet_diag_msg. The cookie is the inode.
_MESSAGE = struct.Struct("=16xBBBBHH16s16sIQIIIII")
_WORDS = struct.Struct("=IIII")
_NEW_SYN_RECV = 12
_CLOCK_TICK_MS = 10  # USER_HZ is 100 on every architecture
_SO_ACCEPTCON = 0x10000


class ProcSockets:
    """Reads ``/proc/net/{tcp,tcp6,udp,udp6,unix}`` of *host*.

    Lines that cannot be understood are left out and counted, as is a last one without its end, which may have lost
    digits.
    """

    source = "procfs"
    interrupted = False

    def __init__(self, host: Host) -> None:
        self._host = host
        self._damaged: dict[str, int] = {}

    def close(self) -> None:
        """Nothing is held open."""

    @property
    def damaged(self) -> int:
        """How many lines could not be understood."""
        return sum(self._damaged.values())

    def tcp(self, states: int, extensions: Iterable[int] = ()) -> Iterator[Batch]:
        """The TCP sockets in *states* (a mask); no extension can be had.

        :raises Unavailable: there is no such file.
        """
        waiting = bytearray()
        for message, __ in self._messages("tcp"):
            if states >> message[diag.STATE] & 1:
                waiting += message
                if len(waiting) >= _BATCH * diag.MESSAGE_SIZE:
                    yield Batch(waiting, len(waiting), diag.MESSAGE_SIZE)
                    waiting = bytearray()
        if waiting:
            yield Batch(waiting, len(waiting), diag.MESSAGE_SIZE)

    def udp(self, idle: int) -> tuple[int, list[diag.Socket]]:
        """How many UDP sockets there are; those with a queue or drops, and of the others the first *idle*."""
        total = 0
        found: list[diag.Socket] = []
        for message, rest in self._messages("udp"):
            total += 1
            (one,) = diag.rows(Batch(message, len(message), len(message)))
            try:
                drops = int(rest[-1])
            except (IndexError, ValueError):
                drops = None
            if one.receive_queue or drops or len(found) < idle:
                found.append(one._replace(drops=drops))
        return total, found

    def unix(self) -> tuple[int, int]:
        """How many unix sockets there are, and how many of them listen."""
        total = listening = 0
        self._damaged["unix"] = 0
        for line in _lines(self._host.net("unix")):
            try:
                _require_whole(line)
                listening += bool(int(line.split(None, 4)[3], 16) & _SO_ACCEPTCON)
            except (IndexError, ValueError):
                self._damaged["unix"] += 1
                continue
            total += 1
        return total, listening

    def _messages(self, protocol: str) -> Iterator[tuple[bytes, list[str]]]:
        """Each socket as a message, and the columns behind its inode."""
        for family, name in ((diag.AF_INET, protocol), (diag.AF_INET6, protocol + "6")):
            try:
                lines = _lines(self._host.net(name))
            except Unavailable as error:
                if family == diag.AF_INET:
                    raise
                # Without the file, IPv6 is off.
                self._damaged[name] = int(not isinstance(error.__cause__, FileNotFoundError))
                continue
            self._damaged[name] = 0
            for line in lines:
                # The first column widens at 10000 lines: columns are found by blanks, not by place.
                columns = line.split()
                try:
                    _require_whole(line)
                    message = _message(family, columns)
                except (IndexError, ValueError, struct.error):
                    self._damaged[name] += 1
                    continue
                yield message, columns[10:]


def _lines(path: str) -> Iterator[str]:
    """The lines below the heading, one by one: a busy host has hundreds of megabytes.

    :raises Unavailable: the file cannot be read, or has not even its heading.
    """
    try:
        file = open(path, encoding="ascii", errors="replace")  # noqa: SIM115 (closed by the generator)
        heading = file.readline()
    except OSError as error:
        raise Unavailable(why(error, path)) from error
    if not heading.endswith("\n"):
        file.close()
        raise Unavailable(f"{path} is damaged: it has no heading")
    return _rest(file, path)


def _rest(file: IO[str], path: str) -> Iterator[str]:
    with file:
        try:
            yield from file
        except OSError as error:
            raise Unavailable(why(error, path)) from error


def _require_whole(line: str) -> None:
    """:raises ValueError: *line* lost its end."""
    if not line.endswith("\n"):
        raise ValueError(line)


def _message(family: int, columns: list[str]) -> bytes:
    port, source = _endpoint(family, columns[1])
    peer_port, destination = _endpoint(family, columns[2])
    state = int(columns[3], 16)
    if state == _NEW_SYN_RECV:
        state = diag.SYN_RECV
    if state not in diag.STATE_NAMES:
        raise ValueError(state)
    send_queue, __, receive_queue = columns[4].partition(":")
    timer, __, when = columns[5].partition(":")
    inode = int(columns[9])
    return _MESSAGE.pack(
        family,
        state,
        int(timer, 16),
        min(255, int(columns[6], 16)),
        port,
        peer_port,
        source,
        destination,
        0,
        inode,
        min(0xFFFFFFFF, int(when, 16) * _CLOCK_TICK_MS),
        int(receive_queue, 16),
        int(send_queue, 16),
        int(columns[7]),
        inode,
    )


def _endpoint(family: int, text: str) -> tuple[int, bytes]:
    """``0100007F:1F90`` as (port in network order, address): the kernel prints words in its own byte order."""
    digits, __, port = text.partition(":")
    if len(digits) != (8 if family == diag.AF_INET else 32):
        raise ValueError(text)
    words = [int(digits[at : at + 8], 16) for at in range(0, len(digits), 8)]
    number = int(port, 16)
    if number > 0xFFFF:
        raise ValueError(text)
    return diag.raw_port(number), _WORDS.pack(*words, *[0] * (4 - len(words)))
