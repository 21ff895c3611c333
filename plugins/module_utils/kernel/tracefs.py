# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trace instances of tracefs, removed in every case. Private to this collection.

An instance has ring buffers, events and filters of its own, so that whoever else traces is not disturbed.

Sources: ``Documentation/trace/ftrace.rst`` (Instances), ``Documentation/trace/events.rst``, ``kernel/trace/trace.c``.
"""

from __future__ import annotations

import errno
import os
import re
import time
from contextlib import contextmanager
from typing import Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.signals import undisturbed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import (
    Format,
    PageFormat,
    parse_format,
    parse_page_format,
)

_MAX_DIGITS = 10
_PREFIX = "nettriage"
_NAME = re.compile(_PREFIX + r"-(\d+)-(\d+)-[a-z]+\Z")
_CLONE_NEWNS = 0x00020000
_MS_NOSUID, _MS_NODEV, _MS_NOEXEC, _MS_REC, _MS_PRIVATE = 0x2, 0x4, 0x8, 0x4000, 0x40000
_ATTEMPTS = 3
_BUSY_S = 2.0
_BUSY_PAUSE_S = 0.02
# The kernel's own smallest ring buffer has two pages.
_MIN_BUFFER_KB = 8
_NEEDS_ROOT = "tracing needs root with CAP_SYS_ADMIN and CAP_DAC_OVERRIDE in the initial user namespace"


class Tracefs:
    """A mounted tracefs.

    :ivar root: its directory.
    :raises Unavailable: this kernel has none, or this user may not have it.
    """

    def __init__(self, host: Host) -> None:
        host.require_live("tracefs")
        if "[confidentiality]" in _text(host.sys("kernel", "security", "lockdown")):
            raise Unavailable("tracefs: the kernel is locked down (confidentiality), and lets nobody trace")
        self._host = host
        self.root = _mounted(host) or _mount(host)

    def read(self, *parts: str) -> str:
        """:raises Unavailable: there is no such file, or it may not be read."""
        return read_text(os.path.join(self.root, *parts))

    def event_format(self, event: str) -> Format:
        """The layout of an event, named ``SYSTEM/NAME``.

        :raises Unavailable: this kernel has no such event.
        """
        if not os.path.isdir(os.path.join(self.root, "events", event)):
            raise Unavailable(f"{event}: this kernel has no such trace event")
        return parse_format(self.read("events", event, "format"))

    def page_format(self) -> PageFormat:
        """The layout of a ring buffer's pages."""
        return parse_page_format(self.read("events", "header_page"))

    def commands(self) -> dict[int, str]:
        """What the kernel remembers of the commands of threads that ran while something was traced.

        A command may hold a newline, and what follows it may look like another thread's line: a thread that seems to
        stand there twice has no known command.
        """
        found: dict[int, str | None] = {}
        for line in _text(os.path.join(self.root, "saved_cmdlines")).split("\n"):
            thread, space, command = line.partition(" ")
            if space and thread.isascii() and thread.isdigit() and len(thread) < _MAX_DIGITS:
                found[int(thread)] = None if int(thread) in found else command
        return {thread: command for thread, command in found.items() if command is not None}

    def sweep(self) -> list[str]:
        """Remove the instances of runs that were killed; return their names.

        A run that is alive has a file of its instance open, which the kernel does not let go. So a process of another
        pid namespace, whose number says nothing here, is safe as well.
        """
        removed = []
        for name in os.listdir(os.path.join(self.root, "instances")):
            found = _NAME.match(name)
            if found is None or _started_at(self._host, found[1]) == int(found[2]):
                continue
            try:
                os.rmdir(os.path.join(self.root, "instances", name))
            except OSError:
                continue
            removed.append(name)
        return removed

    @contextmanager
    def instance(self, label: str, total_kb: int) -> Iterator[Instance]:
        """An instance of one's own, gone after the block whatever happens in it.

        :param label: lower-case letters; tells several instances of one run apart.
        :param total_kb: what the buffers of all processors may take together.
        :raises Unavailable: it cannot be made.
        """
        # The number of this process as the procfs that is looked into has it.
        pid = os.readlink(self._host.proc("self"))
        name = f"{_PREFIX}-{pid}-{_started_at(self._host, pid)}-{label}"
        made = Instance(os.path.join(self.root, "instances", name), total_kb)
        try:
            with undisturbed():
                made.open()
            yield made
        finally:
            with undisturbed():
                made.remove()


class Instance:
    """Ring buffers of one's own, one a processor, and the events that are written to them.

    What does not fit any more is dropped by the kernel and counted: the trace never holds up who is traced.

    :ivar path: its directory.
    """

    def __init__(self, path: str, total_kb: int) -> None:
        self.path = path
        self._total_kb = self._each_kb = total_kb
        self._events: list[str] = []
        self._files: list[int] = []

    def open(self) -> None:
        """Make the instance and open its buffers.

        :raises Unavailable: this user may not, or there is no memory for it.
        """
        for attempt in range(_ATTEMPTS):
            try:
                os.mkdir(self.path)
                self._open_buffers()
                break
            except FileNotFoundError as error:
                # Another run swept it before a file of it was open.
                if attempt == _ATTEMPTS - 1:
                    raise Unavailable(why(error, "a trace instance")) from error
            except OSError as error:
                needs = f"; {_NEEDS_ROOT}" if error.errno in (errno.EACCES, errno.EPERM) else ""
                raise Unavailable(why(error, "a trace instance") + needs) from error
        # The kernel gives each processor 1.4 MB at first, which many processors make much.
        self._each_kb = max(_MIN_BUFFER_KB, self._total_kb // max(1, len(self._files)))
        self._write("buffer_size_kb", str(self._each_kb))
        # A full buffer keeps what it has: to overwrite old events would cost more for each that is lost.
        self._write("options/overwrite", "0")

    def _open_buffers(self) -> None:
        for name in os.listdir(os.path.join(self.path, "per_cpu")):
            path = os.path.join(self.path, "per_cpu", name, "trace_pipe_raw")
            self._files.append(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC))

    def enable(self, event: str, condition: str | None = None) -> None:
        """Have *event* written, where *condition* holds: a filter that the kernel evaluates.

        :raises Unavailable: the kernel does not take one of them.
        """
        if condition is not None:
            self._write(f"events/{event}/filter", condition)
        self._write(f"events/{event}/enable", "1")
        self._events.append(event)

    def disable(self) -> None:
        """Have nothing more written."""
        while self._events:
            self._write(f"events/{self._events.pop()}/enable", "0")

    def pages(self, size: int) -> Iterator[bytes]:
        """What is in the buffers, page by page of *size* bytes, taken out of them.

        What is written meanwhile waits for the next call, so that this one ends.
        """
        most = self._each_kb * 1024 // size + 1
        for file in self._files:
            for __ in range(most):
                try:
                    page = os.read(file, size)
                except OSError as error:
                    if error.errno in (errno.EAGAIN, errno.EINTR, errno.ENODEV):
                        break
                    raise Unavailable(why(error, "the ring buffers of the trace")) from error
                if not page:
                    break
                yield page

    def lost(self) -> int:
        """How many events did not fit into the buffers."""
        found = 0
        for name in os.listdir(os.path.join(self.path, "per_cpu")):
            for line in read_text(os.path.join(self.path, "per_cpu", name, "stats")).splitlines():
                key, __, value = line.partition(":")
                if (
                    key in ("overrun", "commit overrun", "dropped events")
                    and value.isascii()
                    and value.strip().isdigit()
                ):
                    found += int(value)
        return found

    def remove(self) -> None:
        """Close what is open and have the kernel forget the instance.

        :raises Unavailable: somebody else has a file of it open; then it writes nothing any more, and the next run
            removes it.
        """
        while self._files:
            os.close(self._files.pop())
        end = time.monotonic() + _BUSY_S
        while True:
            try:
                os.rmdir(self.path)
                return
            except FileNotFoundError:
                return
            except OSError as error:
                if error.errno != errno.EBUSY or time.monotonic() > end:
                    self._write("events/enable", "0")
                    raise Unavailable(why(error, f"the trace instance {self.path} cannot be removed")) from error
            time.sleep(_BUSY_PAUSE_S)

    def _write(self, name: str, text: str) -> None:
        try:
            file = os.open(os.path.join(self.path, name), os.O_WRONLY | os.O_CLOEXEC)
            try:
                os.write(file, text.encode())
            finally:
                os.close(file)
        except OSError as error:
            raise Unavailable(why(error, f"{name} of the trace instance")) from error


def _started_at(host: Host, pid: str) -> int | None:
    """When *pid* started, in clock ticks since boot (field 22 of proc_pid_stat(5)): tells it from a later namesake."""
    try:
        return int(read_text(host.proc(pid, "stat")).rpartition(")")[2].split()[19])
    except (Unavailable, IndexError, ValueError):
        return None


def _text(path: str) -> str:
    """What is in a file; nothing where there is none."""
    try:
        return read_text(path)
    except Unavailable:
        return ""


def _mounted(host: Host) -> str | None:
    """Where tracefs is mounted; ``None`` where it is not.

    :raises Unavailable: it is, but not for this user.
    """
    for path in (host.sys("kernel", "tracing"), host.sys("kernel", "debug", "tracing")):
        try:
            names = os.listdir(path)
        except PermissionError as error:
            raise Unavailable(f"{path}: permission denied; {_NEEDS_ROOT}") from error
        except OSError:
            continue
        if "instances" in names:
            return path
    return None


def _mount(host: Host) -> str:
    """Mount tracefs in a mount namespace of this process's own, so that the mount ends with the process."""
    path = host.sys("kernel", "tracing")
    if not os.path.isdir(path):
        raise Unavailable(f"{path} does not exist: this kernel has no tracefs")
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)
    flags = ctypes.c_ulong(_MS_NOSUID | _MS_NODEV | _MS_NOEXEC)
    if (
        libc.unshare(_CLONE_NEWNS)
        or libc.mount(b"none", b"/", None, ctypes.c_ulong(_MS_REC | _MS_PRIVATE), None)
        or libc.mount(b"nettriage", os.fsencode(path), b"tracefs", flags, None)
    ):
        number = ctypes.get_errno()
        if number in (errno.EPERM, errno.EACCES):
            raise Unavailable(f"tracefs is not mounted, and to mount it is not permitted; {_NEEDS_ROOT}")
        raise Unavailable(f"tracefs is not mounted, and cannot be: {os.strerror(number)}")
    try:
        os.listdir(os.path.join(path, "instances"))
    except OSError as error:
        raise Unavailable(why(error, f"{path}/instances")) from error
    return path
