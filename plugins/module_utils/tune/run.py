# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run is asked for, what it has found out, and what it answers. Private to this collection."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import files, undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune import journal as journals
from ansible_collections.nettriage.linux.plugins.module_utils.tune.journal import Net, Restored
from ansible_collections.nettriage.linux.plugins.module_utils.tune.survey import Now, Setting
from ansible_collections.nettriage.linux.plugins.module_utils.tune.undo import Journal, State, Trouble

if TYPE_CHECKING:
    from ansible_collections.nettriage.linux.plugins.module_utils.tune import timer

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


class Run:
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

    @property
    def opened(self) -> State:
        """The state directory of a run that may write; a check has none."""
        if self.state is None:
            raise Trouble("a defect: a run that only checks must not write")
        return self.state

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
    before = None if setting.before is None else printable(undo.normal(setting.before))
    after = before if setting.after is None else printable(undo.normal(setting.after))
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


def printable(text: str) -> str:
    return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def said(error: Trouble | OSError) -> str:
    return str(error) if isinstance(error, Trouble) else f"{error.filename or 'state_dir'}: {undo.reason(error)}"


def fail(problems: list[tuple[str, str]]) -> None:
    """:raises Trouble: there are *problems*."""
    if problems:
        listed = "; ".join(f"{key}: {sentence}" for key, sentence in problems)
        raise Trouble(f"nothing was changed: {listed}" if len(problems) > 1 else listed)


def diff_of(run: Run, rewrites: list[files.Rewrite]) -> list[dict[str, str]]:
    """One block for the values and one for each file."""
    changing = [setting for setting in run.settings.values() if setting.changes]
    found = []
    if changing:
        found.append(
            {
                "before_header": "kernel",
                "after_header": "kernel",
                "before": "".join(f"{s.key} = {printable(undo.normal(s.before or ''))}\n" for s in changing),
                "after": "".join(f"{s.key} = {printable(undo.normal(s.after or ''))}\n" for s in changing),
            }
        )
    found.extend(
        {
            "before_header": rewrite.path,
            "after_header": rewrite.path,
            "before": printable(rewrite.before or ""),
            "after": printable(rewrite.after or ""),
        }
        for rewrite in rewrites
    )
    return found
