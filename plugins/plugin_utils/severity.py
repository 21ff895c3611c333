# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How bad findings are. Private to this collection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES


def rank(severity: Any) -> int:
    """0 for the worst severity.

    :raises ValueError: there is no such severity.
    """
    if severity not in SEVERITIES:
        raise ValueError(f"severity {severity!r} is not accepted; give one of {', '.join(SEVERITIES)}")
    return SEVERITIES.index(severity)


def rows(findings: Any) -> list[Mapping[str, Any]]:
    """*findings*, which come from a template.

    :raises ValueError: they are none.
    """
    if not isinstance(findings, (list, tuple)) or not all(
        isinstance(row, Mapping) and "severity" in row for row in findings
    ):
        raise ValueError("these are no findings; give what nettriage.linux.findings returned")
    return list(findings)


def worst(findings: Iterable[Mapping[str, Any]]) -> str | None:
    """The worst severity of *findings*; ``None`` where there are none.

    :raises ValueError: they are no findings.
    """
    return min((row["severity"] for row in rows(findings)), key=rank, default=None)
