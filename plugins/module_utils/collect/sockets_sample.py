# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at all sockets: what the kernel is asked, and how much of it. Private to this collection."""

from __future__ import annotations

import os
import sys
from typing import NamedTuple, Union

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import Census, Ports, read_ports
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_sockets import ProcSockets
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sock_diag import SockDiag

Source = Union[SockDiag, ProcSockets]

# tcp_info costs the kernel and us several times what a bare socket costs: so many are looked at in one sample.
MAX_DETAILS = 10_000
_EXACT_ROWS = 64
_IDLE_UDP = 256
_ATTEMPTS = 3
# One live socket in so many that are done does not make a walk of its own worth while.
_FEW = 8
# The kernel finds bound sockets only by walking the ports of all others.
_MAX_BOUND = 20_000
# A message without tcp_info is never as long as this.
_BARE_SIZE = 200
# Datagrams of 32 KiB are put together up to this.
_JOINED_BYTES = 1 << 19
DETAILS = (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)
_LIVE = diag.CONNECTED & ~(1 << diag.TIME_WAIT) & ~(1 << diag.BOUND_INACTIVE)
_WAITING = 1 << diag.CLOSE_WAIT | 1 << diag.SYN_SENT
# States in which something may still be sent or received.
_CARRYING = 1 << diag.ESTABLISHED | 1 << diag.CLOSE_WAIT | 1 << diag.FIN_WAIT1 | 1 << diag.LAST_ACK | 1 << diag.CLOSING


class Sample(NamedTuple):
    """What the kernel said of its sockets at one moment.

    :ivar details: messages with tcp_info, at most about :ivar:`most_details`.
    :ivar holders: inode of a socket in CLOSE_WAIT to the processes that hold it; only in a light sample.
    """

    source: str
    interrupted: bool
    limited: list[str]
    ports: Ports
    listeners: list[diag.Socket]
    census: Census
    details: list[Batch]
    udp: tuple[int, list[diag.Socket]] | None
    unix: tuple[int, int] | None
    holders: dict[int, list[int]]
    most_details: int = MAX_DETAILS


def take(host: Host, light: bool = False, most_details: int | None = None) -> Sample:
    """Ask for the sockets.

    :param light: only what the first of two samples is needed for: listeners, what waits, what moves.
    :param most_details: for one of many namespaces: of how many connections to ask for tcp_info. Sockets that are
        bound and not connected are not counted then, for the kernel would walk the ports of all namespaces each time.
    :raises Unavailable: neither netlink nor procfs can be had.
    """
    source, missing = open_source(host)
    limited = []
    if missing is not None:
        limited.append(f"{missing}; the files of procfs know no backlog, drops, tcp_info or memory of sockets")
    try:
        return _take(host, source, limited, light, most_details)
    finally:
        source.close()


def nothing(host: Host) -> Sample:
    """What :func:`take` finds where there is no socket."""
    ports = read_ports(host)
    return Sample("netlink", False, [], ports, [], Census(ports, ()), [], (0, []), None, {})


def open_source(host: Host) -> tuple[Source, str | None]:
    """Netlink, or the files of procfs and why it is those."""
    try:
        host.require_live("sockets")
        source = SockDiag()
    except Unavailable as error:
        return ProcSockets(host), str(error)
    try:
        # Only a dump shows whether the kernel has the module.
        for __ in source.tcp(diag.LISTENING):
            pass
    except Unavailable as error:
        source.close()
        return ProcSockets(host), str(error)
    return source, None


def _take(host: Host, source: Source, limited: list[str], light: bool, most_details: int | None) -> Sample:
    most = MAX_DETAILS if most_details is None else most_details
    ports = read_ports(host)
    if ports.low is None:
        limited.append("the range of ephemeral ports cannot be read: their use is not counted")
    listeners = listening(source)
    for attempt in range(_ATTEMPTS):
        census = Census(ports, {listener.port for listener in listeners})
        if most_details is not None:
            census.bound = None
        details: list[Batch] = []
        if isinstance(source, ProcSockets):
            interrupted = count(source, census, Expected(0, 0))
        elif light:
            interrupted = _look_lightly(source, census, details, most)
        else:
            interrupted = _look(host, source, census, details, most)
        if not interrupted or attempt == _ATTEMPTS - 1:
            break
    limited += sorted(census.cut)
    unix = None
    udp: tuple[int, list[diag.Socket]] | None = None
    try:
        udp = source.udp(0 if light else _IDLE_UDP)
    except Unavailable as error:
        limited.append(f"UDP sockets: {error}")
    if not light:
        try:
            unix = source.unix()
        except Unavailable:
            try:
                unix = ProcSockets(host).unix()
            except Unavailable as error:
                limited.append(f"unix sockets: {error}")
    if isinstance(source, ProcSockets) and source.damaged:
        limited.append(f"{source.damaged} damaged lines of the socket tables in {host.net()} were left out")
    return Sample(source.source, interrupted, limited, ports, listeners, census, details, udp, unix, {}, most)


class Expected(NamedTuple):
    """How many sockets this namespace has, before they are asked for; TCP ones, live and in TIME_WAIT, and UDP ones."""

    live: int
    time_wait: int
    udp: int = 0


def expected(host: Host) -> Expected:
    """What sockstat says; where it cannot be had, as many as would be too many."""
    found = {
        ("TCP:", "inuse"): 0,
        ("TCP6:", "inuse"): 0,
        ("TCP:", "tw"): 0,
        ("UDP:", "inuse"): 0,
        ("UDP6:", "inuse"): 0,
    }
    try:
        lines = read_text(host.net("sockstat")).splitlines()
        if os.path.exists(host.net("sockstat6")):
            lines += read_text(host.net("sockstat6")).splitlines()
        for line in lines:
            head, *words = line.split() or [""]
            for name, value in zip(words[::2], words[1::2]):
                if (head, name) in found:
                    found[head, name] = int(value)
    except (Unavailable, ValueError):
        return Expected(sys.maxsize, 0)
    return Expected(
        found["TCP:", "inuse"] + found["TCP6:", "inuse"],
        found["TCP:", "tw"],
        found["UDP:", "inuse"] + found["UDP6:", "inuse"],
    )


def listening(source: Source) -> list[diag.Socket]:
    """The listeners, with their drops where the kernel tells."""
    batches = source.tcp(diag.LISTENING, (diag.SKMEMINFO,))
    return [one for batch in batches for one in diag.rows(batch) if one.state == diag.LISTEN]


def count(source: Source, census: Census, there: Expected, details: list[Batch] | None = None) -> bool:
    """Take every connected socket into *census*; tell whether the table changed so that the answer is not whole.

    :param details: where messages with tcp_info go; without it none is asked for.
    """
    if isinstance(source, ProcSockets):  # all states in one reading
        for batch in source.tcp(diag.CONNECTED):
            census.add(batch)
        return False
    # A walk costs the more the more the lengths of its messages vary. Those that are done go first: what closes
    # between two walks is missed then, not counted twice.
    walks = [1 << diag.TIME_WAIT, _LIVE] if there.live * _FEW > there.time_wait else [1 << diag.TIME_WAIT | _LIVE]
    interrupted, detailed = False, 0
    for states in walks:
        for batch in source.tcp(states, () if details is None else DETAILS):
            census.add(batch)
            if details is not None and batch.stride > _BARE_SIZE and detailed < 2 * MAX_DETAILS:
                _keep(details, batch)
                detailed += batch.length // batch.stride
        interrupted |= source.interrupted
    if census.bound is None:
        return interrupted
    if sum(census.states) > _MAX_BOUND:
        census.bound = None
        census.cut.add("states: close (bound, not connected) was not counted beside so many others")
        return interrupted
    for batch in source.tcp(1 << diag.BOUND_INACTIVE):
        census.bound = (census.bound or 0) + batch.length // batch.stride
    return interrupted | source.interrupted


def look_at_some(details: list[Batch], states: int, extensions: tuple[int, ...], most: int) -> None:
    """Up to *most* sockets with tcp_info: the first of the kernel's table, which keeps its order."""
    own = SockDiag()  # a dump that is left in the middle leaves its socket useless
    try:
        seen = 0
        for batch in own.tcp(states, extensions):
            _keep(details, batch)
            seen += batch.length // batch.stride
            if seen >= most:
                break
    finally:
        own.close()


def _look(host: Host, source: SockDiag, census: Census, details: list[Batch], most: int) -> bool:
    there = expected(host)
    if there.live <= most:
        return count(source, census, there, details)
    interrupted = count(source, census, there)
    look_at_some(details, 1 << diag.ESTABLISHED, DETAILS, most)
    census.cut.add(f"quality: only the first {most} connections were looked at")
    for queue in (census.receive, census.send):
        queue.sort(reverse=True)
        queue[:] = [(size, source.exact(message, (diag.INFO,)) or message) for size, message in queue[:_EXACT_ROWS]]
    census.suspects[:] = [source.exact(message, (diag.INFO,)) or message for message in census.suspects[:_EXACT_ROWS]]
    return interrupted


def _look_lightly(source: SockDiag, census: Census, details: list[Batch], most: int) -> bool:
    for batch in source.tcp(_WAITING):
        census.add(batch)
    interrupted = source.interrupted
    look_at_some(details, _CARRYING, (diag.INFO,), most)
    return interrupted


def _keep(details: list[Batch], batch: Batch) -> None:
    """Add *batch* to *details*: to the last one of these if that has the same form, since each batch has a price."""
    new = memoryview(batch.data)[: batch.length]
    data = details[-1].data if details else b""
    if isinstance(data, bytearray) and details[-1].stride == batch.stride and details[-1].length < _JOINED_BYTES:
        data += new
        details[-1] = Batch(data, len(data), batch.stride)
    else:
        details.append(Batch(bytearray(new), batch.length, batch.stride))
