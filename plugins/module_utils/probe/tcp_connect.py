# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A TCP connection, or why there is none. Private to this collection.

Sources: connect(2), tcp(7), ip(7), ipv6(7); ``net/ipv4/icmp.c`` (``icmp_err_convert``) for what ICMP becomes.
"""

from __future__ import annotations

import errno
import os
import socket
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

OK, TIMEOUT = "ok", "timeout"
REFUSED, FILTERED, UNREACHABLE, PROHIBITED = "refused", "filtered", "unreachable", "prohibited"
RESET, CLOSED, PORTS_EXHAUSTED, NO_SOURCE = "reset", "closed", "local_ports_exhausted", "no_source_address"
_ERRORS = {
    errno.ECONNREFUSED: REFUSED,
    errno.ETIMEDOUT: FILTERED,
    errno.EHOSTUNREACH: UNREACHABLE,
    errno.ENETUNREACH: UNREACHABLE,
    errno.EHOSTDOWN: UNREACHABLE,
    errno.EACCES: PROHIBITED,
    errno.EPERM: PROHIBITED,
    errno.ECONNRESET: RESET,
    errno.EPIPE: RESET,
    errno.ECONNABORTED: RESET,
}


class Failed(Exception):
    """A phase that came to no good end.

    :ivar outcome: ``refused`` (RST), ``filtered`` (no answer to any SYN), ``unreachable`` and ``prohibited`` (ICMP, or
        the host's own routes and firewall), ``reset`` and ``closed`` (by the peer), ``timeout`` (of a later phase),
        ``local_ports_exhausted``, ``no_source_address``, ``tls_failed``, ``damaged_answer`` or ``error``.
    """

    def __init__(self, outcome: str, phase: str, error: str) -> None:
        super().__init__(error)
        self.outcome = outcome
        self.phase = phase


def connect(family: int, where: Any, end: Deadline) -> socket.socket:
    """A connected socket whose timeouts are the caller's to set.

    :raises Failed: there is none.
    """
    try:
        stream = socket.socket(family, socket.SOCK_STREAM)
    except OSError as error:
        raise Failed("error", "connect", os.strerror(error.errno or 0)) from error
    try:
        stream.settimeout(positive(end))
        stream.connect(where)
        stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    except OSError as error:
        stream.close()
        raise _failed(error, family, where) from error
    return stream


def positive(end: Deadline) -> float:
    """What is left, for settimeout(), to which 0 means not to wait at all."""
    return max(end.left(), 0.001)


def broken(error: OSError, phase: str) -> Failed:
    """What *error* means once the connection stood."""
    if isinstance(error, socket.timeout) or error.errno == errno.ETIMEDOUT:
        return Failed(TIMEOUT, phase, "no answer in time")
    outcome = _ERRORS.get(error.errno or 0, "error")
    return Failed(outcome, phase, os.strerror(error.errno) if error.errno else str(error))


def _failed(error: OSError, family: int, where: Any) -> Failed:
    if isinstance(error, socket.timeout):
        return Failed(FILTERED, "connect", "no answer to the SYN in time")
    if error.errno == errno.EADDRNOTAVAIL:
        if _has_source(family, where):
            return Failed(PORTS_EXHAUSTED, "connect", "every local port to this destination is taken")
        return Failed(NO_SOURCE, "connect", "this host has no address to send from")
    return Failed(_ERRORS.get(error.errno or 0, "error"), "connect", os.strerror(error.errno or 0))


def _has_source(family: int, where: Any) -> bool:
    """Whether there is a local address for *where*: a datagram socket would find one; nothing is sent."""
    try:
        with socket.socket(family, socket.SOCK_DGRAM) as datagrams:
            datagrams.connect(where)
        return True
    except OSError:
        return False
