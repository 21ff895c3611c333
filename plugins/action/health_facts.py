# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sends a host the module that it needs: with the probes only where something is to be probed.

Ansible packs whatever a module could import, also where it would only do so on demand. The probes are a third of the
whole, which every audited host would be sent and would unpack.
"""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase

_PROBED = ("targets", "urls", "names")
_PROBES = ("path", "pmtu", "http", "dns")


class ActionModule(ActionBase):  # type: ignore[misc]  # ansible-core is not typed
    """See the documentation of the module of the same name."""

    TRANSFERS_FILES = False
    _supports_check_mode = True
    _supports_async = True

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result: dict[str, Any] = super().run(tmp, task_vars)
        args, asynchronous = self._task.args, self._task.async_val
        subsets = args.get("gather_subset") or ()
        probes = any(args.get(option) for option in _PROBED) or any(name in subsets for name in _PROBES)
        module = "nettriage.linux.probed_health_facts" if probes else "nettriage.linux.health_facts"
        result.update(self._execute_module(module_name=module, task_vars=task_vars, wrap_async=asynchronous))
        if not asynchronous:
            self._remove_tmp_path(self._connection._shell.tmpdir)
        return result
