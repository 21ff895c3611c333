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
from typing import BinaryIO

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why

MODE = 0o600
FREE_SHARE = 0.5
"""Of the free space so much may be taken at most."""

_LEAST_BYTES = 64 << 10
_LOOK_EVERY_BYTES = 4 << 20
_PARTIAL = ".nettriage-capture-{}-{}.partial"
_PARTIAL_NAME = re.compile(r"\.nettriage-capture-(\d+)-(\d+)\.partial\Z")
_CANNOT = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL, errno.ENOENT)


class CaptureFile:
    """A context manager: what is not kept when it ends is gone.

    :ivar size: bytes written so far.
    :raises BadOption: the path cannot be used.
    :raises Unavailable: there is too little space.
    """

    def __init__(self, path: str, max_bytes: int) -> None:
        self.path = path
        self.size = 0
        self._most = max_bytes
        self._look_at = 0
        self._partial: str | None = None
        folder, self._name = os.path.split(path)
        if not os.path.isabs(path) or self._name in ("", ".", ".."):
            raise BadOption("path", path, "the absolute path of a file that does not exist yet")
        self._folder = _open_safe(path, folder)
        try:
            _sweep(self._folder)
            if self._exists():
                raise BadOption("path", path, "the path of a file that does not exist yet; nothing is overwritten")
            self._file = self._create()
        except BaseException:
            os.close(self._folder)
            raise

    def _exists(self) -> bool:
        try:
            os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        except FileNotFoundError:
            return False
        return True

    def _create(self) -> BinaryIO:
        flags = os.O_RDWR | os.O_CLOEXEC
        try:
            descriptor = os.open(".", flags | os.O_TMPFILE, MODE, dir_fd=self._folder)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise Unavailable(why(error, self.path)) from error
            self._partial = _PARTIAL.format(os.getpid(), _started_at(os.getpid()))
            try:
                descriptor = os.open(
                    self._partial, flags | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, MODE, dir_fd=self._folder
                )
            except OSError as trouble:
                raise Unavailable(why(trouble, self.path)) from trouble
        os.fchmod(descriptor, MODE)
        return os.fdopen(descriptor, "w+b")

    def room(self) -> int:
        """How many bytes more may be written, by the limit and by what is free."""
        if self.size >= self._look_at:
            self._look_at = self.size + _LOOK_EVERY_BYTES
            free = os.fstatvfs(self._file.fileno())
            share = int(free.f_bavail * free.f_frsize * FREE_SHARE)
            if not self.size and share < _LEAST_BYTES:
                raise Unavailable(f"{self.path}: half of the free space is {share} bytes, which is too little")
            self._most = min(self._most, self.size + share)
        return self._most - self.size

    def write(self, data: bytes) -> None:
        """:raises Unavailable: the disk is full, or has failed."""
        try:
            self._file.write(data)
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error
        self.size += len(data)

    def reread(self) -> BinaryIO:
        """What was written, from its beginning. :raises Unavailable: the disk is full, or has failed."""
        try:
            self._file.flush()
            self._file.seek(0)
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error
        return self._file

    def keep(self) -> None:
        """Give the file its name, unless something has it by now.

        :raises BadOption: something has.
        :raises Unavailable: it cannot be done.
        """
        source = self._partial or f"/proc/self/fd/{self._file.fileno()}"
        own = self._folder if self._partial else None
        try:
            self._file.flush()
            os.link(source, self._name, src_dir_fd=own, dst_dir_fd=self._folder, follow_symlinks=not self._partial)
        except FileExistsError as error:
            raise BadOption("path", self.path, "the path of a file that does not exist yet") from error
        except OSError as error:
            raise Unavailable(why(error, self.path)) from error

    def _take_back(self) -> None:
        """Remove what already has its name: something failed, or a signal came, after that."""
        named = os.stat(self._name, dir_fd=self._folder, follow_symlinks=False)
        own = os.fstat(self._file.fileno())
        if (named.st_dev, named.st_ino) == (own.st_dev, own.st_ino):
            os.unlink(self._name, dir_fd=self._folder)

    def __enter__(self) -> CaptureFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, *__: object) -> None:
        with contextlib.suppress(OSError):
            if kind is not None:
                self._take_back()
            self._file.close()
        if self._partial:
            with contextlib.suppress(OSError):
                os.unlink(self._partial, dir_fd=self._folder)
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
