# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of tuning: what one host's transaction is asked for."""

from __future__ import annotations

import json
import os
from typing import Any

from ansible.plugins.action import ActionBase

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate, plain
from ansible_collections.nettriage.linux.plugins.plugin_utils.order import order, saved
from ansible_collections.nettriage.linux.plugins.plugin_utils.plan import make_plan

SPEC: dict[str, dict[str, Any]] = {
    "facts": {"type": "raw", "required": True},
    "policy": {"type": "dict", "default": {}},
    "settings": {"type": "dict", "default": {}},
    "limits": {"type": "dict", "default": {}},
    "rules": {"type": "list", "elements": "dict", "default": []},
    "plan_file": {"type": "str", "default": ""},
}


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        __, args = self.validate_argument_spec(SPEC)
        try:
            facts = plain(args["facts"])
            path = os.path.expanduser(args["plan_file"])
            if path and not self._task.check_mode:
                name = (task_vars or {})["inventory_hostname"]
                with open(path, encoding="utf-8") as file:
                    plan = saved(file.read(), path, name, facts["sysctl"]["values"])
            else:
                findings = evaluate(facts, plain(args["limits"]), plain(args["rules"]))
                plan = make_plan(facts, findings, plain(args["policy"]))
            made = order(plan, plain(args["settings"]))
        except OSError as error:
            return {**result, "failed": True, "msg": f"tune_plan_file: {error.filename!r}: {error.strerror}"}
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        return {**result, "changed": False, **json.loads(json.dumps(made._asdict()))}
