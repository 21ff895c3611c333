# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fleets for the page: facts as hosts send them, judged by the collection's own rules."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.audit import Judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, join
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import (
    Change,
    Changes,
    Dependencies,
    Dependency,
    FleetFinding,
    Joined,
    Listener,
    Outlier,
    Part,
)
from ansible_collections.nettriage.linux.tests.bench.findings import busy_host

GENERATED = "2026-01-31T12:00:00Z"
GROUPS = ("web", "database", "queue", "storage", "edge")
OVERRIDDEN = {
    "key": "net.core.somaxconn",
    "value": "4096",
    "file": "/etc/tuned/throughput/tuned.conf",
    "line": 12,
    "other_value": "128",
    "by": "tuned",
    "at_boot": True,
}
Page = Callable[[str], str]
# Whatever a host, a process or an inventory may call itself.
HOSTILE = (
    "<img src=x onerror=alert(1)>",
    "</script><script>document.title='broken'</script>",
    "--><!--<script>",
    "]]>&lt;b&gt;",
    "gnp.\u202eexe\u2066",
    "\x1b[2Jclear",
    "' onfocus='alert(1)",
    "javascript:alert(1)",
    "__proto__",
    "日本語" * 20,
    "x" * 300,
)


def fleet(hosts: int, rows: int | None = None) -> Fleet:
    """So many hosts: a third of a small fleet in trouble, of a large one less, and a few that could not be reached."""
    judge = Judge(rows or min(10, 4000 // max(1, hosts)))
    found = list(_hosts(judge, hosts))
    return join(found, GENERATED, "0.1.0", together([host.name for host in found]) if hosts > 1 else Joined())


def hostile() -> Fleet:
    """Hosts whose every text tries to break out of the page."""
    judge = Judge(2)
    found = []
    for number, text in enumerate(HOSTILE):
        facts = _named(busy_host(), text)
        found.append(judge.host(f"{text}{number}", _registered(facts), {}, [], [text, "web"]))
        found.append(Host(f"gone {text}", "unreachable", error=text, groups=[text]))
    return join(found, GENERATED, "0.1.0", together([host.name for host in found], HOSTILE[1]))


def together(names: Sequence[str], text: str = "10.0.1.9:5432") -> Joined:
    """What the hosts *names* tell together; *text* is whatever they choose themselves."""
    process = {"pid": 812, "command": text, "unit": None, "container": None}
    parts = [
        Part(
            names[0],
            "far",
            "tcp.accept_queue",
            "critical",
            text,
            f"The accept queue of {text} is full",
            {"backlog": 16},
        ),
        Part(names[1], "near", "tcp.syn_sent_stuck", "warning", text, f"{text} does not answer", {text: 3}),
    ]
    finding = FleetFinding(
        "fleet.accept_queue",
        "critical",
        "4",
        names[0],
        text,
        f"{text} on {names[0]} is too slow for {len(names) - 1} hosts",
        {"waiting": 129},
        f"Whoever connects to {text} waits.",
        [f"Look at {text}."],
        f"ss -ltn '{text}'",
        list(names[:2]),
        len(names),
        parts,
        2,
    )
    pairs = list(zip(names, names[1:]))[:50]
    rows = [
        Dependency(
            here, [process], there, (), "10.0.1.9", 5432, Listener("::", 5432, [process]), 40, {}, 0.4, 0.02, None
        )
        for here, there in pairs
    ]
    unclear = Dependency(names[0], [], None, names[:2], "10.0.1.9", 53, None, 1, {"syn_sent": 1}, None, None, text)
    outlier = Outlier(
        "fleet.setting_differs",
        "warning",
        "4",
        text,
        "net.ipv4.tcp_rmem",
        [names[1]],
        1,
        [4096, 9],
        [4096, 7],
        9,
        10,
        text,
    )
    changes = Changes(
        since="2026-01-30T12:00:00Z",
        new=[Change(names[0], "tcp.accept_queue", text, f"The accept queue of {text} is full", "critical", None)],
        worse=[Change(names[1], "tcp.syn_sent_stuck", text, f"{text} does not answer", "critical", "warning")],
        gone=[Change(names[1], "nic.link_down", "eth0", f"{text} is down", None, "warning")],
        vanished=[text],
        totals={"new": 1, "worse": 1, "better": 0, "gone": 1, "appeared": 0, "vanished": 1, "lost": 0},
    )
    found = Dependencies([*rows, unclear], len(rows) + 1, 1, 7)
    return Joined(found, [finding], 1, [outlier], 1, changes)


def _hosts(judge: Judge, count: int) -> Iterator[Host]:
    """Hosts of a few kinds: each kind is judged once."""
    kinds: dict[tuple[bool, bool, int], Host] = {}
    for number in range(count):
        group = GROUPS[number % len(GROUPS)]
        name, groups = f"{group}{number:04}.prod.example.net", [group, "north" if number % 3 else "south"]
        if number % 97 == 96:
            why = "connect to host 10.0.0.9 port 22: No route to host"
            yield Host(name, "unreachable", error=why, groups=groups)
            continue
        kind = number % (10 if count > 60 else 3) == 0, number % 16 == 15, number % 4
        if kind not in kinds:
            kinds[kind] = judge.host(name, _registered(_facts(*kind)), {}, [])
        yield replace(kinds[kind], name=name, groups=groups)


def _facts(sick: bool, unplugged: bool, number: int) -> dict[str, Any]:
    facts = busy_host()
    if sick:
        facts["sysctl"]["overridden"] = [OVERRIDDEN]
    else:
        _heal(facts)
    facts["nic"]["interfaces"][1]["carrier"] = not unplugged
    facts["sockets"]["tcp"]["listeners"][-1]["processes"][0]["pid"] = 1000 + number
    return facts


def _heal(facts: dict[str, Any]) -> None:
    """Take the faults out of a busy host."""
    tcp = facts["sockets"]["tcp"]
    for row in tcp["listeners"]:
        row.update(accept_queue=0, accept_queue_before=0, drops_delta=0)
    for row in tcp["destinations"]:
        row.update(ports_used=30, port_usage=0.001, states={"established": 30})
    for row in facts["nic"]["interfaces"]:
        row["carrier"] = True
    for row in tcp["quality"]["destinations"]:
        row.update(retransmitted_delta=0, retransmit_ratio=0.0)
    tcp["quality"]["idle_connections"] = 0
    facts["tcp"]["delta"]["TcpExt"]["ListenOverflows"] = 0
    facts["tcp"]["derived"].update(retransmit_ratio=0.0, retransmitted_segments=0)
    facts["sysctl"]["values"]["net.core.somaxconn"] = 4096


def _registered(facts: dict[str, Any]) -> dict[str, Any]:
    return {"ansible_facts": {"nettriage": json.dumps(facts)}}


def _named(value: Any, text: str) -> Any:
    """*value* with *text* for each text that a host chooses."""
    if isinstance(value, dict):
        chosen = ("command", "unit", "name", "container")
        return {key: text if key in chosen and item else _named(item, text) for key, item in value.items()}
    return [_named(item, text) for item in value] if isinstance(value, list) else value


FLEETS: dict[str, Callable[[], Fleet]] = {
    "one": lambda: fleet(1),
    "six": lambda: fleet(6, rows=3),
    "large": lambda: fleet(2000),
    "hostile": hostile,
    "healthy": lambda: join([Host("a", "ok"), Host("b", "ok")], GENERATED, "0.1.0"),
}
