# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where this run looks: the proc and sys trees of the host that is asked. Private to this collection."""

from __future__ import annotations

import os

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import (
    BadOption,
    Unavailable,
    why,
)

_MAX_DIGITS = 20
_MAX_HEX_DIGITS = 18
# What the option netns calls every network namespace of the host.
ALL_NAMESPACES = "all"


class Host:
    """The trees to read and whether netlink speaks of the same kernel.

    :param procfs: mount point of procfs, or a directory with recorded files.
    :param sysfs: mount point of sysfs, or a directory with recorded files.
    :param etc: the configuration directory that belongs to them; without it ``/etc``, for recorded files
        the directory ``etc`` beside *procfs*.
    :param netns: the option by which its network namespace was entered, ``None`` for the process's own.

    :attr:`live` is false for recorded files: then nothing but the files is asked, since netlink
    would answer for the machine that this code runs on.
    """

    def __init__(
        self, procfs: str = "/proc", sysfs: str = "/sys", etc: str | None = None, netns: str | None = None
    ) -> None:
        for option, path in (("procfs", procfs), ("sysfs", sysfs)):
            if not os.path.isdir(path):
                raise BadOption(option, path, "an existing directory")
        self.procfs = procfs
        self.sysfs = sysfs
        self.live = os.path.exists(os.path.join(procfs, "self", "stat"))
        beside = "/etc" if self.live else os.path.join(os.path.dirname(os.path.abspath(procfs)), "etc")
        self.etc = beside if etc is None else etc
        self.netns = netns

    def proc(self, *parts: str) -> str:
        return os.path.join(self.procfs, *parts)

    def sys(self, *parts: str) -> str:
        return os.path.join(self.sysfs, *parts)

    def net(self, *parts: str) -> str:
        """A path below ``/proc/net``: this process's own network namespace."""
        return os.path.join(self.procfs, "net", *parts)

    def require_live(self, what: str) -> None:
        """:raises Unavailable: when only recorded files can be read."""
        if not self.live:
            raise Unavailable(f"{what}: {self.procfs} holds recorded files, so netlink is not asked")


class Neighbour(Host):
    """Another network namespace as its files below ``/proc/PID/net`` show it to those who may not enter it.

    Nothing but the files of :meth:`net` is that namespace's own.

    :param pid: a process that lives there.
    """

    def __init__(self, host: Host, pid: int) -> None:
        super().__init__(host.procfs, host.sysfs, host.etc, f"pid:{pid}")
        self._pid = str(pid)

    def net(self, *parts: str) -> str:
        return os.path.join(self.procfs, self._pid, "net", *parts)


def read_text(path: str) -> str:
    """A whole file of procfs, sysfs or /etc; bytes that are no UTF-8 survive as surrogates.

    :raises Unavailable: it does not exist or may not be read.
    """
    try:
        with open(path, "rb") as file:
            return file.read().decode("utf-8", "surrogateescape")
    except OSError as error:
        raise Unavailable(why(error, path)) from error


def read_int(path: str) -> int | None:
    """The integer in *path*, or ``None`` where there is none to be had."""
    try:
        return number(read_text(path))
    except (Unavailable, ValueError):
        return None


def number(text: str) -> int:
    """A decimal number as the kernel prints one: ASCII digits of at most 64 bits, nothing that only Python takes.

    :raises ValueError: it is none.
    """
    text = text.strip()
    digits = text[1:] if text[:1] == "-" else text
    if not (digits.isascii() and digits.isdigit() and len(digits) <= _MAX_DIGITS):
        raise ValueError("no number")
    return int(text)


def hexadecimal(text: str) -> int:
    """A hexadecimal number as the kernel prints one: ASCII digits of at most 64 bits, maybe behind ``0x``.

    :raises ValueError: it is none.
    """
    if not (text.isascii() and text.isalnum() and len(text) <= _MAX_HEX_DIGITS):
        raise ValueError("no number")
    return int(text, 16)


def shown(text: str) -> str:
    """*text* of :func:`read_text` as it may stand in facts: JSON has no place for bytes that are no UTF-8."""
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
