# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the reports on pairs of hosts, triage and mesh, have in common on the controller. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, ClassVar, NamedTuple

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Pairs, untagged
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import count

NEVER = "never"

display = Display()


class Seen(NamedTuple):
    """What a report is made of.

    :ivar results: what each host has registered.
    :ivar limits: the user's limits of the rules.
    """

    results: Mapping[str, Mapping[str, Any]]
    pairs: Pairs
    addresses: Addresses
    limits: dict[str, Any]


class Judged(NamedTuple):
    """What has come of it.

    :ivar verdict: the worst one.
    :ivar verdicts: how many pairs have each.
    :ivar pairs: how many there are.
    :ivar lines: the terminal's lines and their colours, for so many columns and at most so many lines.
    :ivar write: writes the files into a directory and returns their paths.
    """

    verdict: str
    verdicts: Mapping[str, int]
    pairs: int
    lines: Callable[[int, int], Iterable[tuple[str, str | None]]]
    write: Callable[[str], list[str]]


class PairReport(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """An action that joins what both ends of each pair have registered, shows it and writes it.

    :cvar spec: its options, those of :func:`options` among them.
    :cvar failing: for each choice of ``fail_on`` the verdicts that fail the task.
    """

    TRANSFERS_FILES = False
    _requires_connection = False
    spec: ClassVar[dict[str, dict[str, Any]]]
    failing: ClassVar[Mapping[str, tuple[str, ...]]]

    def judge(self, seen: Seen, args: Mapping[str, Any], variables: Mapping[str, Any]) -> Judged:
        """What has come of what was seen.

        :raises ValueError: an option cannot be used.
        :raises RuleError: a limit cannot be used.
        """
        raise NotImplementedError

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        if MISSING:
            return {**result, "failed": True, "msg": f"the Python package {MISSING} is missing on the controller"}
        __, args = self.validate_argument_spec(self.spec)
        variables = task_vars or {}
        try:
            pairs, addresses = play.pairs(args, variables, self._loader, self._templar)
            results = play.registered(variables, args["results"])
            if reason := play.shared_failure(results):
                return {**result, "failed": True, "msg": reason}
            judged = self.judge(Seen(results, pairs, addresses, untagged(args["limits"])), args, variables)
            paths = [] if self._task.check_mode else judged.write(play.directory(variables, args["path"]))
        except (ValueError, RuleError) as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            reason = f"path: {args['path']!r} is not accepted; give a directory that can be written ({error.strerror})"
            return {**result, "failed": True, "msg": reason}
        if args["lines"]:
            _show(judged.lines(columns(display.columns), args["lines"]), paths)
        result.update(report=paths, verdict=judged.verdict, pairs=judged.pairs)
        return {**result, **self._failure(judged, args["fail_on"])}

    def _failure(self, judged: Judged, fail_on: str) -> dict[str, Any]:
        wanted = self.failing[fail_on]
        bad = [f"{judged.verdicts[name]} {name}" for name in wanted if judged.verdicts.get(name)]
        if not bad and judged.verdict in wanted:
            bad = ["nothing could be looked at"]
        told = f"fail_on={fail_on}: of {count(judged.pairs, 'pair')}, {', '.join(bad)}"
        return {"failed": True, "msg": told} if bad else {}


def options(failing: Mapping[str, tuple[str, ...]], lines: int) -> dict[str, dict[str, Any]]:
    """The options of every such report; *lines* is how many the terminal may show by default."""
    return {
        "results": {"type": "str", "required": True},
        "limits": {"type": "dict", "default": {}},
        "path": {"type": "str", "default": "nettriage-report"},
        "lines": {"type": "int", "default": lines},
        "fail_on": {"type": "str", "choices": list(failing), "default": NEVER},
    }


def _show(lines: Iterable[tuple[str, str | None]], paths: list[str]) -> None:
    for line, colour in lines:
        display.display(line, color=colour)
    if paths:
        others = ", ".join(os.path.basename(path) for path in paths[1:])
        display.display(f"Report: {paths[0]} ({others})")
