# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Decides whom a host of the play looks at, and has it do so: one round trip for each host."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import untagged

_MODULE = "nettriage.linux.peer_facts"
# Options that go to the module as they are, with their types; what is not stated has the module's default.
PASSED: dict[str, dict[str, Any]] = {
    "port": {"type": "int"},
    "gather_subset": {"type": "list", "elements": "str"},
    "interval": {"type": "float"},
    "top": {"type": "int"},
    "method": {"type": "str"},
    "cycles": {"type": "int"},
    "probe_interval": {"type": "float"},
    "timeout": {"type": "float"},
    "time_limit": {"type": "float"},
    "validate_certs": {"type": "bool"},
    "ca_path": {"type": "str"},
    "netns": {"type": "str"},
    "procfs": {"type": "str"},
    "sysfs": {"type": "str"},
}
_ASKED: dict[str, dict[str, Any]] = {
    "urls": {"type": "list", "elements": "str", "default": []},
    "names": {"type": "list", "elements": "str", "default": []},
}
WHO: dict[str, dict[str, Any]] = {
    "sources": {"type": "str", "required": True},
    "destinations": {"type": "str", "required": True},
    "address_variable": {"type": "str", "required": True},
    "limit": {"type": "int", "default": 0},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        variables = task_vars or {}
        if MISSING:
            return {**result, "failed": True, "msg": f"the Python package {MISSING} is missing on the controller"}
        __, args = self.validate_argument_spec({**WHO, **_ASKED, **PASSED})
        me = variables["inventory_hostname"]
        try:
            pairs, addresses = play.pairs(args, variables, self._loader, self._templar)
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        targets = [address for name in pairs.of(me) for address in addresses.of(name)]
        # Without a port, who connects here only tells by which links, and those that look themselves tell that already.
        clients = pairs.to(me) if args["port"] or not targets else []
        if not targets and not clients:
            return {**result, "skipped": True, "msg": "This host is on neither end."}
        given = {name: untagged(args[name]) for name in PASSED if args.get(name) not in (None, "")}
        given["targets"] = list(dict.fromkeys(targets))
        given["clients"] = list(dict.fromkeys(address for name in clients for address in addresses.of(name)))
        if targets:
            given.update({name: untagged(args[name]) for name in _ASKED})
        given["as_json"] = True
        result.update(self._execute_module(module_name=_MODULE, module_args=given, task_vars=task_vars))
        self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
