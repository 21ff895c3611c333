# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who the threads, listeners and ports of a trace are. Private to this collection."""

from __future__ import annotations

import os
import socket
from typing import Any, Callable

from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import normal, read_ports
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import UNKNOWN, Owners
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import listening, open_source
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import processes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import addresses, open_route
from ansible_collections.nettriage.linux.plugins.module_utils.probe.drop_trace_events import Flow

# include/linux/proc_ns.h: PROC_PID_INIT_INO
_INITIAL = "pid:[4026531836]"
_MAX_THREADS = 10_000


class Threads:
    """The processes of threads, asked for when they are first seen: a client may live for milliseconds only.

    The kernel traces the numbers of the initial pid namespace.

    :param commands: what the kernel remembers of the commands of threads that are gone. It does not remember many, so
        it is asked soon.
    :ivar visible: whether the procfs shows that namespace.
    """

    def __init__(self, host: Host, commands: Callable[[], dict[int, str]]) -> None:
        self._host = host
        self._commands = commands
        self._known: dict[int, processes.Process] = {}
        self._gone: set[int] = set()
        self.visible = _namespace(host) == _INITIAL

    def see(self, thread: int) -> None:
        """This thread connects."""
        if thread in self._known or len(self._known) + len(self._gone) >= _MAX_THREADS:
            return
        if self.visible:
            found = processes.describe(self._host, self._process(thread))
            if found.command is not None:
                self._known[thread] = found
                return
        self._gone.add(thread)

    def catch_up(self) -> None:
        """Ask for the commands of those that were gone when they were seen."""
        if self._gone:
            commands = self._commands()
            for thread in self._gone:
                pid = thread if self.visible else None
                self._known[thread] = processes.Process(pid, commands.get(thread), None, None)
            self._gone.clear()

    def of(self, thread: int) -> dict[str, Any]:
        """Who that is."""
        return self._known[thread]._asdict() if thread in self._known else dict(UNKNOWN)

    def _process(self, thread: int) -> int:
        try:
            for line in read_text(self._host.proc(str(thread), "status")).splitlines():
                if line.startswith("Tgid:"):
                    return int(line[5:])
        except (Unavailable, ValueError):
            pass
        return thread


class Listeners:
    """The listening TCP sockets of this network namespace, and the addresses that they can be reached by."""

    def __init__(self, host: Host) -> None:
        source, __ = open_source(host)
        try:
            found = listening(source)
        except Unavailable:
            found = []
        finally:
            source.close()
        self.ports = {one.port for one in found}
        self._host = host
        self._sockets = [(one.port, normal(one.family, one.source), one.inode) for one in found]
        self._local = _local_addresses()
        self._ephemeral = read_ports(host)

    def owners(self, places: list[tuple[bytes, int]]) -> dict[tuple[bytes, int], dict[str, Any]]:
        """The process that listens at each place (address and port), as far as it is of this namespace."""
        inodes = {}
        for address, port in places:
            for listened, bound, inode in self._sockets:
                if listened == port and (bound == address or (not any(bound) and address in self._local)):
                    inodes[address, port] = inode
        owners = Owners(self._host, set(inodes.values()), (), {})
        named = {place: owners.one(inode) for place, inode in inodes.items()}
        return {place: who for place, who in named.items() if who is not None}

    def ends(self, flow: Flow) -> tuple[int | None, int | None]:
        """The local and the remote port of a flow; ``None`` for the one that was picked for this connection only."""
        local, remote = flow.local_port, flow.remote_port
        if self._is_ephemeral(local) and local not in self.ports:
            return None, remote
        return local, None if self._is_ephemeral(remote) else remote

    def _is_ephemeral(self, port: int) -> bool:
        low, high = self._ephemeral.low, self._ephemeral.high
        return low is not None and high is not None and low <= port <= high


def text(address: bytes) -> str:
    """An address of 4 or 16 bytes as it is written."""
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _namespace(host: Host) -> str | None:
    """The pid namespace that the procfs shows: that of its first process, or of this one where that is hidden."""
    for pid in ("1", "self"):
        try:
            return os.readlink(host.proc(pid, "ns", "pid"))
        except OSError:
            continue
    return None


def _local_addresses() -> set[bytes]:
    """Every address of this network namespace."""
    found: set[bytes] = set()
    try:
        link = open_route()
    except Unavailable:
        return found
    try:
        for each in addresses(link)[0]:
            plain = each.text.partition("/")[0]
            found.add(socket.inet_pton(socket.AF_INET6 if ":" in plain else socket.AF_INET, plain))
    except Unavailable:
        pass
    finally:
        link.close()
    return found
