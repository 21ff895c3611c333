# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds a socket, and who that is. Private to this collection.

Sources: proc_pid_fd(5), proc_pid_comm(5), proc_pid_cgroup(5).
"""

from __future__ import annotations

import functools
import os
from typing import Collection, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import cgroups
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

_NUMBERS = [str(number) for number in range(1024)]
_MAX_FORKS = 16
_DIRECTORY = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


class Process(NamedTuple):
    """A process as facts show it: ``pid`` is ``None`` where only its control group is known."""

    pid: int | None
    command: str | None
    unit: str | None
    container: str | None


class Holders(NamedTuple):
    """Which processes hold which sockets.

    :ivar pids: inode to the processes that have it open, lowest pid first.
    :ivar hidden: how many processes' descriptors could not be read for want of privilege.
    """

    pids: dict[int, list[int]]
    hidden: int


def pids(host: Host) -> list[int]:
    """Every process that this procfs shows, in order."""
    try:
        return sorted(int(name) for name in os.listdir(host.procfs) if name.isdigit())
    except OSError:
        return []


def holders(host: Host, wanted: Collection[int], shared: Collection[int] = ()) -> Holders:
    """Who has the sockets with these inodes open.

    :param wanted: one holder of each is enough.
    :param shared: inodes of which every holder is to be named: the listeners of servers that fork.
    """
    names = {f"socket:[{inode}]": inode for inode in (*wanted, *shared)}
    keep = {f"socket:[{inode}]" for inode in shared}
    pending = set(names)
    found: dict[int, list[int]] = {}
    hidden = 0
    for pid in pids(host) if pending else []:
        try:
            links = pending.intersection(_links(f"{host.procfs}/{pid}/fd"))
        except PermissionError:
            hidden += 1
            continue
        except OSError:
            continue
        for link in links:
            found.setdefault(names[link], []).append(pid)
        pending -= links - keep
        if not pending:
            break
    return Holders(found, hidden)


def _links(directory: str) -> list[str]:
    """What the descriptors in *directory* lead to."""
    opened = os.open(directory, _DIRECTORY)
    try:
        read = functools.partial(os.readlink, dir_fd=opened)
        # The directory's size is the number of open descriptors (Linux 6.2). Mostly they have the lowest numbers:
        # then they need not be listed, which is a third of the work.
        size = os.fstat(opened).st_size
        if 0 < size <= len(_NUMBERS):
            try:
                return list(map(read, _NUMBERS[:size]))
            except FileNotFoundError:
                pass
        names = os.listdir(opened)
        try:
            return list(map(read, names))
        except OSError:  # one was closed meanwhile
            return [link for link in (_link(name, opened) for name in names) if link]
    finally:
        os.close(opened)


def _link(name: str, directory: int) -> str | None:
    try:
        return os.readlink(name, dir_fd=directory)
    except OSError:
        return None


def sockets_of(host: Host, process: str) -> set[int]:
    """The inodes of the sockets that a process holds.

    :param process: a pid, or the command of one or more processes.
    :raises Unavailable: descriptors may not be read.
    """
    inodes: set[int] = set()
    for pid in pids(host):
        if process == str(pid) or process == command(host, pid):
            try:
                links = _links(host.proc(str(pid), "fd"))
            except OSError:
                continue
            inodes.update(int(link[8:-1]) for link in links if link.startswith("socket:["))
    return inodes


def command(host: Host, pid: int) -> str | None:
    """The kernel's name of a process (at most 15 bytes), never its arguments; ``None`` where it is gone."""
    text = _read(host.proc(str(pid), "comm"))
    return text[:-1] if text is not None and text.endswith("\n") else text


def leader(host: Host, pid: int) -> int:
    """The first of the processes of one command that forked each other down to *pid*: the parent of the workers."""
    name, first = command(host, pid), pid
    for __ in range(_MAX_FORKS if name is not None else 0):
        # The command, which stands before in parentheses, may hold anything (proc_pid_stat(5)).
        fields = (_read(host.proc(str(first), "stat")) or "").rpartition(")")[2].split()
        parent = int(fields[1]) if len(fields) > 1 and fields[1].isdigit() else 0
        if parent <= 1 or parent == first or command(host, parent) != name:
            break
        first = parent
    return first


def describe(host: Host, pid: int) -> Process:
    """Who *pid* is. What vanished meanwhile stays ``None``."""
    group = cgroups.of_text(_read(host.proc(str(pid), "cgroup")) or "")
    return Process(pid, command(host, pid), group.unit, group.container)


def pod(host: Host, pid: int) -> str | None:
    """The uid of the Kubernetes pod that *pid* belongs to; ``None`` outside of one."""
    return cgroups.pod_of_text(_read(host.proc(str(pid), "cgroup")) or "")


def _read(path: str) -> str | None:
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "replace")
    except OSError:
        return None
