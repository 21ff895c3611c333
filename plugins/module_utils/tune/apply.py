# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Makes settings true: journal, write, read back, files, done. Whatever fails is undone. Private to this collection."""

from __future__ import annotations

import time
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.tune import (
    files,
    persistence,
    survey,
    undo,
    values,
)
from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Result, Run, Tools, diff_of, fail, said
from ansible_collections.nettriage.linux.plugins.module_utils.tune.survey import Now, Setting
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, State, Trouble


def carry_out(run: Run, now: Now, persist: files.Persist) -> Result:
    """Make the settings of *run* true, or say what would change."""
    request, last = run.request, journals.latest(run.journals)
    started = time.time()
    identity = journals.new_id(run.state, started) if run.state is not None else "000001-" + _stamp(started)
    changing = survey.ordered([setting for setting in run.settings.values() if setting.changes])
    for setting in changing:
        setting.origin = journals.origin(last.get(setting.key), setting.key, setting.before or "")
    rewrites: list[files.Rewrite] = []
    if run.net.path is None:
        rewrites, warnings = files.rewrites(run.host, persist, identity, run.files_restored())
        run.warnings.extend(warnings)
    look_ahead(run, persist, rewrites)
    changed = bool(changing or rewrites)
    diff = diff_of(run, rewrites)
    if run.check or not changed:
        mark_persisted(run, persist, waiting=changed and request.confirm_timeout > 0)
        return run.result(changed, None, diff=diff, confirm_timeout=request.confirm_timeout if changed else 0)
    journal: Journal = {
        "format": undo.FORMAT,
        "id": identity,
        "state": "writing",
        "created": int(started),
        "boot": undo.boot_id(),
        "net": run.net._asdict(),
        "procfs": run.host.procfs,
        "values": [*survey.followers(now, changing), *(setting.entry() for setting in changing)],
        "files": [],
    }
    waiting = request.confirm_timeout > 0
    if waiting:
        journal["pending"] = None if run.net.path else persist._asdict()
    else:
        journal["files"] = [rewrite.entry(identity) for rewrite in rewrites]
    _begin(run.opened, journal)
    try:
        if waiting:
            from ansible_collections.nettriage.linux.plugins.module_utils.tune import timer  # two imports that few need

            journal["timer"] = timer.arm(run.opened, journal, request.confirm_timeout, run.tools.run)
            journal["deadline"] = time.clock_gettime(time.CLOCK_BOOTTIME) + request.confirm_timeout
        _write(run, changing)
        for entry in journal["files"]:
            write_file(entry, run.tools)
        _settle(run, journal, changing)
        journal["state"] = undo.WAITING if waiting else "done"
        save(run.opened, journal)
    except (Trouble, OSError) as error:
        give_up(run, journal, error)
    journals.drop_backups(journal)
    journals.prune(run.opened, run.opened.ids())
    mark_persisted(run, persist, waiting)
    return run.result(True, identity, diff=diff, confirm_timeout=request.confirm_timeout)


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def _begin(state: State, journal: Journal) -> None:
    try:
        state.save(journal)
    except OSError as error:
        state.remove(journal["id"])  # it may be there, and only not be safe
        raise Trouble(f"the journal cannot be written, so nothing was changed: {undo.reason(error)}") from error


def save(state: State, journal: Journal) -> None:
    try:
        state.save(journal)
    except OSError as error:
        raise Trouble(f"the journal cannot be written: {undo.reason(error)}") from error


def _write(run: Run, changing: list[Setting]) -> None:
    for setting in changing:
        text = undo.normal(setting.after or "")
        try:
            # A write of no byte would change nothing: a list is cleared by an empty line.
            undo.write_value(run.host.proc("sys", setting.path), text + "\n")
        except OSError as error:
            raise Trouble(f"{setting.key}: the kernel rejects {text!r}: {undo.reason(error)}") from error


def _settle(run: Run, journal: Journal, changing: list[Setting]) -> None:
    """Read everything back; the journal keeps what the kernel made of it.

    :raises Trouble: the kernel holds something else than what was written.
    """
    entries = {entry["path"]: entry for entry in journal["values"] if entry["after"] is not None}
    for setting in changing:
        try:
            held = undo.read_value(run.host.proc("sys", setting.path))
        except OSError as error:
            raise Trouble(f"{setting.key}: cannot be read back: {undo.reason(error)}") from error
        if not values.same(setting.key, held, setting.after or ""):
            wanted = undo.normal(setting.after or "")
            raise Trouble(f"{setting.key}: the kernel holds {undo.normal(held)!r} where {wanted!r} was written")
        setting.after = entries[setting.path]["after"] = held


def write_file(entry: dict[str, Any], tools: Tools) -> None:
    try:
        files.write(entry, tools.place)
    except OSError as error:
        raise Trouble(f"{entry['path']} cannot be written: {undo.reason(error)}") from error
    except Exception as error:  # Ansible's move raises plain exceptions
        raise Trouble(f"{entry['path']} cannot be written: {error}") from error


def give_up(run: Run, journal: Journal, error: Trouble | OSError) -> None:
    """Undo *journal* because of *error*.

    :raises Trouble: always: what failed, and that it is undone.
    """
    message = said(error)
    journal["state"] = "undoing"
    try:
        undo.undo(run.opened, journal, "failure")
    except Trouble as second:
        raise Trouble(f"{message}; {second}; repeat with state=rolled_back") from error
    if "timer" in journal:
        from ansible_collections.nettriage.linux.plugins.module_utils.tune import timer

        timer.disarm(journal, run.tools.run)
    raise Trouble(f"{message}; everything is undone") from error


def look_ahead(run: Run, persist: files.Persist, rewrites: list[files.Rewrite]) -> None:
    """Find who would override the settings at the next boot.

    :raises Trouble: somebody would, and that is not wanted.
    """
    for key in run.settings:
        run.entries[key] = {}
    if run.net.path is not None or not persist.wanted:
        return
    boot = persistence.Boot(overlay={rewrite.path: rewrite.after for rewrite in rewrites})
    if not boot.is_read(persist.file):
        run.warnings.append(f"{persist.file} is not read at boot: no tool looks there")
    overridden = []
    for key, value in persist.wanted.items():
        for line in boot.overriding(key, persist.file):
            if not persistence.agrees(key, line, value):
                run.entries[key]["overridden_by"] = line.shown()
                overridden.append((key, line))
                break
    if overridden and run.request.fail_on_overridden:
        fail([(key, f"{persist.file} would lose at the next boot to {line.place()}") for key, line in overridden])


def mark_persisted(run: Run, persist: files.Persist, waiting: bool) -> None:
    for key in run.settings:
        reason = None
        if run.net.path is not None:
            reason = "a network namespace has no file that is read when it is made"
        elif waiting:
            reason = "the file is written when the transaction is confirmed"
        if key in persist.wanted:
            run.entries[key]["persisted"] = reason is None
            if reason is not None:
                run.entries[key]["why"] = reason
