# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Small files that one run leaves for the next, where nobody else can put theirs. Private to this collection.

Sources: open(2), rename(2), file-hierarchy(7).
"""

from __future__ import annotations

import contextlib
import os
import stat

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable, why

MAX_BYTES = 1 << 20
MAX_FILES = 64
_MODE = 0o600


class Directory:
    """A directory that belongs to this user, and that nobody else may enter. Use it as a context manager.

    :param path: it is made where it is missing; what is above it has to be there.
    :param make: whether it may be made.
    :raises Unavailable: it is a symbolic link, another user's, open to others, or cannot be made.
    """

    def __init__(self, path: str, make: bool) -> None:
        self.path = path
        try:
            if make:
                with contextlib.suppress(FileExistsError):
                    os.mkdir(path, 0o700)
            self._descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except NotADirectoryError as error:
            raise Unavailable(f"{path} is refused: it is a symbolic link, or no directory") from error
        except FileNotFoundError as error:
            raise Unavailable(f"{path} does not exist") from error
        except OSError as error:
            raise Unavailable(why(error, path)) from error
        found = os.fstat(self._descriptor)
        reason = None
        if found.st_uid != os.geteuid():
            reason = f"it belongs to user {found.st_uid}, not to {os.geteuid()}"
        elif found.st_mode & 0o077:
            reason = (
                f"its mode is {stat.S_IMODE(found.st_mode):04o}, and others than its owner must not enter it (0700)"
            )
        if reason is not None:
            self.close()
            raise Unavailable(f"{path} is refused: {reason}")

    def __enter__(self) -> Directory:
        return self

    def __exit__(self, *__: object) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._descriptor)

    def read(self, name: str) -> bytes | None:
        """The file *name*, ``None`` where there is none.

        :raises Unavailable: it is no regular file of this user's, is too large, or cannot be read.
        """
        try:
            descriptor = os.open(
                name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=self._descriptor
            )
        except FileNotFoundError:
            return None
        except OSError as error:
            raise Unavailable(f"{self.path}/{name} is refused: {os.strerror(error.errno or 0)}") from error
        try:
            found = os.fstat(descriptor)
            if not stat.S_ISREG(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
                raise Unavailable(f"{self.path}/{name} is refused: it is no regular file that only its owner may write")
            if found.st_size > MAX_BYTES:
                raise Unavailable(f"{self.path}/{name} is refused: {found.st_size} bytes, more than {MAX_BYTES}")
            with open(descriptor, "rb", closefd=False) as file:
                return file.read(MAX_BYTES)
        finally:
            os.close(descriptor)

    def write(self, name: str, data: bytes) -> None:
        """Put *data* in the place of *name*, as a whole or not at all; of runs at the same time the last one wins.

        :raises Unavailable: it cannot be written, or there is too much of it.
        """
        if len(data) > MAX_BYTES:
            raise Unavailable(f"{self.path}/{name} is not written: {len(data)} bytes, more than {MAX_BYTES}")
        temporary = f".{name}.{os.getpid()}"
        try:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(temporary, dir_fd=self._descriptor)  # a killed run's, which had the same pid
            descriptor = os.open(
                temporary,
                os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC,
                _MODE,
                dir_fd=self._descriptor,
            )
            try:
                with open(descriptor, "wb") as file:
                    file.write(data)
                os.rename(temporary, name, src_dir_fd=self._descriptor, dst_dir_fd=self._descriptor)
            except OSError:
                os.unlink(temporary, dir_fd=self._descriptor)
                raise
            self._forget_the_oldest()
        except OSError as error:
            raise Unavailable(f"{self.path}/{name} is not written: {os.strerror(error.errno or 0)}") from error

    def _forget_the_oldest(self) -> None:
        """Files of namespaces that are gone, and what killed runs have left, do not pile up."""
        names = os.listdir(self._descriptor)
        if len(names) <= MAX_FILES:
            return
        found = []
        for name in names:
            with contextlib.suppress(OSError):
                found.append((os.stat(name, dir_fd=self._descriptor, follow_symlinks=False).st_mtime, name))
        for __, name in sorted(found)[:-MAX_FILES]:
            with contextlib.suppress(OSError):
                os.unlink(name, dir_fd=self._descriptor)
