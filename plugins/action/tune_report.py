# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Shows the plans of a batch of hosts, and keeps them for a later run."""

from __future__ import annotations

import json
import os
import tempfile
from datetime import datetime, timezone
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import plain
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.plan_terminal import table
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns

SPEC: dict[str, dict[str, Any]] = {
    "results": {"type": "str", "required": True},
    "path": {"type": "str", "default": ""},
}

display = Display()


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        __, args = self.validate_argument_spec(SPEC)
        variables = task_vars or {}
        plans: dict[str, list[dict[str, Any]]] = {}
        settings: dict[str, dict[str, Any]] = {}
        for name in variables["ansible_play_hosts_all"]:
            made = variables["hostvars"].raw_get(name).get(args["results"])
            if made is not None and "plan" in made:
                plans[name], settings[name] = plain(made["plan"]), plain(made["settings"])
        batch = {name: plans[name] for name in variables["ansible_play_batch"] if name in plans}
        for line, colour in table(batch, columns(display.columns), settings):
            display.display(line, color=colour)
        result["changed"] = False
        if args["path"]:
            path = os.path.abspath(os.path.expanduser(args["path"]))
            try:
                _keep(path, plans)
            except OSError as error:
                return {**result, "failed": True, "msg": f"tune_plan_file: {path!r}: {error.strerror}"}
            display.display(f"Plan kept in {path}: apply it with the same file and without check mode.")
        return result


def _keep(path: str, plans: dict[str, list[dict[str, Any]]]) -> None:
    """Write the plans whole or not at all."""
    document = {"generated": datetime.now(timezone.utc).isoformat(timespec="seconds"), "hosts": plans}
    handle, temporary = tempfile.mkstemp(dir=os.path.dirname(path), prefix=".nettriage-")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            json.dump(document, file, indent=2)
            file.write("\n")
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise
