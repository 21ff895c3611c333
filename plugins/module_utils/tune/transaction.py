# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One transaction over sysctls: all of it, or none of it. Private to this collection.

Order: lock, validate everything, journal, write each key, read back, files, mark done. Whatever fails is undone, and
what a killed run left behind is undone by the next one.
"""

from __future__ import annotations

import signal
import time
from contextlib import contextmanager, nullcontext
from typing import Any, Dict, Iterator, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import (
    dropin,
    files,
    persistence,
    survey,
    timer,
    undo,
    values,
)
from ansible_collections.nettriage.linux.plugins.module_utils.tune import (
    journal as journals,
)
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net, Restored
from ansible_collections.nettriage.linux.plugins.module_utils.tune.survey import Now, Setting
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, State, Trouble

Result = Dict[str, Any]


class Refused(Unavailable):
    """The transaction is not made, or is undone; :attr:`settings` is what is known about the keys."""

    def __init__(self, message: str, settings: dict[str, Any] | None = None) -> None:
        super().__init__(message)
        self.settings = settings or {}


class Request(NamedTuple):
    """The options of the module, under their names."""

    settings: dict[str, Any]
    state: str
    file: str
    state_dir: str
    raise_only: bool | list[str]
    confirm_timeout: int
    fail_on_overridden: bool
    exclusive: bool
    transaction: str | None


class Tools(NamedTuple):
    """What only Ansible can do.

    :ivar place: its atomic move, which keeps SELinux labels.
    :ivar run: its way to run a program, see :func:`timer.arm`.
    """

    place: files.Place | None = None
    run: timer.Run | None = None


def transact(host: Host, net: Net, request: Request, check: bool, tools: Tools) -> Result:
    """Do what *request* asks for; with *check*, say what it would do or why it would fail.

    :param net: the namespace that this process is in.
    :raises Refused: one sentence; nothing is changed.
    """
    state: State | None = None
    run = _Run(host, net, request, check, tools)
    try:
        state = journals.open_state(request.state_dir, check)
        run.state = state
        run.journals = journals.history(state, net)
        with _undisturbed():
            return _STATES[request.state](run)
    except (Trouble, OSError) as error:
        for setting in run.settings.values():
            setting.after = None
        raise Refused(_said(error), run.shown()) from error
    finally:
        if state is not None:
            state.close()


def _said(error: Trouble | OSError) -> str:
    return str(error) if isinstance(error, Trouble) else f"{error.filename or 'state_dir'}: {undo.reason(error)}"


@contextmanager
def _undisturbed() -> Iterator[None]:
    """A hang-up of the connection, or a polite request to end, waits until all is done or undone."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, (signal.SIGHUP, signal.SIGINT, signal.SIGTERM))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Run:
    """One run of the module."""

    def __init__(self, host: Host, net: Net, request: Request, check: bool, tools: Tools) -> None:
        self.host = host
        self.net = net
        self.request = request
        self.check = check
        self.tools = tools
        self.state: State | None = None
        self.journals: list[Journal] = []
        self.settings: dict[str, Setting] = {}
        self.entries: dict[str, dict[str, Any]] = {}
        self.restored = Restored([], [], {}, {})
        self.warnings: list[str] = []

    def shown(self) -> dict[str, Any]:
        """The settings as the result has them."""
        return {key: _shown(setting, self.entries.get(key, {})) for key, setting in self.settings.items()}

    def result(self, changed: bool, identity: str | None, **more: Any) -> Result:
        """The module's result."""
        return {
            "changed": changed or bool(self.restored.ids),
            "transaction": identity,
            "settings": self.shown(),
            "undone": self.restored.ids,
            "moved": self.restored.moved,
            "confirm_timeout": 0,
            "warnings": self.warnings,
            "diff": [],
            **more,
        }

    def recover(self) -> Now:
        """Undo what was left behind, and look at the kernel after that."""
        self.restored = journals.recover(self.state, self.journals, self.check)
        if self.restored.ids and not self.check:
            self.warnings.append(f"unfinished before this run, and undone by it: {', '.join(self.restored.ids)}")
        return Now(self.host, self.restored.values if self.check else {})

    def files_restored(self) -> dict[str, str | None]:
        return self.restored.files if self.check else {}


def _shown(setting: Setting, more: dict[str, Any]) -> dict[str, Any]:
    before = None if setting.before is None else _printable(undo.normal(setting.before))
    after = before if setting.after is None else _printable(undo.normal(setting.after))
    return {
        "before": before,
        "after": after,
        "persisted": False,
        "exists": setting.before is not None,
        "writable": setting.before is not None and setting.unwritable is None,
        "overridden_by": None,
        "why": setting.unwritable,
        **more,
    }


def _printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _fail(problems: list[tuple[str, str]]) -> None:
    """:raises Trouble: there are *problems*."""
    if problems:
        listed = "; ".join(f"{key}: {sentence}" for key, sentence in problems)
        raise Trouble(f"nothing was changed: {listed}" if len(problems) > 1 else listed)


def _present(run: _Run) -> Result:
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
    _fail(problems)
    persist = files.Persist(
        request.file, {s.key: s.persist or "" for s in survey.ordered(list(settings.values()))}, [], request.exclusive
    )
    for key, setting in settings.items():
        run.warnings.extend(values.remarks(key, setting.after or ""))
    if request.exclusive and run.net.path is None:
        text, __ = files.read(request.file, run.files_restored())
        others = [key for key in dropin.assigned(text or "") if key not in settings]
        run.settings = {**settings, **_taken_back(run, now, others)}
    return _carry_out(run, now, persist)


def _absent(run: _Run) -> Result:
    now = run.recover()
    request = run.request
    keys = list(survey.named(list(request.settings), "settings")[0])
    text, __ = files.read(request.file, run.files_restored()) if run.net.path is None else ("", None)
    present = dropin.assigned(text or "")
    last = journals.latest(run.journals)
    if not request.settings:
        keys = [*present, *(key for key in last if key not in present)] if run.net.path is None else list(last)
    run.settings = _taken_back(run, now, keys)
    return _carry_out(run, now, files.Persist(request.file, {}, keys, False))


def _taken_back(run: _Run, now: Now, keys: list[str]) -> dict[str, Setting]:
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
    _fail(problems)
    return settings


def _carry_out(run: _Run, now: Now, persist: files.Persist) -> Result:
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
    _look_ahead(run, persist, rewrites)
    changed = bool(changing or rewrites)
    diff = _diff(run, rewrites)
    if run.check or not changed:
        _persisted(run, persist, waiting=changed and request.confirm_timeout > 0)
        return run.result(changed, None, diff=diff, confirm_timeout=request.confirm_timeout if changed else 0)
    assert run.state is not None
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
    _begin(run.state, journal)
    try:
        if waiting:
            journal["timer"] = timer.arm(run.state, journal, request.confirm_timeout, run.tools.run)
            journal["deadline"] = time.clock_gettime(time.CLOCK_BOOTTIME) + request.confirm_timeout
        _write(run, changing)
        for entry in journal["files"]:
            _write_file(entry, run.tools)
        _settle(run, journal, changing)
        journal["state"] = undo.WAITING if waiting else "done"
        _save(run.state, journal)
    except (Trouble, OSError) as error:
        _give_up(run, journal, error)
    journals.drop_backups(journal)
    journals.prune(run.state, run.state.ids())
    _persisted(run, persist, waiting)
    return run.result(True, identity, diff=diff, confirm_timeout=request.confirm_timeout)


def _stamp(now: float) -> str:
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))


def _begin(state: State, journal: Journal) -> None:
    try:
        state.save(journal)
    except OSError as error:
        state.remove(journal["id"])  # it may be there, and only not be safe
        raise Trouble(f"the journal cannot be written, so nothing was changed: {undo.reason(error)}") from error


def _save(state: State, journal: Journal) -> None:
    try:
        state.save(journal)
    except OSError as error:
        raise Trouble(f"the journal cannot be written: {undo.reason(error)}") from error


def _write(run: _Run, changing: list[Setting]) -> None:
    for setting in changing:
        text = undo.normal(setting.after or "")
        try:
            # A write of no byte would change nothing: a list is cleared by an empty line.
            undo.write_value(run.host.proc("sys", setting.path), text + "\n")
        except OSError as error:
            raise Trouble(f"{setting.key}: the kernel rejects {text!r}: {undo.reason(error)}") from error


def _settle(run: _Run, journal: Journal, changing: list[Setting]) -> None:
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


def _write_file(entry: dict[str, Any], tools: Tools) -> None:
    try:
        files.write(entry, tools.place)
    except OSError as error:
        raise Trouble(f"{entry['path']} cannot be written: {undo.reason(error)}") from error
    except Exception as error:  # Ansible's move raises plain exceptions
        raise Trouble(f"{entry['path']} cannot be written: {error}") from error


def _give_up(run: _Run, journal: Journal, error: Trouble | OSError) -> None:
    """Undo *journal* because of *error*.

    :raises Trouble: always: what failed, and that it is undone.
    """
    assert run.state is not None
    message = _said(error)
    journal["state"] = "undoing"
    try:
        undo.undo(run.state, journal, "failure")
    except Trouble as second:
        raise Trouble(f"{message}; {second}; repeat with state=rolled_back") from error
    timer.disarm(journal, run.tools.run)
    raise Trouble(f"{message}; everything is undone") from error


def _look_ahead(run: _Run, persist: files.Persist, rewrites: list[files.Rewrite]) -> None:
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
        _fail([(key, f"{persist.file} would lose at the next boot to {line.place()}") for key, line in overridden])


def _persisted(run: _Run, persist: files.Persist, waiting: bool) -> None:
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


def _diff(run: _Run, rewrites: list[files.Rewrite]) -> list[dict[str, str]]:
    """One block for the values and one for each file."""
    changing = [setting for setting in run.settings.values() if setting.changes]
    found = []
    if changing:
        found.append(
            {
                "before_header": "kernel",
                "after_header": "kernel",
                "before": "".join(f"{s.key} = {_printable(undo.normal(s.before or ''))}\n" for s in changing),
                "after": "".join(f"{s.key} = {_printable(undo.normal(s.after or ''))}\n" for s in changing),
            }
        )
    found.extend(
        {
            "before_header": rewrite.path,
            "after_header": rewrite.path,
            "before": _printable(rewrite.before or ""),
            "after": _printable(rewrite.after or ""),
        }
        for rewrite in rewrites
    )
    return found


def _chosen(run: _Run) -> list[Journal]:
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


def _rolled_back(run: _Run) -> Result:
    chosen = _chosen(run)
    # An id may be of another namespace than the one that this run is about.
    with undo.inside(chosen[0]["net"]) if chosen else nullcontext():
        return _roll_back(run, chosen)


def _roll_back(run: _Run, chosen: list[Journal]) -> Result:
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
    file, _ = files.read(run.request.file, run.files_restored()) if run.net.path is None else ("", None)
    lasting = dropin.assigned(file or "")
    for key, setting in run.settings.items():
        setting.after = run.restored.values.get(setting.path) if setting.before is not None else None
        text = lasting.get(key)
        run.entries[key] = {"persisted": text is not None and values.same(key, text, setting.after or "")}
    newest = chosen[-1]["id"] if chosen else run.request.transaction
    return run.result(bool(chosen), newest, diff=_diff(run, [rewrite for rewrite in rewrites if rewrite.changes]))


def _confirmed(run: _Run) -> Result:
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
    _look_ahead(run, persist, rewrites)
    diff = _diff(run, rewrites)
    if not run.check:
        assert run.state is not None
        journal["state"] = "confirming"
        journal["files"] = [rewrite.entry(journal["id"]) for rewrite in rewrites]
        try:
            _save(run.state, journal)
            for entry in journal["files"]:
                _write_file(entry, run.tools)
            journal["state"] = "confirmed"
            _save(run.state, journal)
        except Trouble as error:
            _give_up(run, journal, error)
        journals.drop_backups(journal)
        timer.disarm(journal, run.tools.run)
    _persisted(run, persist, waiting=False)
    return run.result(True, journal["id"], diff=diff)


_STATES = {"present": _present, "absent": _absent, "rolled_back": _rolled_back, "confirmed": _confirmed}
