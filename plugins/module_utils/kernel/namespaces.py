# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Network namespaces: naming one, entering it. Private to this collection.

Sources: setns(2), network_namespaces(7), ip-netns(8).
"""

from __future__ import annotations

import errno
import os

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import (
    BadOption,
    Unavailable,
    why,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

CLONE_NEWNET = 0x40000000
_NAMED = ("/run/netns", "/var/run/netns")
_SHOWN_NAMES = 10


def enter(host: Host, netns: str) -> Host:
    """Move this thread into *netns* and return the host as it is seen from there.

    It must be the main thread: ``/proc/net`` leads to ``/proc/self/net``, the namespace of a process's leader.

    :param netns: a name as ``ip netns`` makes them, an absolute path of a namespace file, or ``pid:N``.
    :raises BadOption: there is no such namespace.
    :raises Unavailable: it may not be entered.
    """
    if not host.live:
        raise BadOption("netns", netns, f"no namespace where procfs is {host.procfs}, a directory of recorded files")
    path, etc = locate(host, netns)
    # A FIFO or a terminal given as a path must neither block nor become ours.
    flags = os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in (errno.ENOENT, errno.ENOTDIR, errno.EINVAL, errno.ENXIO, errno.ELOOP, errno.ENAMETOOLONG):
            raise BadOption("netns", netns, _accepted(host)) from error
        needs = "; another user's process is shown to CAP_SYS_PTRACE only" if error.errno == errno.EACCES else ""
        raise Unavailable(why(error, f"netns {netns}") + needs) from error
    try:
        switch(descriptor, host)
    except OSError as error:
        if error.errno == errno.EINVAL:
            raise BadOption("netns", netns, _accepted(host)) from error
        if error.errno == errno.EPERM:
            raise Unavailable(f"netns {netns}: entering it needs CAP_SYS_ADMIN") from error
        raise Unavailable(why(error, f"netns {netns}")) from error
    finally:
        os.close(descriptor)
    return Host(host.procfs, host.sysfs, etc, netns)


def locate(host: Host, netns: str) -> tuple[str, str]:
    """The namespace file that *netns* means, and the configuration directory of who lives there.

    :raises BadOption: *netns* has none of the accepted forms, or no such name exists.
    """
    if "\0" in netns:
        raise BadOption("netns", netns, _accepted(host))
    if netns.startswith("pid:"):
        pid = netns[4:]
        if not (pid.isascii() and pid.isdigit()):
            raise BadOption("netns", netns, _accepted(host))
        return host.proc(pid, "ns", "net"), host.proc(pid, "root", "etc")
    if netns.startswith("/"):
        directory, name = os.path.split(os.path.normpath(netns))
        owner, ns = os.path.split(directory)
        if ns == "ns" and os.path.basename(owner).isdigit():
            return netns, os.path.join(owner, "root", "etc")
        return netns, os.path.join("/etc/netns", name) if directory in _NAMED else host.etc
    if netns not in ("", ".", "..") and "/" not in netns:
        for root, directory in _directories(host):
            path = os.path.join(directory, netns)
            if os.path.exists(path):
                return path, os.path.join(root, "etc/netns", netns)
    raise BadOption("netns", netns, _accepted(host))


def names(host: Host) -> list[str]:
    """The names that ``ip netns`` has given, sorted."""
    for __, directory in _directories(host):
        try:
            return sorted(os.listdir(directory))
        except OSError:
            continue
    return []


def switch(descriptor: int, host: Host) -> None:
    """Make the namespace behind *descriptor* this thread's own; nothing is asked where it is already.

    :raises OSError: ``EPERM`` without privilege, ``EINVAL`` where it is no network namespace.
    """
    there, here = os.fstat(descriptor), os.stat(host.proc("self", "ns", "net"))
    if (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino):
        return
    if hasattr(os, "setns"):
        os.setns(descriptor, CLONE_NEWNET)
        return
    import ctypes  # only below Python 3.12

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


def _directories(host: Host) -> list[tuple[str, str]]:
    """Where names are looked for, as (root, directory): first at init's, if procfs is another machine's view."""
    roots = ["/"] if host.procfs == "/proc" else [host.proc("1", "root"), "/"]
    return [(root, root.rstrip("/") + named) for root in roots for named in _NAMED]


def _accepted(host: Host) -> str:
    known = names(host)
    shown = ", ".join(known[:_SHOWN_NAMES]) + (", ..." if len(known) > _SHOWN_NAMES else "")
    there = f"there are: {shown}" if known else "there are none"
    return (
        f"a name below /run/netns ({there}), the absolute path of a network namespace file, "
        "or pid:N with the id of a running process"
    )
