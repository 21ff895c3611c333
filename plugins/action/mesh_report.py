# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a mesh: the matrix of all pairs, and who explains those that are bad."""

from __future__ import annotations

import os
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.nettriage.linux.plugins.action.peer_look import WHO
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import as_terminal, files, matrix
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import culprits
from ansible_collections.nettriage.linux.plugins.plugin_utils.packages import MISSING
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import untagged
from ansible_collections.nettriage.linux.plugins.plugin_utils.terminal import columns

SPEC: dict[str, dict[str, Any]] = {
    **WHO,
    "results": {"type": "str", "required": True},
    "limits": {"type": "dict", "default": {}},
    "path": {"type": "str", "default": "nettriage-report"},
    "lines": {"type": "int", "default": 40},
}
_TITLE = "Network mesh"

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
        try:
            pairs, addresses = play.pairs(args, variables, self._loader, self._templar)
            results = play.registered(variables, args["results"])
            if reason := play.shared_failure(results):
                return {**result, "failed": True, "msg": reason}
            mesh = matrix.made(
                results,
                pairs,
                addresses,
                untagged(args["limits"]),
                {name: untagged(list(members)) for name, members in variables["groups"].items()},
                (play.now(), VERSION),
            )
            found = culprits(mesh)
            directory = play.directory(variables, args["path"])
            paths = [] if self._task.check_mode else files.write(mesh, found, _TITLE, directory)
        except ValueError as error:
            return {**result, "failed": True, "msg": str(error)}
        except OSError as error:
            reason = f"path: {args['path']!r} is not accepted; give a directory that can be written ({error.strerror})"
            return {**result, "failed": True, "msg": reason}
        if args["lines"]:
            for line, colour in as_terminal.table(mesh, found, columns(display.columns), args["lines"]):
                display.display(line, color=colour)
            if paths:
                others = ", ".join(os.path.basename(path) for path in paths[1:])
                display.display(f"Report: {paths[0]} ({others})")
        return {**result, "report": paths, "verdict": as_terminal.worst(mesh), "pairs": len(mesh.pairs)}
