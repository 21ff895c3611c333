# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the facts of a pair to one verdict: bottom-up to the first broken layer. Private to this collection."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.catalogue import Catalogue, Variants
from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import Expression
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import inside, judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS, SEVERITIES
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.ends import End, Row

BROKEN, SUSPICIOUS, HEALTHY, UNKNOWN = "broken", "suspicious", "healthy", "unknown"
VERDICTS = (BROKEN, SUSPICIOUS, UNKNOWN, HEALTHY)
OK, NOT_JUDGED = "ok", "not judged"
CULPRITS = {
    "source": "It is the source",
    "destination": "It is the destination",
    "path": "It is the path",
    "names": "It is the name service",
    "service": "It is the service",
}
# Whose command it is: where a person can see it.
_THERE = ("destination", "service")
_NEEDS = {
    "4": "no port was given (triage_port)",
    "7": "no URL and no name were given (triage_url, triage_name)",
}
_FOLDER = os.path.dirname(__file__)
# Findings of one end that concern a pair; on layers 1/2 only those of the interface that the pair uses.
_CONCERNING = {
    "source": ("ip.", "host.", "dns.", "tls.", "http.", "tcp.memory", "tcp.receive_pruned"),
    "destination": ("ip.", "host.", "tcp.syn_", "tcp.memory", "tcp.receive_pruned"),
}
# The rules of a pair tell these better.
_TOLD_BETTER = ("ip.no_route", "ip.gateway_unreachable")
_PHASES = {"lookup": "names", "connect": "path"}


@dataclass(frozen=True)
class Layer:
    """One layer of the way.

    :ivar state: ``ok``, ``suspicious``, ``broken``, or ``not judged``.
    :ivar told: what was found, or why it was not judged.
    """

    name: str
    state: str
    told: list[str]


@dataclass(frozen=True)
class Verdict:
    """What is wrong between two hosts, and who causes it.

    :ivar address: the destination's, as the source knows it.
    :ivar layer: the first that is broken, or else the first that is suspicious; ``None`` where all is well.
    :ivar culprit: ``source``, ``destination``, ``path``, ``names`` or ``service``.
    :ivar evidence: what each end has seen, by the end.
    :ivar where: the host on which *command* is to be run.
    :ivar notes: what else was found up to that layer.
    """

    source: str
    destination: str
    address: str
    port: int | None
    verdict: str
    sentence: str
    layers: list[Layer]
    layer: str | None = None
    culprit: str | None = None
    finding: str | None = None
    evidence: dict[str, Row] = field(default_factory=dict)
    cause: str = ""
    advice: list[str] = field(default_factory=list)
    where: str | None = None
    command: str = ""
    notes: list[str] = field(default_factory=list)
    unseen: list[str] = field(default_factory=list)

    @property
    def rank(self) -> tuple[int, int, str, str]:
        """Sorts the worst, and of these the lowest layer, first."""
        layer = LAYERS.index(self.layer) if self.layer else len(LAYERS)
        return VERDICTS.index(self.verdict), layer, self.source, self.destination


def catalogue(limits: Mapping[str, Any]) -> Catalogue:
    """The rules of pairs.

    :raises RuleError: *limits* cannot be used.
    """
    return Catalogue(limits, None, _data("rules.yml"))


def reach(source: End, destination: End, facts: Row, rules: Catalogue, address: str, asked: Row) -> Verdict:
    """The verdict on a pair with these *facts*.

    :param asked: what the operator asked for: ``port``, ``url``, ``names``.
    """
    port = asked.get("port")
    if not source.seen:
        sentence = f"{source.name} could not be looked at: {source.error}"
        layers = [Layer(name, NOT_JUDGED, ["the source was not looked at"]) for name in LAYERS]
        return Verdict(source.name, destination.name, address, port, UNKNOWN, sentence, layers)
    found = [
        *judge(facts, rules),
        *_concerning(source, "source", facts, asked),
        *_concerning(destination, "destination", facts, asked),
    ]
    found.sort(key=lambda row: LAYERS.index(row["layer"]))
    # Without an address nothing below the name could be looked at.
    nameless = bool(facts["pair"]["error"])
    broken = next((row for row in found if row["severity"] == "critical"), None)
    worst = broken or next((row for row in found if row["severity"] == "warning"), None)
    layers = [_layer(name, found, facts, broken, asked, nameless) for name in LAYERS]
    unseen = _unseen(source, destination)
    if worst is None:
        sentence = _healthy(asked)
        return Verdict(source.name, destination.name, address, port, HEALTHY, sentence, layers, unseen=unseen)
    culprit = worst["subject"]
    there = culprit in _THERE and destination.seen
    end = destination if there else source
    return Verdict(
        source.name,
        destination.name,
        address,
        port,
        BROKEN if broken else SUSPICIOUS,
        f"{CULPRITS[culprit]}: {worst['title']}",
        layers,
        worst["layer"],
        culprit,
        worst["id"],
        _by_end(worst["evidence"]),
        worst["cause"],
        worst["advice"],
        worst.get("where") or end.name,
        inside(end.facts, worst["command"]) if "where" not in worst else worst["command"],
        [row["title"] for row in found if row is not worst and _besides(row, worst)],
        unseen,
    )


def _besides(row: Row, worst: Row) -> bool:
    """Whether *row* is worth to be told beside the *worst* one: what lies below it, and what its layer's hosts have."""
    if row["severity"] == "info" or row["layer"] == worst["layer"]:
        return row["severity"] != "info" and "where" in row
    return LAYERS.index(row["layer"]) < LAYERS.index(worst["layer"])


def _healthy(asked: Row) -> str:
    far = "7" if asked.get("url") else "4" if asked.get("port") else "3"
    beyond = {
        "7": "The request is answered as it should be.",
        "4": "What is slow is the application: give triage_url to see in which phase.",
        "3": "Give triage_port and triage_url to look further.",
    }
    return f"The network is not at fault, as far as layer {far}. {beyond[far]}"


def _by_end(evidence: Row) -> dict[str, Row]:
    """``{"source.connect": "refused"}`` as ``{"source": {"connect": "refused"}}``."""
    found: dict[str, Row] = {}
    for name, value in evidence.items():
        end, __, label = name.partition(".")
        found.setdefault(end, {})[label] = value
    return found


def _unseen(source: End, destination: End) -> list[str]:
    found = []
    if not destination.seen:
        found.append(f"{destination.name} was not looked at: {destination.error}")
    for end in (source, destination):
        limited = [f"{end.name}: {each}" for each in (end.facts.get("peers") or {}).get("limited") or ()]
        found += limited
    return found


def _layer(name: str, found: list[Row], facts: Row, broken: Row | None, asked: Row, nameless: bool) -> Layer:
    own = [row for row in found if row["layer"] == name]
    if broken is not None and LAYERS.index(name) > LAYERS.index(broken["layer"]):
        return Layer(name, NOT_JUDGED, [f"layer {broken['layer']} is broken"])
    worst = min(own, key=lambda row: SEVERITIES.index(row["severity"]), default=None)
    if worst is not None and worst["severity"] != "info":
        state = BROKEN if worst["severity"] == "critical" else SUSPICIOUS
        return Layer(name, state, [worst["title"]])
    if nameless:
        return Layer(name, NOT_JUDGED, ["the destination's name has no address"])
    if (name == "4" and not asked.get("port")) or (name == "7" and not asked.get("url") and not asked.get("names")):
        return Layer(name, NOT_JUDGED, [_NEEDS[name]])
    return Layer(name, OK, _ruled_out(name).all({"facts": facts, "item": None, "limits": {}, "evidence": {}}))


@cache
def _ruled_out(layer: str) -> Variants:
    roots = ("facts",)
    return Variants(
        (Expression(entry["when"], roots), Template(entry["text"], roots)) for entry in _data("layers.yml")[layer]
    )


@cache
def _data(name: str) -> Any:
    with open(os.path.join(_FOLDER, name), encoding="utf-8") as file:
        return yaml.safe_load(file)


def _concerning(end: End, role: str, facts: Row, asked: Row) -> list[Row]:
    """What the rules of the audit have found on one end alone, as far as it has to do with this pair."""
    pair = facts["pair"]
    link = (pair["link"] if role == "source" else pair["back"].get("link")) or {}
    works = pair["connect"].get("outcome") == "ok" or (not pair["port"] and pair["path"].get("loss") == 0)
    found = []
    for finding in end.findings:
        name = finding["id"]
        of_link = name.startswith("nic.") and link.get("name") is not None and finding["subject"] == link.get("name")
        if name in _TOLD_BETTER or not (of_link or name.startswith(_CONCERNING[role])):
            continue
        if name == "http.unreachable" and finding["subject"] != asked.get("url"):
            continue
        # What is bad by itself breaks nothing between these two as long as connections are made.
        severity = "warning" if works and finding["layer"] != "7" and finding["severity"] == "critical" else None
        found.append(
            {
                **finding,
                "severity": severity or finding["severity"],
                "subject": _culprit(finding, role),
                "title": finding["title"] if finding["layer"] == "7" else f"{end.name}: {finding['title']}",
                "evidence": {f"{role}.{label}": value for label, value in finding["evidence"].items()},
                "where": end.name,
            }
        )
    return found


def _culprit(finding: Row, role: str) -> str:
    """Who a finding of one end speaks of: what the source sees of a request is mostly not its own fault."""
    area = finding["id"].partition(".")[0]
    if area == "dns":
        return "names"
    if area == "http" and finding["id"] == "http.slow_phase":
        slowest = finding["evidence"].get("slowest") or {}
        return _PHASES.get(str(slowest.get("phase")), "service")
    return "service" if area in ("http", "tls") else role
