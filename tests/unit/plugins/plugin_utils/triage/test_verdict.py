# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What both ends saw, joined to one verdict. What the lab shows with real faults is not repeated here."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue, RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import as_markdown, as_terminal, pair, run
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.ends import End
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage.verdict import Verdict, catalogue, reach

A, B, PORT = "10.0.1.1", "10.0.2.2", 5432
OWN = Catalogue()
RULES = catalogue({})


def end(**subsets: Any) -> dict[str, Any]:
    return {"meta": {"schema": 1}, **subsets}


def source(**changes: Any) -> dict[str, Any]:
    """A source that sees nothing wrong; *changes* replace parts of what it sees."""
    target = {
        "target": B,
        "address": B,
        "family": "ipv4",
        "error": None,
        "route": {"interface": "eth0", "gateway": "10.0.1.254", "error": None},
        "link": {"name": "eth0", "admin_up": True, "carrier": True, "mtu": 1500, "kind": None},
        "neighbour": {"address": "10.0.1.254", "state": "reachable"},
        "links_down": [],
        **changes.pop("target", {}),
    }
    path = {
        "target": B,
        "address": B,
        "reached": True,
        "loss": 0.0,
        "lost": 0,
        "sent": 40,
        "rtt_ms": {"best": 0.2, "median": 0.3, "worst": 0.9},
        "hops": [{"hop": 1, "addresses": ["10.0.1.254"], "sent": 4}],
        **changes.pop("path", {}),
    }
    place = {
        "address": B,
        "outcome": "ok",
        "ok": 3,
        "runs": 3,
        "connect_ms": {"median": 0.4, "max": 0.6},
        "error": None,
    }
    place.update(changes.pop("connect", {}))
    peers = {"targets": [target], "clients": [], "connections": [], "states": {}, "limited": []}
    peers.update(changes.pop("peers", {}))
    return end(
        peers=peers,
        path={"available": True, "paths": [path]},
        pmtu={"available": True, "paths": [{"target": B, "verdict": "clean", "path_mtu": 1500}]},
        http={"urls": [], "targets": [{"target": f"{B}:{PORT}", "port": PORT, "addresses": [place]}]},
        **changes,
    )


def destination(**changes: Any) -> dict[str, Any]:
    """A destination that serves the port and sees nothing wrong."""
    listener = {
        "address": "0.0.0.0",
        "port": PORT,
        "accept_queue": 0,
        "accept_queue_before": 0,
        "backlog": 128,
        "drops_delta": 0,
        "processes": [{"pid": 7, "command": "postgres"}],
        **changes.pop("listener", {}),
    }
    back = {
        "address": A,
        "route": {"interface": "ens5", "gateway": "10.0.2.254", "error": None},
        "link": {"name": "ens5", "admin_up": True, "carrier": True, "mtu": 1500},
    }
    peers = {"targets": [], "clients": [back], "listeners": [listener], "connections": [], "states": {}, "limited": []}
    peers.update(changes.pop("peers", {}))
    return end(peers=peers, **changes)


def judged(here: dict[str, Any], there: dict[str, Any] | None, port: int | None = PORT, **asked: Any) -> Verdict:
    ends = [
        End("web", {"ansible_facts": {"nettriage": here}}, OWN, False),
        End("db", {"ansible_facts": {"nettriage": there}} if there else None, OWN, there is None),
    ]
    facts = pair.facts(ends[0], ends[1], B, [A], port, asked.get("url"))
    return reach(ends[0], ends[1], facts, RULES, B, {"port": port, **asked})


def nic(name: str, **errors: int) -> dict[str, Any]:
    known = {"crc": 0, "missed": 0, "fifo": 0, "no_buffer": 0, **errors}
    return {"available": True, "interfaces": [{"name": name, "errors_delta": known, "delta": {}, "counters": {}}]}


def test_every_rule_compiles_to_the_last_sentence() -> None:
    for rule in RULES.rules:
        rule.check()


def test_a_pair_that_is_well() -> None:
    found = judged(source(), destination())
    assert (found.verdict, found.layer, found.culprit) == ("healthy", None, None)
    assert [layer.state for layer in found.layers] == ["ok", "ok", "ok", "not judged"]
    assert any("postgres[7]" in told for told in found.layers[2].told)


TABLE = {"in_use": True, "count": 1000, "max": 1000, "usage": 1.0, "delta": {"drop": 30}}
SILENT: dict[str, Any] = {"reached": False, "loss": None, "lost": 0, "sent": 0, "rtt_ms": {}}
FILTERED = {"outcome": "filtered", "ok": 0, "connect_ms": None}


@pytest.mark.parametrize(
    ("here", "there", "layer", "culprit", "finding"),
    [
        ({"path": SILENT, "connect": FILTERED, "conntrack": TABLE}, {}, "3", "source", "triage.conntrack_full"),
        ({"path": SILENT, "connect": FILTERED}, {"conntrack": TABLE}, "3", "destination", "triage.conntrack_full"),
        ({"path": SILENT, "connect": FILTERED}, {}, "3", "path", "triage.silent"),
        (
            {
                "path": SILENT,
                "connect": FILTERED,
                "target": {"neighbour": {"address": "10.0.1.254", "state": "failed"}},
            },
            {},
            "3",
            "path",
            "triage.next_hop",
        ),
        (
            {"path": {**SILENT, "refusal": "host unreachable", "refused_by": "10.0.9.9"}, "connect": FILTERED},
            {},
            "3",
            "path",
            "triage.way_refused",
        ),
        ({"path": {"loss": 0.2, "lost": 8}}, {"nic": nic("ens5", missed=70)}, "3", "destination", "triage.loss"),
        ({"path": {"loss": 0.2, "lost": 8}}, {"nic": nic("ens5")}, "3", "path", "triage.loss"),
        ({"connect": {"outcome": "refused", "ok": 0}}, {}, "4", "path", "triage.refused"),
        ({"connect": FILTERED}, {"peers": {"states": {"syn_recv": 3}}}, "4", "path", "triage.filtered"),
        ({"connect": {"outcome": "prohibited", "error": "No"}}, {}, "4", "path", "triage.rejected"),
        (
            {"connect": {"connect_ms": {"median": 0.3, "max": 1004.0}}},
            {"listener": {"drops_delta": 1}},
            "4",
            "path",
            "triage.slow_connect",
        ),
    ],
)
def test_who_is_named(here: dict[str, Any], there: dict[str, Any], layer: str, culprit: str, finding: str) -> None:
    found = judged(source(**here), destination(**there))
    assert (found.layer, found.culprit, found.finding) == (layer, culprit, finding), found


def test_a_lossy_probe_is_no_verdict() -> None:
    """One of forty is chance, and nothing is said of it."""
    assert judged(source(path={"loss": 0.025, "lost": 1}), destination()).verdict == "healthy"


def test_a_firewall_that_swallows_probes_is_no_layer_3() -> None:
    """The port answers, so packets get there."""
    found = judged(source(path=SILENT), destination())
    assert found.verdict == "healthy"
    assert any("it answers on port 5432" in told for told in found.layers[1].told)


def test_retransmits_of_connections_that_stand() -> None:
    """The source repeats segments and the destination's interface has dropped: it is the destination."""
    row = {"state": "established", "local": f"{A}:40000", "peer": f"{B}:{PORT}"}
    here = {**row, "retransmitted_delta": 50, "segments_delta": 1000}
    there = {**row, "local": row["peer"], "peer": row["local"], "out_of_order_delta": 40}
    found = judged(
        source(peers={"connections": [here]}),
        destination(peers={"connections": [there]}, nic=nic("ens5", fifo=60)),
    )
    assert (found.finding, found.culprit) == ("triage.retransmits", "destination")
    assert found.evidence["source"] == {"retransmitted": 50, "segments": 1000, "connections": 1}
    assert found.evidence["destination"]["out_of_order"] == 40


def test_what_the_destination_has_by_itself_is_told_beside() -> None:
    """Errors of the interface on the way are below; those of another one are not this pair's."""
    errors = {"error_ratio": 0.01, "virtual": False}
    own = nic("ens5", crc=90)
    own["interfaces"][0].update(errors)
    other = nic("ens9", crc=90)
    other["interfaces"][0].update(errors)
    refused = {"connect": {"outcome": "refused", "ok": 0}}
    found = judged(source(), destination(nic=own))
    assert (found.layer, found.culprit, found.verdict) == ("1/2", "destination", "suspicious")
    assert judged(source(), destination(nic=other)).verdict == "healthy"
    broken = judged(source(**refused), destination(nic=own))
    assert (broken.layer, broken.finding) == ("1/2", "nic.physical_errors")


def test_the_source_was_not_looked_at() -> None:
    ends = End("web", {"unreachable": True, "msg": "no route to host"}, OWN, False), End("db", None, OWN, True)
    found = reach(*ends, {}, RULES, B, {"port": PORT})
    assert found.verdict == "unknown" and "no route to host" in found.sentence


def test_without_a_port_layer_4_is_not_judged() -> None:
    found = judged(source(), None, None)
    assert [layer.state for layer in found.layers] == ["ok", "ok", "not judged", "not judged"]
    assert "triage_port" in found.layers[2].told[0]
    assert found.unseen == ["db was not looked at: it is not in the inventory"]


def test_a_wrong_limit_is_named() -> None:
    with pytest.raises(RuleError, match="no_such_limit"):
        catalogue({"no_such_limit": 1})


def test_what_is_shown_fits_and_is_harmless() -> None:
    """Names come from hosts: no control character reaches the terminal, and Markdown shows exactly them."""
    processes = [{"pid": 7, "command": "a|b\x1b[31m"}]
    full = {"accept_queue": 129, "accept_queue_before": 129, "drops_delta": 9, "processes": processes}
    found = [judged(source(connect=FILTERED), destination(listener=full))] * 30
    shown = [line for line, __ in as_terminal.table(found, 80, 40)]
    assert max(len(line) for line in shown if "next, on" not in line) <= 80
    assert len(shown) <= 45 and "more pair" in shown[-1]
    assert "\x1b" not in "".join(shown) and "does not accept()" in " ".join("\n".join(shown).split())
    assert "a\\|b" in "".join(as_markdown.lines(found, "t", "now", "1"))
    assert len(json.loads("".join(run.as_json(found, "t", "now", "1")))["pairs"]) == 30
