# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows what the captures of all hosts of a play show."""

from __future__ import annotations

from typing import Any

from ansible import context
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import RuleError, evaluate, plain
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MISSHAPEN
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.capture_terminal import table
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import count

SPEC: dict[str, dict[str, Any]] = {
    "results": {"type": "str", "required": True},
    "files": {"type": "str", "default": ""},
    "limits": {"type": "dict", "default": {}},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        try:
            __, args = self.validate_argument_spec(SPEC)
            result["findings"] = self._show(args, task_vars or {})
        except (AnsibleActionFail, RuleError) as error:
            result.update(failed=True, msg=str(error))
        return result

    def _show(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
        hostvars = {name: variables["hostvars"].raw_get(name) for name in variables["ansible_play_hosts_all"]}
        results = {
            name: plain(own[args["results"]]) if args["results"] in own else None for name, own in hostvars.items()
        }
        fetched = {name: own[args["files"]] for name, own in hostvars.items() if args["files"] in own}
        files = {name: str(each["dest"]) for name, each in fetched.items() if "dest" in each}
        captured = {name: each for name, each in results.items() if each and "summary" in each}
        findings = _judged(captured, args["limits"])
        for line, colour in table(results, columns(display.columns), files, findings):
            display.display(line, color=colour)
        if len(captured) > (forks := context.CLIARGS.get("forks") or 1):
            told = f"{forks} of {count(len(captured), 'host')} captured at a time"
            display.display(f"{told}; --forks {len(captured)} is for all at once", color="yellow")
        return findings


def _judged(captured: dict[str, Any], limits: dict[str, Any]) -> dict[str, list[dict[str, Any]]]:
    """The findings of each host.

    :raises RuleError: *limits* cannot be used.
    """
    if MISSING:
        return {}  # without the packages that the rules need there are no colours, and that is all
    evaluate({"capture": {}}, limits)
    found = {}
    for name, result in captured.items():
        try:
            found[name] = evaluate({"capture": result}, limits)
        except MISSHAPEN:  # a host may answer anything, and costs the others nothing
            found[name] = []
    return found
