# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every host of a group measured towards its peers, as pairs. Private to this collection."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue, judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MISSHAPEN, Unusable, facts_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Pairs
from ansible_collections.nettriage.linux.plugins.plugin_utils.paths import cleared, route_error
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import VERDICTS, sentence

Row = dict[str, Any]
_BAD = ("critical", "warning", "unreachable")
# A peer of a mesh is expected to answer, whatever the rules say of a stranger.
_SILENT = "path.unreachable"


@dataclass(frozen=True)
class Cell:
    """One measured way: from a host to one address of another.

    :ivar verdict: ``ok``, ``warning``, ``critical``, or ``unreachable`` where nothing answered.
    :ivar findings: what the rules say of it.
    :ivar why: why nothing answered.
    """

    source: str
    destination: str
    address: str
    family: str | None
    verdict: str
    loss: float | None = None
    lost: int = 0
    sent: int = 0
    median_ms: float | None = None
    max_ms: float | None = None
    path_mtu: int | None = None
    black_hole: bool = False
    why: str | None = None
    findings: list[Row] = field(default_factory=list)

    @property
    def bad(self) -> bool:
        return self.verdict in _BAD

    @property
    def rank(self) -> tuple[Any, ...]:
        """Sorts the worst first."""
        return (
            {"unreachable": 0, "critical": 1, "warning": 2}.get(self.verdict, 3),
            -(self.loss or 0),
            -(self.median_ms or 0),
            self.source,
            self.destination,
            self.address,
        )


@dataclass(frozen=True)
class Mesh:
    """All ways that were measured.

    :ivar hosts: in the order of the inventory.
    :ivar errors: the hosts that could not measure, and why.
    :ivar cells: worst first.
    :ivar possible: how many pairs of hosts there are.
    :ivar groups: groups of the inventory with some of the hosts, by name.
    """

    generated: str
    version: str
    hosts: list[str]
    errors: dict[str, str]
    cells: list[Cell]
    possible: int
    groups: dict[str, frozenset[str]]

    @property
    def pairs(self) -> dict[tuple[str, str], Cell]:
        """The worst way of each pair, worst first."""
        found: dict[tuple[str, str], Cell] = {}
        for cell in self.cells:
            found.setdefault((cell.source, cell.destination), cell)
        return found

    @property
    def families(self) -> set[str]:
        """Those that were probed."""
        return {cell.family for cell in self.cells if cell.family}

    @property
    def verdicts(self) -> dict[str, int]:
        """How many pairs have which verdict."""
        counts = Counter(cell.verdict for cell in self.pairs.values())
        return {verdict: counts[verdict] for verdict in VERDICTS}


def made(
    results: Mapping[str, Mapping[str, Any]],
    pairs: Pairs,
    addresses: Addresses,
    limits: Mapping[str, Any],
    groups: Mapping[str, Iterable[str]],
    stamp: tuple[str, str],
) -> Mesh:
    """The mesh of what the hosts registered.

    :param stamp: when, and the version of the collection.
    :raises RuleError: *limits* cannot be used.
    """
    catalogue = Catalogue(limits)
    errors: dict[str, str] = {}
    cells: list[Cell] = []
    for source in pairs.sources:
        result = results.get(source)
        if result is None:
            errors[source] = "it was not asked: it is not in the play"
            continue
        try:
            facts, __ = facts_of(result)
        except Unusable as error:
            errors[source] = str(error)
            continue
        ways = [(destination, address) for destination in pairs.of(source) for address in addresses.of(destination)]
        try:
            cells += _cells(source, ways, facts, catalogue)
        except MISSHAPEN:
            errors[source] = "what it returned is not what peer_facts returns"
    hosts = list(dict.fromkeys([*pairs.sources, *pairs.destinations]))
    return Mesh(
        *stamp, hosts, errors, sorted(cells, key=lambda cell: cell.rank), pairs.possible, _groups(groups, hosts)
    )


def _groups(groups: Mapping[str, Iterable[str]], hosts: list[str]) -> dict[str, frozenset[str]]:
    """The groups that tell some of *hosts* from others."""
    everyone = frozenset(hosts)
    found = {name: everyone.intersection(members) for name, members in groups.items()}
    return {name: members for name, members in found.items() if 1 < len(members) < len(everyone)}


def _cells(source: str, ways: list[tuple[str, str]], facts: Row, catalogue: Catalogue) -> list[Cell]:
    path = facts.get("path") or {}
    facts = {**facts, "path": {**path, "paths": cleared(path.get("paths") or [])}}
    findings = [row for row in judge(facts, catalogue) if row["id"].startswith("path.")]
    return [_cell(source, destination, address, facts, findings) for destination, address in ways]


def _number(value: Any) -> Any:
    return value if is_number(value) else None


def _cell(source: str, destination: str, address: str, facts: Row, findings: list[Row]) -> Cell:
    path, pmtu = _row(facts, "path", address), _row(facts, "pmtu", address)
    target = _row(facts, "peers", address, "targets")
    own = [row for row in findings if row["subject"] == address and row["id"] != _SILENT]
    rtt = path.get("rtt_ms") or {}
    reached = bool(path.get("reached") or pmtu.get("reached"))
    severities = {row["severity"] for row in own}
    verdict = next((name for name in ("critical", "warning") if name in severities), "ok")
    return Cell(
        source,
        destination,
        address,
        next((each for each in (target.get("family"), path.get("family")) if each and isinstance(each, str)), None),
        verdict if reached else "unreachable",
        _number(path.get("loss")),
        _number(path.get("lost")) or 0,
        _number(path.get("sent")) or 0,
        _number(rtt.get("median")),
        _number(rtt.get("worst")),
        _number(pmtu.get("path_mtu")) if pmtu.get("reached") else None,
        pmtu.get("verdict") == "black_hole",
        None if reached else _why(target, path),
        own,
    )


def _why(target: Row, path: Row) -> str:
    error = route_error(target.get("route"))
    down = target.get("links_down") or []
    if error and down:
        return sentence(f"{error}; {down[0].get('name')} is down")
    return sentence(target.get("error") or error or path.get("why") or "nothing answered")


def _row(facts: Row, subset: str, address: str, table: str = "paths") -> Row:
    rows: Iterable[Row] = (facts.get(subset) or {}).get(table) or ()
    return next((row for row in rows if row.get("target") == address), {})
