# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction over sysctls: all of it, or none of it. Private to this collection.

Order: lock, validate everything, journal, write each key, read back, files, mark done. Whatever fails is undone, and
what a killed run left behind is undone by the next one.
"""

from __future__ import annotations

import os

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.signals import undisturbed
from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin, files, survey, values
from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune.apply import carry_out
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import (
    Refused,
    Request,
    Result,
    Run,
    Tools,
    fail,
    said,
)
from ansible_collections.nettriage.linux.plugins.module_utils.tune.survey import Now, Setting
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import State, Trouble


def transact(host: Host, net: Net, request: Request, check: bool, tools: Tools) -> Result:
    """Do what *request* asks for; with *check*, say what it would do or why it would fail.

    :param net: the namespace that this process is in.
    :raises Refused: one sentence; nothing is changed.
    """
    state: State | None = None
    run = Run(host, net, request, check, tools)
    try:
        state = _opened(request.state_dir, check)
        run.state = state
        run.journals = journals.history(state, net)
        with undisturbed():  # a hang-up of the connection waits until all is done or undone
            return _STATES[request.state](run)
    except (Trouble, OSError) as error:
        for setting in run.settings.values():
            setting.after = None
        raise Refused(said(error), run.shown()) from error
    finally:
        if state is not None:
            state.close()


def _opened(path: str, check: bool) -> State | None:
    try:
        return journals.open_state(path, check)
    except Trouble as error:
        raise Trouble(f"{error}; run it as root") if os.geteuid() else error from error


def _present(run: Run) -> Result:
    request = run.request
    settings, given = survey.named(list(request.settings), "settings")
    raised: set[str] | None = None
    if not isinstance(request.raise_only, bool):
        raised = set(survey.named(request.raise_only, "raise_only")[0])
        unknown = sorted(raised.difference(settings))
        if unknown:
            raise Trouble(f"raise_only: {unknown[0]!r} is not among the keys of settings")
    elif not request.raise_only:
        raised = set()
    now = run.recover()
    run.settings = settings
    wanted = {key: request.settings[name] for key, name in given.items()}
    problems = survey.look(now, settings)
    problems += survey.judge(now, settings, wanted, raised)
    fail(problems)
    persist = files.Persist(
        request.file, {s.key: s.persist or "" for s in survey.ordered(list(settings.values()))}, [], request.exclusive
    )
    for key, setting in settings.items():
        run.warnings.extend(values.remarks(key, setting.after or ""))
    if request.exclusive and run.net.path is None:
        text, __ = files.read(request.file, run.files_restored())
        others = [key for key in dropin.assigned(text or "") if key not in settings]
        run.settings = {**settings, **_taken_back(run, now, others)}
    return carry_out(run, now, persist)


def _absent(run: Run) -> Result:
    now = run.recover()
    request = run.request
    keys = list(survey.named(list(request.settings), "settings")[0])
    text, __ = files.read(request.file, run.files_restored()) if run.net.path is None else ("", None)
    present = dropin.assigned(text or "")
    last = journals.latest(run.journals)
    if not request.settings:
        keys = [*present, *(key for key in last if key not in present)] if run.net.path is None else list(last)
    run.settings = _taken_back(run, now, keys)
    return carry_out(run, now, files.Persist(request.file, {}, keys, False))


def _taken_back(run: Run, now: Now, keys: list[str]) -> dict[str, Setting]:
    """Settings that give *keys* what they held before our first transaction, where they still hold ours.

    :raises Trouble: one of them cannot be written.
    """
    settings, __ = survey.named(keys, "settings")
    survey.look(now, settings)  # a key that vanished holds nothing to be given back
    last = journals.latest(run.journals)
    problems = []
    for key, setting in settings.items():
        entry = last.get(key)
        if entry is None or setting.before is None or not values.same(key, setting.before, entry["after"]):
            continue
        setting.after = entry["origin"]
        if setting.changes and setting.unwritable:
            problems.append((key, f"cannot be written: {setting.unwritable}"))
    fail(problems)
    return settings


def _rolled_back(run: Run) -> Result:
    from ansible_collections.nettriage.linux.plugins.module_utils.tune import (
        settle,
    )  # few runs need it, and each import costs each host

    return settle.rolled_back(run)


def _confirmed(run: Run) -> Result:
    from ansible_collections.nettriage.linux.plugins.module_utils.tune import settle

    return settle.confirmed(run)


_STATES = {"present": _present, "absent": _absent, "rolled_back": _rolled_back, "confirmed": _confirmed}
