# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compares a host before and after a change."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import plain
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean
from ansible_collections.nettriage.linux.plugins.plugin_utils.verify import verify

SPEC: dict[str, dict[str, Any]] = {
    "before": {"type": "raw", "required": True},
    "after": {"type": "raw", "required": True},
    "plan": {"type": "list", "elements": "dict", "required": True},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        __, args = self.validate_argument_spec(SPEC)
        try:
            outcome = verify(plain(args["before"]), plain(args["after"]), plain(args["plan"]))
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        name = clean((task_vars or {}).get("inventory_hostname", ""))
        for check in outcome["checks"]:
            if check["worse"]:
                told = f"{name}: {check['name']} went from {check['before'] or 0:g} to {check['after']:g}"
                display.display(told, color="red")
        for proof in outcome["proofs"]:
            if proof["before"] is not None and proof["after"] is not None:
                told = f"{name}: {proof['verify_by']} {proof['before']:g} -> {proof['after']:g}"
                display.display(told, color="green" if proof["proven"] else None)
        return {**result, "changed": False, **outcome}
