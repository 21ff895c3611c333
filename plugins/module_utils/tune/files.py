# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of a transaction: the drop-in in sysctl.d, and the modules that have to be loaded before it.

Private to this collection.
"""

from __future__ import annotations

import os
from contextlib import suppress
from typing import Any, Callable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin, modules_load, undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Trouble

Place = Callable[[str, str], None]
_MODE = 0o644


class Rewrite(NamedTuple):
    """A file and its text, before and after; ``None`` where there is none."""

    path: str
    before: str | None
    after: str | None
    status: os.stat_result | None

    @property
    def changes(self) -> bool:
        return self.before != self.after

    def entry(self, transaction: str) -> dict[str, Any]:
        """As the journal keeps it."""
        status = self.status
        return {
            "path": self.path,
            "before": self.before,
            "after": self.after,
            "mode": _MODE if status is None else status.st_mode & 0o7777,
            "uid": os.geteuid() if status is None else status.st_uid,
            "gid": os.getegid() if status is None else status.st_gid,
            "temporary": undo.temporary_name(self.path, transaction),
            "backup": undo.backup_name(self.path, transaction),
            "made_directory": not os.path.isdir(os.path.dirname(self.path)),
        }


class Persist(NamedTuple):
    """What shall last.

    :ivar file: the drop-in.
    :ivar wanted: the value of each key that it shall set.
    :ivar dropped: the keys that it shall not set any more.
    :ivar exclusive: whether it shall set no others.
    """

    file: str
    wanted: dict[str, str]
    dropped: list[str]
    exclusive: bool


def read(path: str, restored: dict[str, str | None]) -> tuple[str | None, os.stat_result | None]:
    """Text and status of *path*, as undoing leftovers would leave it.

    :raises Trouble: it is no regular file, or lies where somebody else could exchange it.
    """
    reason = undo.untrusted(path)
    if reason is not None:
        raise Trouble(f"file {path} is refused: {reason}")
    found = undo.read_file(path)
    text, status = (None, None) if found is None else found
    if path in restored:
        text = restored[path]
    return text, status


def rewrites(
    host: Host, persist: Persist, transaction: str, restored: dict[str, str | None]
) -> tuple[list[Rewrite], list[str]]:
    """How the files have to change, and what is worth a warning.

    :raises Trouble: one of them cannot be written, or must not be.
    """
    text, status = read(persist.file, restored)
    present = dropin.assigned(text or "")
    dropped = set(persist.dropped)
    if persist.exclusive:
        dropped.update(key for key in present if key not in persist.wanted)
    new = dropin.updated(text, persist.wanted, dropped, transaction)
    found = [Rewrite(persist.file, text, new, status)]
    warnings: list[str] = []
    path = modules_load.path_for(persist.file)
    values = dropin.assigned(new or "")
    modules = {modules_load.module_of(key, value) for key, value in values.items()}
    needed = sorted(module for module in modules if module is not None and modules_load.loadable(host, module))
    if needed or os.path.lexists(path) or path in restored:
        old, old_status = read(path, restored)
        settled = old is not None and sorted(modules_load.listed(old)) == needed
        fresh = old if settled else modules_load.render(needed, dropin.header(transaction))
        found.append(Rewrite(path, old, fresh, old_status))
    for rewrite in found:
        if rewrite.changes:
            _writable(rewrite.path)
    return [rewrite for rewrite in found if rewrite.changes], warnings


def _writable(path: str) -> None:
    """:raises Trouble: nothing can be written beside *path*."""
    directory = os.path.dirname(path)
    if not os.path.isdir(directory):
        directory = os.path.dirname(directory)
        if not os.path.isdir(directory):
            raise Trouble(f"file {path}: the directory {os.path.dirname(path)} does not exist")
    if not os.access(directory, os.W_OK | os.X_OK):
        reason = "is on a read-only file system" if os.statvfs(directory).f_flag & os.ST_RDONLY else "cannot be written"
        raise Trouble(f"file {path}: {directory} {reason}")


def write(entry: dict[str, Any], place: Place | None) -> None:
    """Bring a file to what the journal's *entry* says.

    :raises OSError: it is as it was, or undoing brings it back to that.
    """
    path, directory = entry["path"], os.path.dirname(entry["path"])
    if entry["made_directory"]:
        os.mkdir(directory, 0o755)
        os.chmod(directory, 0o755)  # noqa: S103 - whatever the umask is, as its neighbours
        undo.sync_directory(os.path.dirname(directory))
    if entry["before"] is not None:
        with suppress(OSError):  # not every file system has links; the journal holds the text as well
            os.link(path, entry["backup"], follow_symlinks=False)
    if entry["after"] is None:
        os.unlink(path)
        undo.sync_directory(directory)
        return
    undo.put_file(path, entry["after"], entry["temporary"], _MODE, (os.geteuid(), os.getegid()), place)
    if place is not None:
        os.chmod(path, _MODE)  # Ansible's move gives a new file the mode of the umask
