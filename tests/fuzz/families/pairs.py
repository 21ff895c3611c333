# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What two hosts say of each other, of which one says anything: mesh and triage."""

from __future__ import annotations

import json
from typing import Any, Iterable

from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import as_terminal as mesh_terminal
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh import files, matrix
from ansible_collections.nettriage.linux.plugins.plugin_utils.mesh.culprits import culprits
from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import Addresses, Pairs
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import capture_terminal
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width
from ansible_collections.nettriage.linux.plugins.plugin_utils.triage import as_markdown, as_terminal, run
from ansible_collections.nettriage.linux.tests.fuzz.families.report import FACTS, HOSTILE, Choices, Page, damaged, named
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part

_COLUMNS = 79
_OWN = {"a": "192.0.2.1", "b": "192.0.2.2"}
_PAIRS = Pairs("all", "all", lambda pattern: list(_OWN))
_ADDRESSES = Addresses({name: {"ansible_host": address} for name, address in _OWN.items()}, "address")


def _end(peer: str) -> dict[str, Any]:
    """What a host says of the way to *peer*."""
    route = {"interface": "eth0", "gateway": "192.0.2.254", "error": None}
    link = {"name": "eth0", "admin_up": True, "carrier": True, "mtu": 1500, "kind": None}
    hops = [{"hop": 1, "addresses": ["192.0.2.254"], "sent": 4, "lost": 0, "loss": 0.0}]
    rtt = {"best": 0.2, "median": 0.3, "worst": 0.9}
    path = {"target": peer, "address": peer, "family": "ipv4", "reached": True, "loss": 0.2, "lost": 8, "sent": 40}
    place = {"address": peer, "outcome": "ok", "ok": 3, "runs": 3, "connect_ms": {"median": 0.4, "max": 0.6}}
    target = {"target": peer, "address": peer, "family": "ipv4", "error": None, "route": route, "link": link}
    nic = {"name": "eth0", "operstate": "up", "mtu": 1500, "errors_delta": {"rx": 3}, "counters": {"rx_bytes": 5}}
    return {
        "meta": {"schema": 1, "kernel": "6.1.0", "interval_s": 1.0},
        "sockets": {"tcp": {"listeners": [{"address": "0.0.0.0", "port": 443, "accept_queue": 1, "backlog": 5}]}},
        "tcp": {"delta": {"Tcp": {"OutSegs": 9}}},
        "nic": {"interfaces": [nic]},
        "path": {"paths": [{**path, "rtt_ms": rtt, "hops": hops, "loss_from_hop": 1, "loss_from_address": peer}]},
        "pmtu": {"paths": [{"target": peer, "reached": True, "path_mtu": 1400, "verdict": "black_hole"}]},
        "http": {"targets": [{"port": 443, "addresses": [place]}]},
        "peers": {
            "targets": [{**target, "neighbour": {"address": "192.0.2.254", "state": "reachable"}}],
            "clients": [],
        },
    }


def _results(choices: Choices) -> dict[str, Any]:
    facts = damaged(choices, _end(_OWN["b"]))
    if choices.below(4) == 1:
        facts = named(facts, HOSTILE[choices.below(len(HOSTILE))])
    texts = {"a": json.dumps(facts), "b": json.dumps(_end(_OWN["a"]))}
    return {name: {"ansible_facts": {"nettriage": text}} for name, text in texts.items()}


def _lines(lines: Iterable[tuple[str, Any]]) -> None:
    for line, __ in lines:
        if not line.isprintable() or width(line) > _COLUMNS:
            raise Broken(f"a line of the terminal: {line!r}")


def _printable(text: str) -> str:
    if not all(char.isprintable() or char == "\n" for char in text):
        raise Broken("a character that does something")
    return text


def _mesh(data: bytes) -> None:
    choices = Choices(data)
    made = matrix.made(_results(choices), _PAIRS, _ADDRESSES, {}, {}, ("2024-01-01T00:00:00Z", "0.1.0"))
    if ("b", "a") not in made.pairs:
        raise Broken("one host took another's part away")
    found = culprits(made)
    _lines(mesh_terminal.table(made, found, _COLUMNS, 40))
    json.loads("".join(files.document(made, found, "Mesh")))
    _printable("".join(files.markdown(made, found, "Mesh")))
    if choices.below(8) == 1:
        page = Page()
        page.feed(_printable("".join(files.page(made, found, "Mesh"))))
        page.close()


def _triage(data: bytes) -> None:
    asked = {"port": 443, "url": "https://192.0.2.2/", "names": ["b"]}
    found = run.verdicts(_results(Choices(data)), _PAIRS, _ADDRESSES, {}, asked, 5)
    if len(found) != len(_OWN):
        raise Broken("a pair without a verdict")
    _lines(as_terminal.table(found, _COLUMNS, 40))
    _printable("".join(as_markdown.lines(found, "Triage", "2024-01-01T00:00:00Z", "0.1.0")))
    json.loads("".join(run.as_json(found, "Triage", "2024-01-01T00:00:00Z", "0.1.0")))


def _capture(data: bytes) -> None:
    choices = Choices(data)
    result = damaged(choices, FACTS["capture"])
    if choices.below(4) == 1:
        result = named(result, HOSTILE[choices.below(len(HOSTILE))])
    _lines(capture_terminal.table({"a": result, "b": None}, _COLUMNS))


def _decisions() -> Iterable[bytes]:
    return [bytes((0, 1, 0, number % 8, 0, number, 0, 1, 0, number * 3, 0, 1, 0, number, 0, 2)) for number in range(16)]


HARNESS = Harness(
    "pairs",
    {"mesh": Part(_mesh, _decisions), "triage": Part(_triage, _decisions), "capture": Part(_capture, _decisions)},
)
