# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the page's script shows of each host on demand, as JSON inside of the page. Private to this collection.

Thousands of hosts as HTML would be slow to load. What many hosts share (names of groups and settings, heads of tables)
is written once, and hosts refer to it by its number.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_tables import KINDS
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, fit

# Inside of a script element nothing may look like its end, or like a comment that hides it.
_ESCAPES = {ord(char): f"\\u{ord(char):04x}" for char in "<>&"}
_NUMBERS = {kind.caption: number for number, kind in enumerate(KINDS)}


def groups_of(fleet: Fleet) -> list[str]:
    """The inventory's groups of all hosts, by name."""
    return sorted({group for host in fleet.hosts for group in host.groups})


def pieces(fleet: Fleet, causes: Mapping[str, int], findings: int, longest: int) -> Iterator[str]:
    """The document ``{kinds, groups, settings, hosts}``, one host a line.

    :param causes: the number of each kind of finding.
    :param findings: how many findings of a host are told at most.
    :param longest: how many characters of one text.
    """
    groups, settings = groups_of(fleet), _common(fleet.hosts)
    yield '{"kinds":' + _dump([[kind.caption, *kind.columns] for kind in KINDS])
    yield ',"groups":' + _dump([fit(clean(group), longest) for group in groups])
    yield ',"settings":' + _dump(list(settings.items())) + ',"hosts":[\n'
    makers = _Maker({name: at for at, name in enumerate(groups)}, settings, causes, findings, longest)
    for number, host in enumerate(fleet.hosts):
        yield ("" if number == 0 else ",\n") + _dump(makers.host(host))
    yield "\n]}"


class _Maker:
    """Makes each host's part of the document."""

    def __init__(
        self,
        groups: Mapping[str, int],
        settings: Mapping[str, str],
        causes: Mapping[str, int],
        findings: int,
        longest: int,
    ) -> None:
        self._groups, self._settings, self._causes = groups, settings, causes
        self._keys = {key: number for number, key in enumerate(settings)}
        self._findings, self._longest = findings, longest

    def host(self, host: Host) -> dict[str, Any]:
        record: dict[str, Any] = {
            "name": self._text(host.name),
            "verdict": host.verdict,
            "groups": [self._groups[group] for group in host.groups],
            "findings": [self._finding(finding) for finding in host.findings[: self._findings]],
            "more": max(0, len(host.findings) - self._findings),
        }
        if host.error is not None:
            record["error"] = self._text(host.error)
        if host.view is not None:
            record["unseen"] = [self._text(entry) for entry in host.view.unseen]
            record["pairs"] = host.view.pairs
            record["tables"] = [[_NUMBERS[table.kind], table.total, table.rows] for table in host.view.tables]
            record["own"] = self._own(host.view.settings)
        return record

    def _finding(self, finding: Mapping[str, Any]) -> list[Any]:
        return [
            finding["severity"],
            finding["layer"],
            self._causes[finding["id"]],
            self._text(finding["title"]),
        ]

    def _own(self, settings: Mapping[str, str]) -> dict[int, str | None]:
        """In which settings a host differs from what is usual; ``None`` for one that it does not have."""
        if not settings:
            return {}
        return {
            self._keys[key]: settings.get(key) for key, usual in self._settings.items() if settings.get(key) != usual
        }

    def _text(self, value: object) -> str:
        return fit(clean(value), self._longest)


def _common(hosts: Sequence[Host]) -> dict[str, str]:
    """Each setting with the value that most hosts have."""
    values: dict[str, Counter[str]] = {}
    for host in hosts:
        for key, value in host.view.settings.items() if host.view is not None else ():
            values.setdefault(key, Counter())[value] += 1
    return {key: values[key].most_common(1)[0][0] for key in sorted(values)}


def _dump(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).translate(_ESCAPES)
