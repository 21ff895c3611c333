# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings of several hosts that are one problem, with the evidence of both ends. Private to this collection.

What belongs together is data: ``joins.yml`` beside this file.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import cache
from typing import Any, NamedTuple

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number, total
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding, Part
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.owners import Owners, Place, parse
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import Node, Traits, inside
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES

Finding = Mapping[str, Any]
UNREACHABLE = "host.unreachable"
"""What a host that could not be looked at has, as if it were a finding."""

_FILE = os.path.join(os.path.dirname(__file__), "joins.yml")
_FINDINGS = 100
_HOSTS = 50
_PARTS = 20
_NAMED = 8  # endpoints that are taken from one finding
_ENDPOINT = re.compile(
    r"(?<![\w.:])(?:\[([0-9A-Fa-f:.]+)(?:%\w+)?\]|(\d{1,3}(?:\.\d{1,3}){3}))(?::(\d{1,5}))?(?![\w:]|\.\d)"
)
_WORST = "worst_destinations"


class Claim(NamedTuple):
    """A near finding, and one place that it speaks of.

    :ivar first: whether that place is what the finding is about, and not one of several that it names.
    """

    node: Node
    finding: Finding
    place: Place
    first: bool

    @property
    def host(self) -> str:
        return self.node.host

    @property
    def which(self) -> tuple[str, int]:
        """Tells the finding from all others: a finding belongs to one problem only."""
        return self.host, id(self.finding)


class Join:
    """One entry of ``joins.yml``, compiled."""

    def __init__(self, data: Mapping[str, Any]) -> None:
        self.id: str = data["id"]
        self.layer: str = data["layer"]
        self.near = frozenset(data["near"])
        self.far = frozenset(data.get("far", ()))
        self.over: str = data["over"]
        self.sum: list[str] = data.get("sum", [])
        self.give: list[str] = data.get("give", [])
        self.title, self.cause = _template(data["title"]), _template(data["cause"])
        self.advice = [_template(text) for text in data["advice"]]

    def key(self, claim: Claim) -> tuple[object, ...] | None:
        """What claims of one problem share; ``None`` for one that this is not about."""
        place = claim.place
        if claim.finding["id"] not in self.near or place.ambiguous or (self.far and place.host is None):
            return None
        if not self.far and not claim.first:
            return None
        if self.over == "service":
            # Who names no port is told apart by the far finding, if there is one.
            return (place.node or place.address, place.port) if place.port or self.far else None
        return (place.node or place.address,)


def _template(text: str) -> Template:
    return Template(text, ("item", "evidence"))


@cache
def joins() -> list[Join]:
    """The table, in its order."""
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(_FILE, encoding="utf-8") as file:
        return [Join(data) for data in yaml.load(file, Loader=loader)]  # noqa: S506 - both loaders are safe ones


def fleet_findings(
    found: Mapping[str, Sequence[Finding]], traits: Mapping[Node, Traits], owners: Owners, limits: Mapping[str, Any]
) -> tuple[list[FleetFinding], int]:
    """The problems that several hosts of *found* share, worst first, and how many there are.

    :param found: each host's findings; a host that could not be looked at has one with the id ``UNREACHABLE``.
    """
    return _Folding(found, traits, owners, limits).run()


class _Folding:
    def __init__(
        self,
        found: Mapping[str, Sequence[Finding]],
        traits: Mapping[Node, Traits],
        owners: Owners,
        limits: Mapping[str, Any],
    ) -> None:
        self._found, self._traits, self._owners = found, traits, owners
        self._least: int = limits["fleet_hosts_min"]
        self._used: set[tuple[str, int]] = set()
        near = frozenset().union(*(join.near for join in joins()))
        far = frozenset().union(*(join.far for join in joins()))
        self._near = [(host, each) for host, rows in found.items() for each in rows if each["id"] in near]
        self._far = {
            host: rows for host, all_ in found.items() if (rows := [each for each in all_ if each["id"] in far])
        }
        self._claims = [claim for host, each in self._near for claim in self._claims_of(host, each)]
        self._by_gateway = [claim for host, each in self._near for claim in self._gateways_of(host, each)]

    def run(self) -> tuple[list[FleetFinding], int]:
        rows = [made for join in joins() for made in self._by(join)]
        rows.sort(key=lambda row: (SEVERITIES.index(row.severity), -row.hosts_total, row.id, row.subject))
        return rows[:_FINDINGS], len(rows)

    def _claims_of(self, host: str, finding: Finding) -> Iterator[Claim]:
        node = Node(host, inside(finding))
        for number, (address, port) in enumerate(endpoints(finding)):
            place = self._owners.find(node, address, port)
            if place is not None:
                yield Claim(node, finding, place, not number)

    def _gateways_of(self, host: str, finding: Finding) -> Iterator[Claim]:
        node = Node(host)
        for gateway in dict.fromkeys(self._traits[node].gateways if node in self._traits else ()):
            place = self._owners.find(node, gateway, None)
            if place is not None and place.host in self._far:
                yield Claim(node, finding, place, True)

    def _by(self, join: Join) -> Iterator[FleetFinding]:
        groups: dict[tuple[object, ...], list[Claim]] = {}
        for claim in self._by_gateway if join.over == "gateway" else self._claims:
            key = join.key(claim) if claim.which not in self._used else None
            if key is not None:
                groups.setdefault(key, []).append(claim)
        for claims in groups.values():
            claims = [claim for claim in claims if claim.which not in self._used]
            far = self._other_end(join, claims)
            hosts = list(dict.fromkeys(claim.host for claim in claims))
            if (far if join.far else len(hosts) >= self._least) and hosts:
                self._used.update(claim.which for claim in claims)
                yield self._folded(join, claims, far, hosts)

    def _other_end(self, join: Join, claims: Sequence[Claim]) -> list[Finding]:
        """The far host's findings that are about the same as *claims*."""
        if not join.far or not claims:
            return []
        place = claims[0].place
        rows = [each for each in self._far.get(place.host or "", ()) if each["id"] in join.far]
        if join.over == "service":
            return [each for each in rows if inside(each) == place.inside and self._same_service(each, claims)]
        # What reaches a namespace goes through its host.
        return [each for each in rows if inside(each) in (None, place.inside)]

    def _same_service(self, far: Finding, claims: Sequence[Claim]) -> bool:
        """Whether the finding *far* is about what *claims* go to: by its port, its peers, or its process."""
        ports = {claim.place.port for claim in claims if claim.place.port}
        named = {port for __, port in _in_text(far.get("subject")) if port}
        if named:
            # A claim without a port is of a connection that the far host has opened itself.
            return bool(named & ports)
        evidence = far.get("evidence")
        evidence = evidence if isinstance(evidence, Mapping) else {}
        peers = {address for address, __ in _in_text(evidence.get("peers"))}
        clients = {address for claim in claims for address in self._owners.addresses(claim.node)}
        if peers and clients and peers & clients:
            return True
        listeners = [claim.place.listener for claim in claims if claim.place.listener]
        pids = {process.get("pid") for listener in listeners for process in listener.processes}
        # Whoever names neither speaks of the whole host.
        return evidence.get("pid") in pids if evidence.get("pid") else not peers

    def _folded(
        self, join: Join, claims: Sequence[Claim], far: Sequence[Finding], hosts: Sequence[str]
    ) -> FleetFinding:
        place = next((claim.place for claim in claims if claim.place.listener), claims[0].place)
        near = list({claim.which: (claim.host, claim.finding) for claim in claims}.values())
        near.sort(key=lambda row: SEVERITIES.index(row[1]["severity"]))
        parts = [_part(place.host or "", "far", each) for each in sorted(far, key=_severity)]
        parts += [_part(host, "near", each) for host, each in near]
        concerned = list(dict.fromkeys(([place.host] if place.host else []) + list(hosts)))
        evidence = _evidence(join, place, [each for __, each in near], far, hosts)
        item = {
            "host": place.host,
            "address": place.address,
            "port": place.port,
            "listener": asdict(place.listener) if place.listener else {"processes": _of_evidence(far)},
            "callers": hosts,
            "callers_total": len(hosts),
        }
        scope = {"item": item, "evidence": evidence}
        return FleetFinding(
            join.id,
            min((part.severity for part in parts), key=SEVERITIES.index),
            join.layer,
            place.host,
            _subject(join, place),
            join.title(scope),
            evidence,
            join.cause(scope),
            [text(scope) for text in join.advice],
            str((far or [near[0][1]])[0].get("command") or ""),
            concerned[:_HOSTS],
            len(concerned),
            parts[:_PARTS],
            len(parts),
        )


def endpoints(finding: Finding) -> list[tuple[str, int | None]]:
    """Where a finding's connections go: addresses, and ports where it names them; what it is most about first."""
    evidence = finding.get("evidence")
    evidence = evidence if isinstance(evidence, Mapping) else {}
    found = dict.fromkeys(_in_text(finding.get("subject")))
    found.update(dict.fromkeys(_in_text(evidence.get("peers"))))
    rows = evidence.get(_WORST)
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("address"), str):
            port = row.get("port")
            found.setdefault((row["address"], port if isinstance(port, int) else None))
    return list(found)[:_NAMED]


def _in_text(value: Any) -> list[tuple[str, int | None]]:
    """Every ``10.0.0.1:443``, ``[2001:db8::1]:443`` or ``10.0.0.1`` in a text, or in a list of texts."""
    texts = value if isinstance(value, list) else [value]
    found = []
    for text in texts[:_NAMED]:
        for six, four, port in _ENDPOINT.findall(text) if isinstance(text, str) else ():
            if parse(six or four) is not None:
                found.append((six or four, int(port) if port else None))
    return found


def _severity(finding: Finding) -> int:
    return SEVERITIES.index(finding["severity"])


def _part(host: str, end: str, finding: Finding) -> Part:
    return Part(
        host,
        end,
        finding["id"],
        finding["severity"],
        str(finding.get("subject") or ""),
        str(finding.get("title") or ""),
        finding.get("evidence") or {},
    )


def _evidence(
    join: Join, place: Place, near: Iterable[Finding], far: Sequence[Finding], hosts: Sequence[str]
) -> dict[str, Any]:
    rows = [evidence for each in near if isinstance(evidence := each.get("evidence"), Mapping)]
    found: dict[str, Any] = {"address": place.address, "port": place.port, "connecting_hosts": len(hosts)}
    found.update((name, total(row.get(name) for row in rows)) for name in join.sum)
    for each in far:
        evidence = each.get("evidence")
        if isinstance(evidence, Mapping):
            for name in join.give:
                found.setdefault(name, evidence.get(name))
    return {name: value for name, value in found.items() if value is not None}


def _of_evidence(far: Iterable[Finding]) -> list[Any]:
    """The processes that the far end's findings name."""
    for each in far:
        evidence = each.get("evidence")
        if isinstance(evidence, Mapping):
            processes = evidence.get("processes")
            if isinstance(processes, list):
                return processes
            if is_number(evidence.get("pid")) or evidence.get("command"):
                return [evidence]
    return []


def _subject(join: Join, place: Place) -> str:
    where = f"[{place.address}]" if ":" in place.address else place.address
    if join.over == "service" and place.port:
        where += f":{place.port}"
    return f"{place.node} ({where})" if place.node else where
