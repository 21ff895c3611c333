# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One look at all sockets: what the kernel is asked, and how much of it. Private to this collection."""

from __future__ import annotations

from typing import NamedTuple, Union

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import Census, Ports, read_ports
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Batch
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_sockets import ProcSockets
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.processes import holders
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.sock_diag import SockDiag

Source = Union[SockDiag, ProcSockets]

# tcp_info costs the kernel and us several times what a bare socket costs: so many are looked at in one sample.
MAX_DETAILS = 10_000
_EXACT_ROWS = 64
_IDLE_UDP = 256
_ATTEMPTS = 3
_DETAILS = (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)
_LIVE = diag.CONNECTED & ~(1 << diag.TIME_WAIT) & ~(1 << diag.BOUND_INACTIVE)
_WAITING = 1 << diag.CLOSE_WAIT | 1 << diag.SYN_SENT
# States in which something may still be sent or received.
_CARRYING = 1 << diag.ESTABLISHED | 1 << diag.CLOSE_WAIT | 1 << diag.FIN_WAIT1 | 1 << diag.LAST_ACK | 1 << diag.CLOSING


class Sample(NamedTuple):
    """What the kernel said of its sockets at one moment.

    :ivar details: messages with tcp_info, at most about :data:`MAX_DETAILS`.
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


def take(host: Host, light: bool = False) -> Sample:
    """Ask for the sockets.

    :param light: only what the first of two samples is needed for: listeners, what waits, what moves.
    :raises Unavailable: neither netlink nor procfs can be had.
    """
    source, missing = open_source(host)
    limited = []
    if missing is not None:
        limited.append(f"{missing}; the files of procfs know no backlog, drops, tcp_info or memory of sockets")
    try:
        return _take(host, source, limited, light)
    finally:
        source.close()


def open_source(host: Host) -> tuple[Source, str | None]:
    """Netlink, or the files of procfs and why it is those."""
    try:
        host.require_live("sockets")
        source = SockDiag()
    except Unavailable as error:
        return ProcSockets(host), str(error)
    try:
        # Only a dump shows whether the kernel has the module.
        for _ in source.tcp(diag.LISTENING):
            pass
    except Unavailable as error:
        source.close()
        return ProcSockets(host), str(error)
    return source, None


def _take(host: Host, source: Source, limited: list[str], light: bool) -> Sample:
    ports = read_ports(host)
    if ports.low is None:
        limited.append("the range of ephemeral ports cannot be read: their use is not counted")
    listeners = _listeners(source)
    listening = {listener.port for listener in listeners}
    for attempt in range(_ATTEMPTS):
        census = Census(ports, listening)
        details: list[Batch] = []
        interrupted = (_walk_light if light else _walk)(host, source, census, details)
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
    held = holders(host, census.close_wait).pids if light and census.close_wait else {}
    return Sample(source.source, interrupted, limited, ports, listeners, census, details, udp, unix, held)


def _listeners(source: Source) -> list[diag.Socket]:
    batches = source.tcp(diag.LISTENING, (diag.SKMEMINFO,))
    return [one for batch in batches for one in diag.rows(batch) if one.state == diag.LISTEN]


def _walk(host: Host, source: Source, census: Census, details: list[Batch]) -> bool:
    """Look at every connected socket; tell whether the table changed so that the answer is not whole."""
    if isinstance(source, ProcSockets):
        for batch in source.tcp(diag.CONNECTED):
            census.add(batch)
        return False
    interrupted = False
    # First those that are done: what closes between the two walks is missed then, not counted twice.
    for batch in source.tcp(1 << diag.TIME_WAIT):
        census.add(batch)
    interrupted |= source.interrupted
    few = _connections(host) <= MAX_DETAILS
    for batch in source.tcp(_LIVE, _DETAILS if few else ()):
        census.add(batch)
        if few and len(details) * 64 < 2 * MAX_DETAILS:
            details.append(Batch(bytes(memoryview(batch.data)[: batch.length]), batch.length, batch.stride))
    interrupted |= source.interrupted
    for batch in source.tcp(1 << diag.BOUND_INACTIVE):
        census.add_bound(batch)
    interrupted |= source.interrupted
    if not few:
        look_at_some(details, 1 << diag.ESTABLISHED, _DETAILS)
        census.cut.add(f"quality: tcp_info of at most {MAX_DETAILS} connections was looked at")
        _complete(source, census)
    return interrupted


def _walk_light(host: Host, source: Source, census: Census, details: list[Batch]) -> bool:
    for batch in source.tcp(_WAITING):
        census.add(batch)
    interrupted = source.interrupted
    if isinstance(source, SockDiag):
        look_at_some(details, _CARRYING, (diag.INFO,))
    return interrupted


def look_at_some(details: list[Batch], states: int, extensions: tuple[int, ...]) -> None:
    """Up to :data:`MAX_DETAILS` sockets with tcp_info: the first of the kernel's table, which keeps its order."""
    own = SockDiag()  # a dump that is left in the middle leaves its socket useless
    try:
        seen = 0
        for batch in own.tcp(states, extensions):
            details.append(Batch(bytes(memoryview(batch.data)[: batch.length]), batch.length, batch.stride))
            seen += batch.length // batch.stride
            if seen >= MAX_DETAILS:
                break
    finally:
        own.close()


def _complete(source: SockDiag, census: Census) -> None:
    """Ask for the tcp_info of the few sockets that stand out, where it was not asked for with all."""
    for queue in (census.receive, census.send):
        queue.sort(reverse=True)
        queue[:] = [(size, source.exact(message, (diag.INFO,)) or message) for size, message in queue[:_EXACT_ROWS]]
    census.suspects[:] = [source.exact(message, (diag.INFO,)) or message for message in census.suspects[:_EXACT_ROWS]]


def _connections(host: Host) -> int:
    """How many TCP sockets besides TIME_WAIT this namespace has; more than any limit where it cannot be known."""
    total = 0
    for name, key in (("sockstat", "TCP:"), ("sockstat6", "TCP6:")):
        try:
            for line in read_text(host.net(name)).splitlines():
                words = line.split()
                if words[:2] == [key, "inuse"]:
                    total += int(words[2])
        except (Unavailable, ValueError, IndexError):
            if name == "sockstat":
                return MAX_DETAILS + 1
    return total
