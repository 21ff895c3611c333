# SPDX-FileCopyrightText: nettriage maintainers
# GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The controller's half of a triage: joins both ends of every pair, and says who is at fault."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from ansible import context

from ansible_collections.nettriage.linux.plugins.action.peer_look import WHO
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION
from ansible_collections.nettriage.linux.plugins.plugin_utils import play
from ansible_collections.nettriage.linux.plugins.plugin_utils.pair_report import (
    NEVER,
    Judged,
    PairReport,
    Seen,
    options,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import untagged
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.files import put
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import as_markdown, as_terminal, run
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import (
    BROKEN,
    SUSPICIOUS,
    UNKNOWN,
    Verdict,
)

FAILING: dict[str, tuple[str, ...]] = {
    BROKEN: (BROKEN, UNKNOWN),
    SUSPICIOUS: (BROKEN, UNKNOWN, SUSPICIOUS),
    NEVER: (),
}
SPEC: dict[str, dict[str, Any]] = {
    **WHO,
    **options(FAILING, lines=60),
    "port": {"type": "int"},
    "url": {"type": "str"},
    "names": {"type": "list", "elements": "str", "default": []},
}
_FILES: dict[str, Callable[[Sequence[Verdict], str, str, str], Iterator[str]]] = {
    "triage.md": as_markdown.lines,
    "triage.json": run.as_json,
}
_TITLE = "Network triage"


class ActionModule(PairReport):
    """See the documentation of the module of the same name."""

    spec = SPEC
    failing = FAILING

    def judge(self, seen: Seen, args: Mapping[str, Any], variables: Mapping[str, Any]) -> Judged:
        asked = {name: untagged(args[name]) for name in ("port", "url", "names") if args[name] not in (None, "")}
        forks = int(context.CLIARGS.get("forks") or 1)
        found = run.verdicts(seen.results, seen.pairs, seen.addresses, seen.limits, asked, forks)
        return Judged(
            found[0].verdict if found else UNKNOWN,
            Counter(verdict.verdict for verdict in found),
            len(found),
            partial(as_terminal.table, found),
            partial(_write, found),
        )


def _write(found: Sequence[Verdict], directory: str) -> list[str]:
    moment = play.now()
    return put(directory, ((name, make(found, _TITLE, moment, VERSION)) for name, make in _FILES.items()))
