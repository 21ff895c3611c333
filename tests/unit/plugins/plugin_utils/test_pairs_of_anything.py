# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A host that answers anything takes nothing from what the others say of each other."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import matrix
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Pairs
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import run

_OWN = {"a": "192.0.2.1", "b": "192.0.2.2", "c": "192.0.2.3"}
_PAIRS = Pairs("all", "all", lambda pattern: list(_OWN))
_ADDRESSES = Addresses({name: {"ansible_host": address} for name, address in _OWN.items()}, "address")


def _fine() -> dict[str, Any]:
    paths = [
        {"target": address, "address": address, "reached": True, "loss": 0.0, "lost": 0, "sent": 40}
        for address in _OWN.values()
    ]
    return {"meta": {"kernel": "6.1.0"}, "path": {"paths": paths}}


def _results(anything: dict[str, Any]) -> dict[str, Any]:
    facts = {"a": {**_fine(), **anything}, "b": _fine(), "c": _fine()}
    return {name: {"ansible_facts": {"nettriage": json.dumps(each)}} for name, each in facts.items()}


@pytest.mark.parametrize(
    "anything",
    [
        {"path": "x"},
        {"path": {"paths": [{"target": "192.0.2.2", "rtt_ms": "x", "reached": True}]}},
        {"path": {"paths": [{"target": "192.0.2.2", "loss": "x", "lost": [], "sent": {}, "reached": True}]}},
        {"path": {"paths": [{"loss": 0, "hops": [7]}]}},
        {"meta": {"kernel": 6}, "sysctl": {"values": {"net.core.somaxconn": 1}}},
        {"peers": {"targets": [{"target": "192.0.2.2", "route": "x"}]}, "nic": {"interfaces": [{"name": []}]}},
        {"sockets": {"tcp": {"listeners": [{"address": 7, "port": "x"}]}}},
    ],
)
def test_the_others_are_looked_at_all_the_same(anything: dict[str, Any]) -> None:
    results = _results(anything)
    mesh = matrix.made(results, _PAIRS, _ADDRESSES, {}, {}, ("2024-01-01T00:00:00Z", "0.1.0"))
    assert {("b", "c"), ("c", "b")} <= {pair for pair, cell in mesh.pairs.items() if cell.verdict == "ok"}
    json.dumps([cell.rank for cell in mesh.cells])
    found = run.verdicts(results, _PAIRS, _ADDRESSES, {}, {}, 5)
    assert len(found) == 6
    healthy = run.verdicts(_results({}), _PAIRS, _ADDRESSES, {}, {}, 5)
    for pair in (("b", "c"), ("c", "b")):
        verdicts = [
            [each.verdict for each in rows if (each.source, each.destination) == pair] for rows in (found, healthy)
        ]
        assert verdicts[0] == verdicts[1]
