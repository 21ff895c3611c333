# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keeps a transaction, or takes it back. Private to this collection."""

from __future__ import annotations

from contextlib import nullcontext

from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin, files, survey, timer, undo, values
from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune.apply import (
    give_up,
    look_ahead,
    mark_persisted,
    save,
    write_file,
)
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Result, Run, diff_of
from ansible_collections.nettriage.linux.plugins.module_utils.tune.survey import Now, Setting
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, Trouble


def rolled_back(run: Run) -> Result:
    chosen = _chosen(run)
    # An id may be of another namespace than the one that this run is about.
    with undo.inside(chosen[0]["net"]) if chosen else nullcontext():
        return _roll_back(run, chosen)


def _roll_back(run: Run, chosen: list[Journal]) -> Result:
    if run.state is not None and not run.check:
        journals.sweep(run.journals)
    keys: dict[str, str] = {}
    for journal in chosen:
        keys.update({value["key"]: value["path"] for value in journal["values"] if value["after"] is not None})
    run.settings = {key: Setting(key, path) for key, path in keys.items()}
    survey.look(Now(run.host, {}), run.settings)
    before = {entry["path"]: undo.read_file(entry["path"]) for journal in chosen for entry in journal["files"]}
    run.restored = journals.take_back(run.state, chosen, run.check, "rollback")
    for journal in chosen:
        if not run.check:
            timer.disarm(journal, run.tools.run)
    rewrites = [
        files.Rewrite(path, None if found is None else found[0], run.restored.files.get(path), None)
        for path, found in before.items()
    ]
    file, __ = files.read(run.request.file, run.files_restored()) if run.net.path is None else ("", None)
    lasting = dropin.assigned(file or "")
    for key, setting in run.settings.items():
        setting.after = run.restored.values.get(setting.path) if setting.before is not None else None
        text = lasting.get(key)
        run.entries[key] = {"persisted": text is not None and values.same(key, text, setting.after or "")}
    newest = chosen[-1]["id"] if chosen else run.request.transaction
    return run.result(bool(chosen), newest, diff=diff_of(run, [rewrite for rewrite in rewrites if rewrite.changes]))


def _chosen(run: Run) -> list[Journal]:
    """The transaction that is asked for and, before it in the list, the later ones that still stand.

    :raises Trouble: there is no such transaction.
    """
    identity = run.request.transaction
    if identity is None:
        return [journal for journal in reversed(run.journals) if journal["state"] != undo.UNDONE][:1]
    known = run.journals
    if run.state is not None and identity not in [journal["id"] for journal in known] and identity in run.state.ids():
        other = run.state.load(identity)  # of another namespace, which its journal leads to
        known = journals.history(run.state, Net(other["net"]["id"], other["net"]["path"]))
        known = known if other in known else [other]
    ids = [journal["id"] for journal in known]
    if identity not in ids:
        raise Trouble(f"transaction: {identity!r} is unknown; {_known(ids)}")
    return [journal for journal in reversed(known[ids.index(identity) :]) if journal["state"] != undo.UNDONE]


def _known(ids: list[str]) -> str:
    return f"the last ones are: {', '.join(ids[-5:])}" if ids else "there are none"


def confirmed(run: Run) -> Result:
    identity = run.request.transaction
    journal = run.journals[-1] if run.journals else None
    if identity is not None:
        journal = next((journal for journal in run.journals if journal["id"] == identity), None)
        if journal is None:
            raise Trouble(f"transaction: {identity!r} is unknown; {_known([j['id'] for j in run.journals])}")
    if journal is None or journal["state"] in ("done", "confirmed"):
        return run.result(False, None if journal is None else journal["id"])
    if journal["state"] == undo.UNDONE and identity is None and journal["undone_by"] != "timer":
        return run.result(False, None)
    if journal["state"] == undo.UNDONE:
        raise Trouble(f"transaction {journal['id']} is undone (by: {journal['undone_by']}), so it cannot be confirmed")
    if journal["state"] in undo.UNFINISHED or journal["boot"] != undo.boot_id():
        journals.take_back(run.state, [journal], run.check, "confirmation")
        raise Trouble(f"transaction {journal['id']} was cut short, so it is undone instead of confirmed")
    if journal["net"]["id"] != run.net.id:
        raise Trouble(
            f"transaction {journal['id']} was made in a network namespace that this is not, such as that of a "
            "container that was restarted, so it cannot be confirmed; use state=rolled_back"
        )
    run.settings = {v["key"]: Setting(v["key"], v["path"]) for v in journal["values"] if v["after"] is not None}
    survey.look(Now(run.host, {}), run.settings)
    run.restored.moved.extend(
        value["key"]
        for value in journal["values"]
        if value["after"] is not None
        and not values.same(value["key"], run.settings[value["key"]].before or "", value["after"])
    )
    rewrites: list[files.Rewrite] = []
    persist = files.Persist(run.request.file, {}, [], False)
    if journal["pending"] is not None:
        persist = files.Persist(**journal["pending"])
        rewrites, warnings = files.rewrites(run.host, persist, journal["id"], {})
        run.warnings.extend(warnings)
        for key in persist.wanted:
            if key not in run.settings:
                run.settings.update(survey.named([key], "settings")[0])
                survey.look(Now(run.host, {}), {key: run.settings[key]})
    look_ahead(run, persist, rewrites)
    diff = diff_of(run, rewrites)
    if not run.check:
        journal["state"] = "confirming"
        journal["files"] = [rewrite.entry(journal["id"]) for rewrite in rewrites]
        try:
            save(run.opened, journal)
            for entry in journal["files"]:
                write_file(entry, run.tools)
            journal["state"] = "confirmed"
            save(run.opened, journal)
        except Trouble as error:
            give_up(run, journal, error)
        journals.drop_backups(journal)
        timer.disarm(journal, run.tools.run)
    mark_persisted(run, persist, waiting=False)
    return run.result(True, journal["id"], diff=diff)
