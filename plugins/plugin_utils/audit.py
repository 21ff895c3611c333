# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a host's task registered to that host in the report. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import (
    Host,
    Unusable,
    facts_of,
    severity_rank,
    verdict_of,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import view_of


def judge(
    name: str, result: Mapping[str, Any], limits: Mapping[str, Any], rules: list[Mapping[str, Any]], rows: int
) -> Host:
    """The host *name*, judged by what it registered.

    :param rows: how many rows of each kind of fact the page may show of it.
    :raises ValueError: *limits* or *rules* cannot be used.
    """
    try:
        facts, text = facts_of(result)
    except Unusable as error:
        return Host(name, "unreachable", error=str(error))
    findings = sorted(evaluate(facts, limits, rules), key=severity_rank)
    return Host(name, verdict_of(findings), findings, text, view_of(facts, rows))
