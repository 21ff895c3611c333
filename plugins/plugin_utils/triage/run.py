# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what the hosts registered to the verdicts on all pairs, worst first. Private to this collection."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MISSHAPEN
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Pairs
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import pair
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.ends import End, Row
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import Verdict, catalogue, reach


def verdicts(
    results: Mapping[str, Mapping[str, Any]],
    pairs: Pairs,
    addresses: Addresses,
    limits: Mapping[str, Any],
    asked: Row,
    forks: int,
) -> list[Verdict]:
    """The verdict on every pair, one for each address of a destination.

    :param asked: what the operator asked for: ``port``, ``url``, ``names``.
    :param forks: how many hosts are looked at at the same time.
    :raises RuleError: *limits* cannot be used.
    """
    own, rules = Catalogue(limits), catalogue(limits)
    ends: dict[str, End] = {}

    def end(name: str) -> End:
        if name not in ends:
            ends[name] = End(name, results.get(name), own, name in pairs.outside)
        return ends[name]

    found = []
    for source, destination in pairs.all():
        for address in addresses.of(destination):
            own_addresses = addresses.of(source)
            try:
                found.append(_reached(end(source), end(destination), address, own_addresses, rules, asked))
            except MISSHAPEN:
                ends_unseen = (End.misshapen(source), End.misshapen(destination))
                found.append(_reached(*ends_unseen, address, own_addresses, rules, asked))
    if len(results) > forks:
        # Counters of the one end are compared with what the other one did.
        apart = f"only {forks} of {len(results)} hosts were looked at at the same time: run it with -f {len(results)}"
        found = [replace(verdict, unseen=[*verdict.unseen, apart]) for verdict in found]
    return sorted(found, key=lambda verdict: verdict.rank)


def _reached(
    source: End, destination: End, address: str, own_addresses: list[str], rules: Catalogue, asked: Row
) -> Verdict:
    facts = pair.facts(source, destination, address, own_addresses, asked.get("port"), asked.get("url"))
    return reach(source, destination, facts, rules, address, asked)


def as_json(found: Sequence[Verdict], heading: str, generated: str, version: str) -> Iterator[str]:
    """The document for programs, one pair a line."""
    head = {"title": heading, "generated": generated, "collection_version": version}
    yield json.dumps(head)[:-1] + ', "pairs": ['
    before = "\n"
    for verdict in found:
        yield before + json.dumps(asdict(verdict), separators=(",", ":"))
        before = ",\n"
    yield "\n]}\n"
