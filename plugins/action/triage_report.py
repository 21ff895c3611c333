# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a triage: joins both ends of every pair, and says who is at fault."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ansible import context
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.action.peer_look import WHO
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import untagged
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.files import replace
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import as_markdown, as_terminal, run
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import Verdict

SPEC: dict[str, dict[str, Any]] = {
    **WHO,
    "results": {"type": "str", "required": True},
    "port": {"type": "int"},
    "url": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
    "limits": {"type": "dict", "default": {}},
    "path": {"type": "str", "default": "nettriage-report"},
    "lines": {"type": "int", "default": 60},
}
_FILES: dict[str, Callable[[Sequence[Verdict], str, str, str], Iterator[str]]] = {
    "triage.md": as_markdown.lines,
    "triage.json": run.as_json,
}
_TITLE = "Network triage"

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        if MISSING:
            return {**result, "failed": True, "msg": f"the Python package {MISSING} is missing on the controller"}
        __, args = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        asked = {name: untagged(args[name]) for name in ("port", "url", "names") if args[name] not in (None, "")}
        try:
            pairs, addresses = play.pairs(args, variables, self._loader, self._templar)
            results = play.registered(variables, args["results"])
            if reason := play.shared_failure(results):
                return {**result, "failed": True, "msg": reason}
            forks = int(context.CLIARGS.get("forks") or 1)
            found = run.verdicts(results, pairs, addresses, untagged(args["limits"]), asked, forks)
            paths = [] if self._task.check_mode else self._write(found, play.directory(variables, args["path"]))
        except (ValueError, RuleError) as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            reason = f"path: {args['path']!r} is not accepted; give a directory that can be written ({error.strerror})"
            return {**result, "failed": True, "msg": reason}
        if args["lines"]:
            for line, colour in as_terminal.table(found, columns(display.columns), args["lines"]):
                display.display(line, color=colour)
            if paths:
                display.display(f"Report: {paths[0]} ({os.path.basename(paths[1])})")
        return {**result, "report": paths, "verdict": found[0].verdict if found else "unknown", "pairs": len(found)}

    def _write(self, found: Sequence[Verdict], directory: str) -> list[str]:
        os.makedirs(directory, mode=0o750, exist_ok=True)
        moment, paths = play.now(), []
        for name, make in _FILES.items():
            path = os.path.join(directory, name)
            replace(path, make(found, _TITLE, moment, VERSION))
            paths.append(path)
        return paths
