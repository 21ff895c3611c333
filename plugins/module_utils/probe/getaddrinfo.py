# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""getaddrinfo(3) with an end. Private to this collection.

It cannot be interrupted, so each name is asked for by a child process that is ended when its time is over. A child
that has to see the files of somebody else's ``/etc`` does what ip-netns(8) does: it lays them over its own in a mount
namespace that nobody else sees and that ends with it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
import time
from typing import Any, Iterable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

_CHILDREN = 16
_BLOCK = 65536
_ADDRESSES = 64
_CLONE_NEWNS, _MS_BIND, _MS_REC, _MS_PRIVATE = 0x20000, 0x1000, 0x4000, 0x40000
_STAGE = "/tmp"  # noqa: S108 - only in the child's own mount namespace
_FILES = ("resolv.conf", "hosts", "nsswitch.conf")


class Lookup(NamedTuple):
    """What the C library said for one name.

    :ivar addresses: of all runs, in the order of the first that had any.
    :ivar runs_ms: how long each run took that ended.
    :ivar error: the library's own words where the last run failed, ``None`` where it did not.
    :ivar error_code: ``EAI_AGAIN`` and the like.
    :ivar timed_out: whether a run was ended because time was over.
    :ivar limited: why the files of the namespace could not be used.
    """

    addresses: list[str]
    runs_ms: list[float]
    error: str | None
    error_code: str | None
    timed_out: bool
    limited: str | None


def foreign_files(host: Host, resolv_conf: str) -> dict[str, str]:
    """The files below ``/etc`` that those who live in *host*'s namespace read instead of ours, with their content.

    :param resolv_conf: the path of theirs.
    """
    paths = {"resolv.conf": resolv_conf}
    if host.etc != "/etc":
        paths.update((name, os.path.join(host.etc, name)) for name in _FILES[1:])
    found = {}
    for name, path in paths.items():
        with contextlib.suppress(OSError, ValueError):
            if not os.path.exists("/etc/" + name) or not os.path.samefile(path, "/etc/" + name):
                found[name] = read_text(path)
    return found


def lookups(names: Iterable[str], runs: int, deadline: Deadline, files: dict[str, str]) -> dict[str, Lookup]:
    """Ask for all *names*, some side by side, each *runs* times; no thread may be running.

    :param files: what lies over this process's ``/etc``; see :func:`foreign_files`.
    """
    waiting = list(dict.fromkeys(names))[::-1]
    running: dict[int, _Child] = {}
    done: dict[str, Lookup] = {}
    poll = select.poll()
    try:
        while waiting or running:
            while waiting and len(running) < _CHILDREN:
                child = _Child(waiting.pop(), runs, deadline, files)
                running[child.reader] = child
                poll.register(child.reader, select.POLLIN)
            ready = {descriptor for descriptor, __ in poll.poll(int(deadline.left() * 1000) + 1)}
            for descriptor in ready or (list(running) if deadline.over else []):
                child = running[descriptor]
                if descriptor in ready and child.read():
                    continue
                del running[descriptor]
                poll.unregister(descriptor)
                done[child.name] = child.end()
    finally:
        for child in running.values():
            child.end()
    return done


def numeric(host: str) -> str | None:
    """The canonical form of *host* if it is an address (with its zone, maybe); else ``None``."""
    address, percent, zone = host.partition("%")
    for family in (socket.AF_INET6, socket.AF_INET):
        with contextlib.suppress(OSError, ValueError):
            return socket.inet_ntop(family, socket.inet_pton(family, address)) + percent + zone
    return None


class _Child:
    def __init__(self, name: str, runs: int, deadline: Deadline, files: dict[str, str]) -> None:
        self.name = name
        self._text = b""
        self._deadline = deadline
        self.reader, writer = os.pipe()
        try:
            self._pid = os.fork()
        except OSError as error:
            os.close(self.reader)
            os.close(writer)
            raise Unavailable(why(error, "a process for getaddrinfo")) from error
        if not self._pid:
            code = 1
            try:
                _ask(writer, name, runs, deadline, files)
                code = 0
            finally:
                os._exit(code)
        os.close(writer)

    def read(self) -> bool:
        """Whether there may be more to come."""
        block = os.read(self.reader, _BLOCK)
        self._text += block
        return bool(block)

    def end(self) -> Lookup:
        os.close(self.reader)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        lines: list[dict[str, Any]] = [json.loads(line) for line in self._text.splitlines(True) if line.endswith(b"\n")]
        limited = [line["limited"] for line in lines if "limited" in line]
        runs = [line for line in lines if "ms" in line]
        found: list[str] = next((run["addresses"] for run in runs if run["addresses"]), [])
        for run in runs:
            found += [address for address in run["addresses"] if address not in found]
        last = runs[-1] if runs else {}
        complete = bool(lines) and "end" in lines[-1]
        timed_out = not complete and self._deadline.over
        error = last.get("error") if complete or timed_out else "getaddrinfo ended its process"
        return Lookup(
            found[:_ADDRESSES],
            [run["ms"] for run in runs],
            error,
            last.get("code"),
            timed_out,
            limited[0] if limited else None,
        )


def _ask(writer: int, name: str, runs: int, deadline: Deadline, files: dict[str, str]) -> None:
    """The child's work; each line that it writes is a JSON object."""
    # Should the parent be killed, this ends all the same.
    signal.signal(signal.SIGALRM, signal.SIG_DFL)
    signal.setitimer(signal.ITIMER_REAL, deadline.left() + 1)

    def say(**words: Any) -> None:
        os.write(writer, json.dumps(words).encode() + b"\n")

    if files:
        try:
            _lay_over(files)
        except OSError as error:
            say(limited=f"getaddrinfo reads this process's own {', '.join(files)}: {error.strerror}")
    for __ in range(runs):
        if deadline.over:
            break
        started = time.perf_counter()
        addresses: list[str] = []
        failure = {}
        try:
            infos = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
            addresses = list(dict.fromkeys(str(info[4][0]) for info in infos))
        except socket.gaierror as error:
            failure = {"error": error.strerror, "code": _code(error.errno)}
        except (OSError, ValueError) as error:
            failure = {"error": str(error), "code": None}
        say(ms=(time.perf_counter() - started) * 1000, addresses=addresses[:_ADDRESSES], **failure)
    say(end=True)


def _code(number: int | None) -> str | None:
    return next((code for code in dir(socket) if code.startswith("EAI_") and getattr(socket, code) == number), None)


def _lay_over(files: dict[str, str]) -> None:
    """:raises OSError: without CAP_SYS_ADMIN, or where ``/etc`` has no such file to lay something over."""
    import ctypes

    libc = ctypes.CDLL(None, use_errno=True)

    def check(code: int) -> None:
        if code:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number))

    def mount(source: str | None, target: str, kind: str | None, flags: int) -> None:
        words = [word.encode() if word is not None else None for word in (source, target, kind)]
        check(libc.mount(*words, ctypes.c_ulong(flags), None))

    check(libc.unshare(_CLONE_NEWNS))
    mount(None, "/", None, _MS_REC | _MS_PRIVATE)
    mount("tmpfs", _STAGE, "tmpfs", 0)
    for name, text in files.items():
        path = os.path.join(_STAGE, name)
        with open(path, "w", encoding="utf-8", errors="surrogateescape") as file:
            file.write(text)
        os.chmod(path, 0o644)
        mount(path, "/etc/" + name, None, _MS_BIND)
