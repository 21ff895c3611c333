# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a mesh: the matrix of all pairs, and who explains those that are bad."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

from ansible_collections.nettriage.linux.plugins.action.peer_look import WHO
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import as_terminal, files, matrix
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import culprits
from ansible_collections.nettriage.linux.plugins.plugin_utils.pair_report import (
    Judged,
    PairReport,
    Seen,
    options,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import untagged
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import FAILING

SPEC: dict[str, dict[str, Any]] = {**WHO, **options(FAILING, lines=40)}
_TITLE = "Network mesh"


class ActionModule(PairReport):
    """See the documentation of the module of the same name."""

    spec = SPEC
    failing = FAILING

    def judge(self, seen: Seen, args: Mapping[str, Any], variables: Mapping[str, Any]) -> Judged:
        groups = {name: untagged(list(members)) for name, members in variables["groups"].items()}
        mesh = matrix.made(seen.results, seen.pairs, seen.addresses, seen.limits, groups, (play.now(), VERSION))
        found = culprits(mesh)
        return Judged(
            as_terminal.worst(mesh),
            mesh.verdicts,
            len(mesh.pairs),
            partial(as_terminal.table, mesh, found),
            partial(files.write, mesh, found, _TITLE),
        )
