# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which network namespaces there are: those of processes, and those that a mount holds. Private to this collection.

A namespace that is held only by a thread other than its process's first, by an open descriptor or by a socket has no
name anywhere and is not found. Sources: namespaces(7), proc_pid_mountinfo(5), ip-netns(8).
"""

from __future__ import annotations

import os
import time
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import processes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text

_NAMED = ("/run/netns", "/var/run/netns")
_PREFIX = "net:["


class Namespace(NamedTuple):
    """One network namespace besides the own one.

    :ivar inode: what tells it from others as long as it exists; ``None`` where it is hidden from this run.
    :ivar names: as the option ``netns`` takes them: names below ``/run/netns`` first, then paths of other mounts.
    :ivar pids: the processes that live there, lowest pid first.
    """

    inode: int | None
    names: list[str]
    pids: list[int]


class Inhabited(NamedTuple):
    """Where processes live.

    :ivar found: inode of a namespace to its processes, lowest pid first.
    :ivar hidden: processes that do not show theirs for want of privilege.
    """

    found: dict[int, list[int]]
    hidden: list[int]


def own(host: Host) -> int | None:
    """The inode of this process's network namespace."""
    try:
        return _inode(os.readlink(host.proc("self", "ns", "net")))
    except OSError:
        return None


def inhabited(host: Host, end: float = float("inf")) -> Inhabited:
    """The namespaces of all processes, with the own one among them.

    :param end: when to stop looking, on the monotonic clock.
    """
    found: dict[int, list[int]] = {}
    hidden: list[int] = []
    for pid in processes.pids(host):
        try:
            inode = _inode(os.readlink(f"{host.procfs}/{pid}/ns/net"))
        except PermissionError:
            hidden.append(pid)
            continue
        except OSError:  # it ended
            continue
        if inode is not None:
            found.setdefault(inode, []).append(pid)
        if time.monotonic() > end:
            break
    return Inhabited(found, hidden)


def others(host: Host) -> list[Namespace]:
    """Every namespace that can be told from the own one, those with most processes first."""
    here = own(host)
    lived_in = inhabited(host)
    names = mounted(host)
    found = [
        Namespace(inode, names.get(inode, []), lived_in.found.get(inode, []))
        for inode in {*lived_in.found, *names}
        if inode != here
    ]
    found += [Namespace(None, [], pids) for pids in _told_by_files(host, lived_in.hidden)]
    found.sort(key=lambda each: (-len(each.pids), each.pids[:1], each.names))
    return found


def _told_by_files(host: Host, hidden: list[int]) -> list[list[int]]:
    """Processes whose namespace is hidden, by namespace: each has files of its own below ``/proc/PID/net``.

    Everybody may read those, while the link to the namespace takes CAP_SYS_PTRACE.
    """
    groups: dict[int, list[int]] = {}
    for pid in hidden:
        try:
            groups.setdefault(os.stat(f"{host.procfs}/{pid}/net/dev").st_ino, []).append(pid)
        except OSError:
            continue
    try:
        groups.pop(os.stat(host.net("dev")).st_ino, None)
    except OSError:
        return []
    return list(groups.values())


def mounted(host: Host) -> dict[int, list[str]]:
    """The inodes of namespaces that bind mounts hold, with their names."""
    try:
        text = read_text(host.proc("self" if host.procfs == "/proc" else "1", "mountinfo"))
    except Unavailable:
        return {}
    found: dict[int, list[str]] = {}
    for line in text.split("\n"):
        if f" {_PREFIX}" not in line:
            continue
        fields, separator, rest = line.partition(" - ")
        words = fields.split(" ")
        inode = _inode(words[3]) if len(words) > 4 and separator and rest.startswith("nsfs ") else None
        if inode is not None:
            name = _name(_unescaped(words[4]))
            if name not in found.setdefault(inode, []):
                found[inode].append(name)
    for names in found.values():
        names.sort(key=lambda name: (name.startswith("/"), name))
    return found


def _name(path: str) -> str:
    directory, name = os.path.split(path)
    return name if directory in _NAMED else path


def _unescaped(text: str) -> str:
    """The kernel writes space, tab, newline and backslash as three octal digits after a backslash."""
    for code, character in (("040", " "), ("011", "\t"), ("012", "\n"), ("134", "\\")):
        text = text.replace(f"\\{code}", character)
    return text


def _inode(link: str) -> int | None:
    digits = link[len(_PREFIX) : -1]
    return int(digits) if link.startswith(_PREFIX) and digits.isascii() and digits.isdigit() else None
