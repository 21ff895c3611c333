# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Takes transactions back: the state directory, its lock, its journals, the exact former values and files.

Private to this collection. The dead man's timer runs a copy of this file alone, when Ansible and its temporary
directory are long gone: so it imports the standard library only, and nothing of the collection.
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
import socket
import stat
import sys
import time
from contextlib import closing, contextmanager, suppress
from typing import Any, Callable, Dict, Iterator

Journal = Dict[str, Any]

FORMAT = 1
# States of a journal that nobody will finish any more, once the lock is free.
UNFINISHED = ("writing", "confirming", "undoing")
WAITING = "unconfirmed"
UNDONE = "undone"

_CLONE_NEWNET = 0x40000000
_SO_NETNS_COOKIE = 71
_CHUNK = 1 << 14
_LARGEST_VALUE = 1 << 20
_ATTEMPTS = 3
_RETRY_S = 5.0
_LABEL = "security.selinux"


class Trouble(Exception):
    """Something that the transaction cannot do; the message is one sentence."""


def reason(error: OSError) -> str:
    """The kernel's own words for *error*."""
    return os.strerror(error.errno) if error.errno is not None else str(error)


def normal(text: str) -> str:
    """*text* with each run of white space as one space."""
    return " ".join(text.split())


# Values. A sysctl is one read and one write: the kernel keeps no place in it that a buffered file could rely on.


def read_value(path: str) -> str:
    """What *path* holds, to the byte.

    :raises OSError: it is not there, or may not be read.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        data = os.read(descriptor, _CHUNK)
        if len(data) == _CHUNK:  # a long list of ports: the kernel gives the rest of it to nobody
            os.lseek(descriptor, 0, os.SEEK_SET)
            data = os.read(descriptor, _LARGEST_VALUE)
    finally:
        os.close(descriptor)
    return data.decode("utf-8", "surrogateescape")


def write_value(path: str, text: str) -> None:
    """Write *text*, unbuffered, so that a refusal of the kernel is an error here.

    :raises OSError: the kernel rejects it.
    """
    descriptor = os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW)
    try:
        _write_all(descriptor, text)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, text: str) -> None:
    data = text.encode("utf-8", "surrogateescape")
    while data:
        written = os.write(descriptor, data)
        if not written:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        data = data[written:]


# Files.


def put_file(
    path: str,
    text: str,
    temporary: str,
    mode: int = 0o644,
    owner: tuple[int, int] | None = None,
    place: Callable[[str, str], None] | None = None,
) -> None:
    """Replace *path* by *text* at once, and have it on the disk before returning.

    :param temporary: name of the new file beside *path* until then.
    :param place: moves the new file (first argument) over *path* (second), instead of a plain rename.
    :raises OSError: nothing was replaced.
    """
    directory, name = os.path.split(path)
    folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        _unlink(temporary, folder)
        try:
            descriptor = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600, dir_fd=folder
            )
            try:
                _write_all(descriptor, text)
                if owner is not None and owner != (os.geteuid(), os.getegid()):
                    os.fchown(descriptor, *owner)
                os.fchmod(descriptor, mode)
                _copy_label(path, descriptor)
                os.fsync(descriptor)
            finally:
                os.close(descriptor)
            if place is None:
                os.rename(temporary, name, src_dir_fd=folder, dst_dir_fd=folder)
            else:
                place(os.path.join(directory, temporary), path)
        except BaseException:
            _unlink(temporary, folder)
            raise
        os.fsync(folder)
    finally:
        os.close(folder)


def _unlink(name: str, folder: int | None = None) -> None:
    with suppress(FileNotFoundError):
        os.unlink(name, dir_fd=folder)


def _copy_label(path: str, descriptor: int) -> None:
    """The SELinux label of *path*; a new file has inherited its directory's."""
    with suppress(OSError):
        os.setxattr(descriptor, _LABEL, os.getxattr(path, _LABEL, follow_symlinks=False))


def sync_directory(path: str) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def read_file(path: str) -> tuple[str, os.stat_result] | None:
    """Text and status of a regular file; ``None`` where there is none.

    :raises Trouble: it is a symbolic link or something else that is no regular file.
    """
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            raise Trouble(f"{path} is a symbolic link, which is not followed") from error
        raise Trouble(f"{path}: {reason(error)}") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise Trouble(f"{path} is not a regular file")
    with os.fdopen(descriptor, "rb") as file:
        return file.read().decode("utf-8", "surrogateescape"), status


def untrusted(path: str) -> str | None:
    """Why somebody else could exchange what lies at *path*; ``None`` where nobody can."""
    parent = os.path.realpath(path)
    while parent != "/":
        parent = os.path.dirname(parent)
        try:
            status = os.stat(parent)
        except FileNotFoundError:
            continue
        if status.st_uid not in (0, os.geteuid()):
            return f"{parent} belongs to another user"
        if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
            return f"{parent} is writable by others"
    return None


class State:
    """The state directory: one lock, and one journal for each transaction."""

    def __init__(self, path: str) -> None:
        """Open *path*, a directory that nobody else can write to.

        :raises FileNotFoundError: it does not exist.
        :raises Trouble: it cannot be trusted.
        """
        self.path = path
        self._lock: int | None = None
        try:
            self._folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            raise
        except OSError as error:
            if os.path.islink(path):
                raise Trouble(f"state_dir {path} is a symbolic link, which is refused") from error
            raise Trouble(f"state_dir {path}: {reason(error)}") from error
        status = os.fstat(self._folder)
        trouble = untrusted(path)
        if status.st_uid != os.geteuid():
            trouble = f"it belongs to user {status.st_uid}, not to {os.geteuid()}"
        elif status.st_mode & 0o022:
            trouble = f"it is writable by others (mode {stat.S_IMODE(status.st_mode):04o})"
        if trouble is not None:
            self.close()
            raise Trouble(f"state_dir {path} is refused: {trouble}")

    def close(self) -> None:
        """Let go of the lock and the directory."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None
        os.close(self._folder)

    def lock(self, wait: bool = False, create: bool = True) -> None:
        """Keep every other run out until this process ends or :meth:`close`.

        :param create: make the lock's file; a check that changes nothing does without it.
        :raises Trouble: another run is at it.
        """
        flags = os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC | (os.O_CREAT if create else 0)
        try:
            descriptor = os.open("lock", flags, 0o600, dir_fd=self._folder)
        except OSError as error:
            if not create and error.errno == errno.ENOENT:
                return
            raise Trouble(f"{self.path}/lock: {reason(error)}") from error
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except OSError as error:
            owner = os.pread(descriptor, 32, 0).decode("ascii", "replace").strip()
            os.close(descriptor)
            by = f" (process {owner})" if owner else ""
            raise Trouble(f"another transaction is at work{by}: {self.path}/lock is held") from error
        self._lock = descriptor
        if create:
            with suppress(OSError):  # who it is helps a person; a full disk must not keep anybody from undoing
                os.pwrite(descriptor, f"{os.getpid():<20}\n".encode("ascii"), 0)

    def ids(self) -> list[str]:
        """The ids of all transactions, oldest first."""
        return sorted(name[:-5] for name in os.listdir(self._folder) if name.endswith(".json") and name[:6].isdigit())

    def load(self, identity: str) -> Journal:
        """:raises Trouble: there is no such transaction, or its journal is damaged."""
        where = f"{self.path}/{identity}.json"
        try:
            descriptor = os.open(f"{identity}.json", os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._folder)
        except OSError as error:
            raise Trouble(f"{where}: {reason(error)}") from error
        with os.fdopen(descriptor, "rb") as file:
            try:
                journal = json.loads(file.read().decode("ascii"))
                if journal["format"] == FORMAT and journal["id"] == identity:
                    return dict(journal)
            except (ValueError, LookupError, TypeError) as error:
                raise Trouble(f"{where} is damaged: remove it if its values need not be restored") from error
        raise Trouble(f"{where} was not written by this version of the collection")

    def save(self, journal: Journal) -> None:
        """Have *journal* on the disk: the file and its name in the directory.

        :raises OSError: the former one is still there.
        """
        name = f"{journal['id']}.json"
        path = os.path.join(f"/proc/self/fd/{self._folder}", name)
        put_file(path, json.dumps(journal, indent=1) + "\n", name + ".new", 0o600)

    def remove(self, identity: str) -> None:
        """Forget a transaction."""
        _unlink(f"{identity}.json", self._folder)


# Network namespaces.


def namespace_id() -> list[int]:
    """What tells the network namespace of this process from any other of this boot.

    The inode of a namespace that is gone is given to a new one, such as that of a container which was restarted. The
    cookie (SO_NETNS_COOKIE in include/uapi/asm-generic/socket.h) is never given twice; before Linux 5.14 there is none.
    """
    status = os.stat("/proc/self/ns/net")
    found = [status.st_dev, status.st_ino]
    with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as asked:
        found.append(int.from_bytes(asked.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8), sys.byteorder))
    return found


def boot_id() -> str:
    """What tells this boot of the kernel from any other."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()


@contextmanager
def inside(net: dict[str, Any]) -> Iterator[bool]:
    """Be in the namespace of a journal; the value says whether it is still the same one.

    :param net: ``id`` of the namespace, and the ``path`` that leads to it (``None``: the host's own).
    """
    if namespace_id() == net["id"] or net["path"] is None:
        yield namespace_id() == net["id"]
        return
    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            there = os.open(net["path"], os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
        except OSError:
            yield False
            return
        try:
            status = os.fstat(there)
            same = [status.st_dev, status.st_ino] == net["id"][:2]
            if same:
                _switch(there)
                same = namespace_id() == net["id"]
                if not same:
                    _switch(home)
        finally:
            os.close(there)
        try:
            yield same
        finally:
            if same:
                _switch(home)
    finally:
        os.close(home)


def _switch(descriptor: int) -> None:
    if hasattr(os, "setns"):
        os.setns(descriptor, _CLONE_NEWNET)
        return
    import ctypes  # only below Python 3.12

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(descriptor, _CLONE_NEWNET):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))


# Undoing.


def undo(state: State, journal: Journal, by: str) -> list[str]:
    """Restore what *journal* has seen before its transaction, last change first.

    :param by: who wants it; kept in the journal.
    :return: keys and files that somebody else had changed since.
    :raises Trouble: something could not be restored; the journal stays, for another attempt.
    """
    finished = journal["state"] not in UNFINISHED
    if finished:
        journal["state"] = "undoing"
        journal["moved"] = []
        _try_save(state, journal)
    moved: list[str] = journal.setdefault("moved", [])
    failed: list[str] = []
    with inside(journal["net"]) as same:
        here = same and journal["boot"] == boot_id()
        if here or journal["net"]["path"] is None:
            for value in reversed(journal["values"]):
                _restore_value(
                    os.path.join(journal["procfs"], "sys", value["path"]), value, here, finished, moved, failed
                )
    for file in reversed(journal["files"]):
        try:
            _restore_file(file, finished, moved)
        except (OSError, Trouble) as error:
            failed.append(f"{file['path']} ({reason(error) if isinstance(error, OSError) else error})")
    if failed:
        raise Trouble(f"transaction {journal['id']} could not be undone wholly: {', '.join(failed)}")
    journal.update(state=UNDONE, undone_by=by, undone_at=int(time.time()))
    if not _try_save(state, journal):
        state.remove(journal["id"])  # on a full disk: all is restored, so nothing has to be remembered
    return moved


def _try_save(state: State, journal: Journal) -> bool:
    try:
        state.save(journal)
    except OSError:
        return False
    return True


def _restore_value(
    path: str, value: dict[str, Any], here: bool, finished: bool, moved: list[str], failed: list[str]
) -> None:
    """One key's former value.

    After a reboot the former value is of another boot: it replaces only what the transaction itself has put there,
    and what the kernel changed along with it (``after`` is ``None``) stays as this boot made it.
    """
    before, after = value["before"], value["after"]
    try:
        now = read_value(path)
        if now == before:
            return
        ours = after is not None and normal(now) == normal(after)
        if after is not None and finished and not ours:
            moved.append(value["key"])
        if not (here or ours):
            return
        write_value(path, before)
        now = read_value(path)
    except OSError as error:
        # A key that vanished (its interface, its module) holds no value to be restored.
        if error.errno not in (errno.ENOENT, errno.ENOTDIR):
            failed.append(f"{value['key']} ({reason(error)})")
        return
    if normal(now) != normal(before):
        failed.append(f"{value['key']} (the kernel holds {normal(now)!r} instead of {normal(before)!r})")


def backup_name(path: str, identity: str) -> str:
    """Where a second name keeps the former file: restoring by rename needs no space on a full disk."""
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{identity}.before")


def temporary_name(path: str, identity: str) -> str:
    """Name of a new file until it is complete; not one that is read at boot."""
    return f".{os.path.basename(path)}.{identity}.new"


def _restore_file(file: dict[str, Any], finished: bool, moved: list[str]) -> None:
    path, before = file["path"], file["before"]
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        return
    _unlink(os.path.join(directory, file["temporary"]))
    now = read_file(path)
    if now is None or now[0] != before:
        if finished and (None if now is None else now[0]) != file["after"]:
            moved.append(path)
        if before is None:
            _unlink(path)
        elif _holds(file["backup"], before):
            os.rename(file["backup"], path)
        else:
            put_file(path, before, file["temporary"], file["mode"], (file["uid"], file["gid"]))
    _unlink(file["backup"])
    with suppress(OSError):  # it is restored, though a disk that fails may lose that with the power
        sync_directory(directory)
    if file["made_directory"]:
        with suppress(OSError):  # something else may lie in it by now
            os.rmdir(directory)


def _holds(path: str, text: str) -> bool:
    found = read_file(path)
    return found is not None and found[0] == text


# Alone: the dead man's timer.


def main(arguments: list[str]) -> int:
    """``undo.py STATE_DIR ID [SECONDS]``: undo the transaction, in *SECONDS* from now, if nobody confirms it."""
    path, identity = arguments[:2]
    if len(arguments) > 2:
        end = time.clock_gettime(time.CLOCK_BOOTTIME) + float(arguments[2])
        while time.clock_gettime(time.CLOCK_BOOTTIME) < end:
            # In slices: the time that the machine was suspended counts too.
            time.sleep(min(30.0, max(0.01, end - time.clock_gettime(time.CLOCK_BOOTTIME))))
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with closing(State(path)) as state:
                state.lock(wait=True)
                journal = state.load(identity)
                if journal["state"] in (*UNFINISHED, WAITING):
                    undo(state, journal, "timer")
            return 0
        except (Trouble, OSError) as error:
            sys.stderr.write(f"{error}\n")
        if attempt < _ATTEMPTS:
            time.sleep(_RETRY_S)
    return 1


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
