# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a capture: only its owner's, bounded, and there whole or not at all. Private to this collection.

It has no name until the capture has ended well (O_TMPFILE, open(2)), so that not even SIGKILL leaves anything. Where
the file system cannot do that, it has a name by which the next capture into the same directory knows a dead one's.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from typing import BinaryIO, Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why

MODE = 0o600
FREE_SHARE = 0.5
"""Of the free space so much may be taken at most."""

_LEAST_BYTES = 64 << 10
_LOOK_EVERY_BYTES = 4 << 20
_BLOCK_BYTES = 1 << 18
_PARTIAL = ".nettriage-capture-{}-{}-{}.partial"
_PARTIAL_NAME = re.compile(r"\.nettriage-capture-(\d+)-(\d+)-\d+\.partial\Z")
_CANNOT = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class _Part:
    """A file that has no name yet, or one that nobody takes for a capture.

    :raises OSError: it cannot be made.
    """

    def __init__(self, folder: int, serial: int) -> None:
        self._folder = folder
        self.size = 0
        self.name: str | None = None
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            descriptor = os.open(".", flags | os.O_TMPFILE, MODE, dir_fd=folder)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            self.name = _PARTIAL.format(os.getpid(), _started_at(os.getpid()), serial)
            descriptor = os.open(self.name, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE, dir_fd=folder)
        os.fchmod(descriptor, MODE)
        self.file: BinaryIO = os.fdopen(descriptor, "w+b")

    def write(self, data: bytes) -> None:
        self.file.write(data)
        self.size += len(data)

    def link(self, name: str) -> None:
        """Give it its *name*."""
        self.file.flush()
        if self.name:
            os.link(self.name, name, src_dir_fd=self._folder, dst_dir_fd=self._folder, follow_symlinks=False)
        else:
            os.link(f"/proc/self/fd/{self.file.fileno()}", name, dst_dir_fd=self._folder, follow_symlinks=True)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            self.file.close()
        if self.name:
            with contextlib.suppress(OSError):
                os.unlink(self.name, dir_fd=self._folder)


class CaptureFile:
    """A context manager: what is not kept when it ends is gone.

    A ring is made of two parts, of which the older one is given up when the newer one is full. Each takes a third, so
    that there is room to join them in the end.

    :raises BadOption: the path cannot be used.
    :raises Unavailable: there is too little space.
    """

    def __init__(self, path: str, max_bytes: int, ring: bool = False) -> None:
        self.path = path
        self._ring = ring
        self._most = max_bytes
        self._written = self._look_at = self._parts = 0
        self._head = b""
        self._older: _Part | None = None
        folder, self._name = os.path.split(path)
        if not os.path.isabs(path) or self._name in ("", ".", ".."):
            raise BadOption("path", path, "the absolute path of a file that does not exist yet")
        self._folder = _open_safe(path, folder)
        try:
            _sweep(self._folder)
            if self._exists():
                raise BadOption("path", path, "the path of a file that does not exist yet; nothing is overwritten")
            self._newer = self._part()
        except BaseException:
            os.close(self._folder)
            raise

    @property
    def size(self) -> int:
        """Bytes that are in it so far."""
        return self._newer.size + (self._older.size if self._older else 0)

    def _exists(self) -> bool:
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        """:raises Unavailable: the disk is full, or has failed."""
        try:
            yield
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error

    def _part(self) -> _Part:
        with self._told():
            self._parts += 1
            return _Part(self._folder, self._parts)

    def begin(self, head: bytes) -> None:
        """Write what the file begins with. :raises Unavailable: there is too little space for anything more."""
        self._head, wanted = head, self._most
        self.room()
        if self._most < min(wanted, _LEAST_BYTES):
            raise Unavailable(f"{self.path}: half of the free space is {self._most} bytes, which is too little")
        self.write(head)

    def room(self) -> int:
        """How many bytes more may be written, to this part of a ring, by the limit and by what is free."""
        if self._written >= self._look_at:
            self._look_at = self._written + _LOOK_EVERY_BYTES
            free = os.fstatvfs(self._newer.file.fileno())
            self._most = min(self._most, self.size + int(free.f_bavail * free.f_frsize * FREE_SHARE))
        return self._most // (3 if self._ring else 1) - self._newer.size

    def turn(self) -> None:
        """Give up the older part of a ring and begin a new one."""
        if self._older:
            self._older.close()
        self._older, self._newer = self._newer, self._part()
        self.write(self._head)

    def write(self, data: bytes) -> None:
        """:raises Unavailable: the disk is full, or has failed."""
        try:
            self._newer.write(data)
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error
        self._written += len(data)

    def reread(self) -> BinaryIO:
        """What is in it, from its beginning; nothing more can be written then.

        :raises Unavailable: the disk is full, or has failed.
        """
        with self._told():
            if self._older:
                older, newer, self._older = self._older, self._newer, None
                self._newer = older
                newer.file.seek(len(self._head))
                while block := newer.file.read(_BLOCK_BYTES):
                    older.write(block)
                newer.close()
            self._newer.file.flush()
            self._newer.file.seek(0)
        return self._newer.file

    def keep(self) -> None:
        """Give the file its name, unless something has it by now.

        :raises BadOption: something has.
        :raises Unavailable: it cannot be done.
        """
        try:
            self._newer.link(self._name)
        except FileExistsError as error:
            raise BadOption("path", self.path, "the path of a file that does not exist yet") from error
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error

    def _take_back(self) -> None:
        """Remove what already has its name: something failed, or a signal came, after that."""
        named = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        own = os.fstat(self._newer.file.fileno())
        if (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino):
            os.unlink(self._name, dir_fd=self._folder)

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *__: object) -> None:
        if kind is not None:
            with contextlib.suppress(OSError):
                self._take_back()
        for part in (self._older, self._newer):
            if part is not None:
                part.close()
        os.close(self._folder)


def _open_safe(path: str, folder: str) -> int:
    """The directory, in which nobody else can put another file in the place of ours."""
    accepted = "a path in an existing directory"
    try:
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except OSError as error:
        raise BadOption("path", path, f"{accepted} ({folder}: {error.strerror})") from error
    found = os.fstat(descriptor)
    sticky = found.st_mode & stat.S_ISVTX
    if found.st_uid not in (0, os.geteuid()) or (found.st_mode & (stat.S_IWGRP | stat.S_IWOTH) and not sticky):
        os.close(descriptor)
        raise BadOption("path", path, f"{accepted} that only its owner can write to, and is root's or the user's own")
    return descriptor


def _sweep(folder: int) -> None:
    """Remove what captures left here whose process is gone."""
    for name in os.listdir(folder):
        found = _PARTIAL_NAME.match(name)
        if found is None or _started_at(int(found[1])) == int(found[2]):
            continue
        with contextlib.suppress(OSError):
            if os.stat(name, dir_fd=folder, follow_symlinks=False).st_uid == os.geteuid():
                os.unlink(name, dir_fd=folder)


def _started_at(pid: int) -> int | None:
    """When *pid* started, in clock ticks since boot (field 22 of proc_pid_stat(5)); tells it from a later namesake."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return int(file.read().rpartition(b")")[2].split()[19])
    except OSError:
        return None
