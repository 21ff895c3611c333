# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a host's task registered to that host in the report. Private to this collection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue, RuleError, judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import (
    MISSHAPEN,
    Host,
    Unusable,
    facts_of,
    verdict_of,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import traits_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import view_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence


class Judge:
    """Judges host after host; rules are compiled once for all hosts that share them.

    :ivar broken: the first rule of the user's own that could not be evaluated, and the host: that is an error of the
        rule. One of the collection's takes whatever a collector makes, so there the host's facts are damaged.
    """

    def __init__(self, rows: int) -> None:
        self.broken: str | None = None
        self._rows = rows
        self._catalogues: dict[str, Catalogue] = {}

    def host(self, name: str, result: Mapping[str, Any], limits: Any, rules: Any, groups: Sequence[str] = ()) -> Host:
        """The host *name* of the inventory's *groups*, judged by the *result* that it registered.

        :raises RuleError: *limits* or *rules* cannot be used.
        """
        catalogue = self._catalogue(limits, rules)
        try:
            facts, text = facts_of(result)
        except Unusable as error:
            return Host(name, "unreachable", error=str(error), groups=groups, reached=not result.get("unreachable"))
        try:
            view, traits = view_of(facts, self._rows), traits_of(facts)
        except MISSHAPEN as error:
            why = f"its facts are not what health_facts returns ({sentence(error, 100)})"
            return Host(name, "unreachable", (), text, error=why, groups=groups)
        try:
            findings = judge(facts, catalogue)
        except RuleError as error:
            if error.rule in {rule.get("id") for rule in rules or ()}:
                self.broken = self.broken or f"{error} (host {name})"
            return Host(name, "unreachable", (), text, view, str(error), groups, traits=traits)
        except MISSHAPEN as error:
            why = f"its facts are not what health_facts returns ({sentence(error, 100)})"
            return Host(name, "unreachable", (), text, view, why, groups, traits=traits)
        return Host(name, verdict_of(findings), findings, text, view, groups=groups, traits=traits)

    def limits(self, limits: Any, rules: Any) -> dict[str, Any]:
        """All limits where *limits* take the place of some.

        :raises RuleError: *limits* or *rules* cannot be used.
        """
        return self._catalogue(limits, rules).limits

    def _catalogue(self, limits: Any, rules: Any) -> Catalogue:
        key = json.dumps([limits, rules], default=str)
        if key not in self._catalogues:
            self._catalogues[key] = Catalogue(limits, rules)
        return self._catalogues[key]
