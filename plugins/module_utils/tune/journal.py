# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The transactions that a state directory remembers. Private to this collection."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.tune import undo, values
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, State, Trouble

# So many transactions can be rolled back; a journal of 20 keys has about 5 KB.
KEPT = 50
CHANGED = ("done", "confirmed", undo.WAITING)


class Net(NamedTuple):
    """The network namespace that a transaction is about.

    :ivar path: what leads to it from elsewhere; ``None`` for the namespace that the module was started in.
    """

    id: list[int]
    path: str | None


class Restored(NamedTuple):
    """What undoing gave back, or would give back in a check.

    :ivar values: former values by path below ``/proc/sys``.
    :ivar files: former texts by path; ``None`` where there was no file.
    """

    ids: list[str]
    moved: list[str]
    values: dict[str, str]
    files: dict[str, str | None]


def open_state(path: str, check: bool) -> State | None:
    """The state directory, locked; made where it is missing. In a check, which makes nothing, ``None`` then.

    :raises Trouble: it cannot be trusted or made, or another run holds it.
    """
    try:
        state = State(path)
    except FileNotFoundError:
        if check:
            _can_be_made(path)
            return None
        try:
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.mkdir(path, 0o700)
        except OSError as error:
            raise Trouble(f"state_dir {path} cannot be made: {undo.reason(error)}") from error
        state = State(path)
    if not os.access(path, os.W_OK):
        state.close()
        raise Trouble(f"state_dir {path} cannot be written")
    try:
        state.lock(create=not check)
    except Trouble:
        state.close()
        raise
    return state


def _can_be_made(path: str) -> None:
    parent = os.path.dirname(path)
    while not os.path.exists(parent):
        parent = os.path.dirname(parent)
    if not os.path.isdir(parent) or not os.access(parent, os.W_OK | os.X_OK):
        raise Trouble(f"state_dir {path} cannot be made: {parent} cannot be written")


def new_id(state: State, now: float) -> str:
    """An id that sorts behind all others, whatever the clock says."""
    ids = state.ids()
    number = int(ids[-1][:6]) + 1 if ids else 1
    return f"{number:06d}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime(now))}"


def history(state: State | None, net: Net) -> list[Journal]:
    """The journals about *net*, oldest first.

    :raises Trouble: a journal is damaged.
    """
    if state is None:
        return []
    return [journal for journal in map(state.load, state.ids()) if _about(journal, net)]


def _about(journal: Journal, net: Net) -> bool:
    """The host's own namespace has another id after a reboot; a named one is gone then."""
    there = journal["net"]
    if there["path"] is None or net.path is None:
        return there["path"] is None and net.path is None
    return bool(there["id"] == net.id and journal["boot"] == undo.boot_id())


def seconds_left(journal: Journal) -> float | None:
    """How long the dead man's timer still waits; ``None`` where nobody waits any more."""
    if journal["state"] != undo.WAITING or journal["boot"] != undo.boot_id():
        return None
    left = float(journal["deadline"] - time.clock_gettime(time.CLOCK_BOOTTIME))
    return left if left > 0 else None


def recover(state: State | None, journals: list[Journal], check: bool) -> Restored:
    """Undo what a killed run left behind, and what nobody confirmed in time.

    :raises Trouble: it cannot be undone, or a transaction still waits to be confirmed.
    """
    leftover = []
    for journal in reversed(journals):
        if journal["state"] == undo.WAITING:
            left = seconds_left(journal)
            if left is not None:
                raise Trouble(
                    f"transaction {journal['id']} waits for another {left:.0f} s to be confirmed: "
                    "use state=confirmed or state=rolled_back first"
                )
            leftover.append(journal)
        elif journal["state"] in undo.UNFINISHED:
            leftover.append(journal)
    if state is not None and not check:
        sweep(journals)
    return take_back(state, leftover, check, "the next run")


def take_back(state: State | None, journals: list[Journal], check: bool, by: str) -> Restored:
    """Undo *journals*, newest first; in a check only say what that would give back.

    :raises Trouble: something could not be restored.
    """
    restored = Restored([], [], {}, {})
    for journal in journals:
        restored.ids.append(journal["id"])
        restored.values.update(_former_values(journal))
        restored.files.update({file["path"]: file["before"] for file in journal["files"]})
        if state is not None and not check:
            restored.moved.extend(undo.undo(state, journal, by))
    return restored


def _former_values(journal: Journal) -> dict[str, str]:
    here = journal["boot"] == undo.boot_id() and journal["net"]["id"] == undo.namespace_id()
    return {value["path"]: value["before"] for value in journal["values"] if here or value["after"] is not None}


def sweep(journals: list[Journal]) -> None:
    """Remove the second names of former files that a run left which was killed after its last step."""
    for journal in journals[-1:]:
        if journal["state"] in CHANGED:
            drop_backups(journal)


def drop_backups(journal: Journal) -> None:
    """The former files need no second name once a transaction is done: its journal holds their text."""
    for file in journal["files"]:
        with suppress(OSError):
            os.unlink(file["backup"])


def prune(state: State, ids: list[str]) -> None:
    """Forget the oldest transactions of *ids*, as far as nobody waits for them."""
    for identity in ids[:-KEPT]:
        with suppress(Trouble, OSError):
            if state.load(identity)["state"] in ("done", "confirmed", undo.UNDONE):
                state.remove(identity)


def latest(journals: list[Journal]) -> dict[str, dict[str, Any]]:
    """For each key the last entry of a transaction that still stands."""
    found: dict[str, dict[str, Any]] = {}
    for journal in journals:
        if journal["state"] in CHANGED:
            found.update({value["key"]: value for value in journal["values"] if value["after"] is not None})
    return found


def origin(entry: dict[str, Any] | None, key: str, before: str) -> str:
    """The value from before our first transaction, if nobody else changed *key* since the last one, *entry*."""
    if entry is not None and values.same(key, entry["after"], before):
        return str(entry["origin"])
    return before
