# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of the audit: findings and report of all hosts in one task."""

from __future__ import annotations

import hashlib
import os
import shutil
import sys
from collections.abc import Iterator, Mapping
from typing import Any

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from ansible_collections.nettriage.linux.plugins.plugin_utils.audit import Judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MODULE_FAILED, Fleet, Host, join
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import former
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.joining import joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.play import directory, now
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_terminal, files
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import FAILING

DEFAULT_FORMATS = ["html", "markdown", "json"]
SPEC: dict[str, dict[str, Any]] = {
    "results": {"type": "str", "required": True},
    "limits": {"type": "dict", "default": {}},
    "rules": {"type": "list", "elements": "dict", "default": []},
    "path": {"type": "str", "default": "nettriage-report"},
    "formats": {"type": "list", "elements": "str", "choices": list(files.FORMATS), "default": DEFAULT_FORMATS},
    "title": {"type": "str", "default": "Network audit"},
    "lines": {"type": "int", "default": 40},
    "fail_on": {"type": "str", "choices": list(FAILING), "default": "never"},
}
# An audit that could not look must not pass.
# Strategies in which a host does not wait for the others, and run_once means nothing.
FREE = ("free", "ansible.builtin.free", "host_pinned", "ansible.builtin.host_pinned")

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        result["changed"] = False
        if MISSING:
            missing = f"the Python package {MISSING} is missing on the controller"
            result.update(failed=True, msg=f"{missing}: {sys.executable} -m pip install jmespath netaddr")
            return result
        try:
            __, args = self.validate_argument_spec(SPEC)
            result.update(self._report(args, task_vars or {}))
        except (AnsibleActionFail, BadOption, RuleError, OSError) as error:
            result.update(failed=True, msg=str(error))
        return result

    def _report(self, args: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        if args["lines"] < 0:
            raise BadOption("lines", args["lines"], "a number of lines, or 0 for none")
        play = _Play(variables, args["results"])
        if self._task.get_play().strategy in FREE and (play.waiting() or not play.claim(args["path"])):
            return {"skipped": True, "msg": "The last host of the batch makes the report."}
        judge = Judge(play.rows())
        fleet = play.fleet(judge, args["limits"], args["rules"], args["path"])
        paths = []
        if not self._task.check_mode:
            try:
                paths = files.write(fleet, args["title"], play.directory(args["path"]), args["formats"])
            except OSError as trouble:
                accepted = f"a directory that can be written ({trouble.strerror}: {trouble.filename})"
                raise BadOption("path", args["path"], accepted) from trouble
        batch = play.batch(fleet)
        self._show(batch, fleet, paths, args["lines"])
        outcome: dict[str, Any] = {
            "report": paths,
            "verdict": batch.verdict,
            "verdicts": batch.verdicts,
        }
        failing = {verdict: batch.verdicts[verdict] for verdict in FAILING[args["fail_on"]]}
        same = {host.error for host in batch.hosts}
        if judge.broken:
            outcome.update(failed=True, msg=judge.broken)
        elif len(same) == 1 and (error := same.pop()) and error.startswith(MODULE_FAILED):
            # Not the hosts are at fault: an option is wrong that all of them have.
            outcome.update(failed=True, msg=error)
        elif any(failing.values()):
            outcome.update(failed=True, msg=f"fail_on={args['fail_on']}: {as_terminal.tally(failing)}")
        return outcome

    def _show(self, batch: Fleet, fleet: Fleet, paths: list[str], lines: int) -> None:
        """The table on the terminal; a callback that prints JSON is spared by ``lines: 0``."""
        if not lines:
            return
        for line, colour in as_terminal.table(batch, columns(display.columns), lines):
            display.display(line, color=colour)
        if len(fleet.hosts) > len(batch.hosts):
            display.display(f"With the batches before: {as_terminal.headline(fleet)}")
        if paths:
            others = ", ".join(os.path.basename(path) for path in paths[1:])
            display.display(f"Report: {paths[0]}" + (f" ({others})" if others else ""))


class _Play:
    """What the hosts of this play registered in this run.

    Registered variables end with the run, so whatever a fact cache holds of former runs is never seen.
    """

    def __init__(self, variables: dict[str, Any], register: str) -> None:
        self._variables = variables
        self._hostvars = variables["hostvars"]
        self._batch: list[str] = variables["ansible_play_batch"]
        everyone: list[str] = variables["ansible_play_hosts_all"]
        self._dropped = set(everyone).difference(variables["ansible_play_hosts"])
        self._raw = {name: self._hostvars.raw_get(name) for name in everyone}
        self._results: dict[str, Mapping[str, Any]] = {
            name: raw[register] for name, raw in self._raw.items() if register in raw
        }
        if not self._results:
            raise BadOption("results", register, "the variable in which health_facts was registered in this play")

    def rows(self) -> int:
        """How many rows of facts the page has room for on each host."""
        return min(10, 4000 // len(self._raw))

    def fleet(self, judge: Judge, limits: dict[str, Any], rules: list[Any], path: str) -> Fleet:
        """Everyone who was looked at, or could not be, up to now; batches that are still to come are not in it."""
        own_limits, own_rules = _Option("audit_limits", limits, self), _Option("audit_rules", rules, self)
        hosts = list(self._hosts(judge, own_limits, own_rules))
        first = self.first()
        view = joined(
            hosts,
            {host.name: str(self._raw[host.name].get("ansible_host", host.name)) for host in hosts},
            judge.limits(own_limits.of(first), own_rules.of(first)),
            former(self._before(path)),
        )
        return join(hosts, now(), VERSION, view)

    def _before(self, path: str) -> str:
        """The report.json of the run before: with ``serial`` this run's own earlier batches have replaced it."""
        report = os.path.join(self.directory(path), files.FORMATS["json"][0])
        if len(self._batch) + len(self._dropped) >= len(self._raw):
            return report
        kept = os.path.join(
            constants.DEFAULT_LOCAL_TMP, f"nettriage-before-{hashlib.sha256(report.encode()).hexdigest()}"
        )
        if not os.path.lexists(kept):
            try:
                shutil.copyfile(report, kept)
            except FileNotFoundError:
                # There was none before the first batch, so there is none for the others.
                os.symlink(f"{kept}.absent", kept)
            except OSError:
                return report
        return kept

    def _hosts(self, judge: Judge, limits: _Option, rules: _Option) -> Iterator[Host]:
        for name in self._raw:
            if name in self._results:
                if not self._results[name].get("skipped"):
                    result, groups = self._results[name], self._groups(name)
                    yield judge.host(name, result, limits.of(name), rules.of(name), groups)
            elif name in self._dropped:
                why = "it had dropped out of the play before it was looked at"
                yield Host(name, "unreachable", error=why, groups=self._groups(name))

    def _groups(self, name: str) -> list[str]:
        """The groups of *name* that tell something; ``all`` is not among ``group_names``."""
        return [plain(group) for group in self._raw[name].get("group_names", ()) if group != "ungrouped"]

    def batch(self, fleet: Fleet) -> Fleet:
        """The part of *fleet* that this batch of the play is about."""
        names = self._dropped.union(self._batch)
        hosts = [host for host in fleet.hosts if host.name in names]
        return join(hosts, fleet.generated, fleet.version, fleet.joined)

    def own(self, name: str, variable: str) -> Any:
        """What the inventory or the command line says of *variable* for the host *name*."""
        return plain(self._hostvars[name][variable]) if variable in self._raw[name] else None

    def first(self) -> str:
        name: str = self._variables["inventory_hostname"]
        return name

    def waiting(self) -> bool:
        """Whether a host of the batch has not registered its result yet."""
        return not self._results.keys() >= set(self._batch)

    def claim(self, path: str) -> bool:
        """Whether no other task of this run has taken it upon itself to report the same results in *path*."""
        digest = hashlib.sha256(f"{path}{self._results}".encode("utf-8", "backslashreplace"))
        # The directory is this run's own, and Ansible removes it in the end.
        claimed = os.path.join(constants.DEFAULT_LOCAL_TMP, f"nettriage-{digest.hexdigest()}")
        try:
            os.close(os.open(claimed, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        except FileExistsError:
            return False
        return True

    def directory(self, path: str) -> str:
        """Where the report goes: beside the playbook, or for a playbook of a collection where the user stands."""
        return directory(self._variables, path)


class _Option:
    """An option whose value each host may have for itself.

    The task sees only the value of the host it runs for. If that is not the one that this host has in the inventory,
    then a play or a role has set it: Ansible gives these precedence, so it holds for everyone.
    """

    def __init__(self, variable: str, value: Any, play: _Play) -> None:
        value = plain(value)
        self._play, self._variable = play, variable
        self._for_all = value if value and value != play.own(play.first(), variable) else None
        self._default = type(value)()

    def of(self, name: str) -> Any:
        if self._for_all is not None:
            return self._for_all
        own = self._play.own(name, self._variable)
        return self._default if own is None else own


def plain(value: Any) -> Any:
    """*value* without the subclasses in which ansible-core carries origin and trust."""
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, str):
        return "".join(value)
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return int(value) if isinstance(value, int) else float(value)
    return value
