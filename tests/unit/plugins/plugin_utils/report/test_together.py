# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only all hosts together tell, in Markdown, on the terminal and as JSON; bounded, and safe from names."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from typing import Any

import pytest

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
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_json, as_markdown, as_terminal
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width

HOSTILE = [
    "<script>alert(1)</script>",
    "\x1b[2J\x07",
    "line\nbreak\r\n# heading",
    "| a | b |",
    "``` `tick` ``",
    "[link](javascript:alert(1)) **bold** _i_ ~~s~~",
    "gnp.\u202eexe\ud800",
    "日本語" * 30,
    "x" * 3000,
]


def finding(text: str, name: str = "tcp.some") -> dict[str, Any]:
    return {
        "id": name,
        "severity": "critical",
        "layer": "4",
        "subject": text,
        "title": f"Title {text}",
        "evidence": {},
        "cause": f"Cause {text}",
        "advice": [f"Advice {text}"],
        "command": "ss -tn",
    }


def view(text: str, number: int = 1) -> Joined:
    parts = [
        Part(text, end, "tcp.x", "warning", text, f"{end} {text}", {text: text}) for end in ("far", "near")
    ] * number
    problem = FleetFinding(
        "fleet.x",
        "critical",
        "4",
        text,
        text,
        f"All {text}",
        {text: 7},
        text,
        [text],
        text,
        [text],
        1,
        parts,
        len(parts),
    )
    listener = Listener("::", 80, [{"pid": 1, "command": text}])
    row = Dependency(text, [], text, (), "10.0.0.1", 80, listener, 3, {"established": 3}, 1.0, None, text)
    odd = Outlier("nic.slow_link", "warning", "1/2", text, text, [text], 1, 1000, 10000, 4, 5, f"Odd {text}")
    change = Change(text, "tcp.x", text, f"Changed {text}", "critical", None)
    totals = {"new": number, "worse": 0, "better": 0, "gone": 0, "appeared": 1, "vanished": 0, "lost": 0}
    changes = Changes("2023-12-31T00:00:00Z", None, new=[change] * number, appeared=[text], totals=totals)
    return Joined(Dependencies([row], 1, 0, 2), [problem] * number, number, [odd] * number, number, changes)


def fleet(text: str, number: int = 1) -> Fleet:
    return join([Host("a", "critical", [finding("b")], "{}")], "2024-01-01T00:00:00Z", "1", view(text, number))


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_cannot_break_out(text: str) -> None:
    markdown = "".join(as_markdown.lines(fleet(text), "Audit"))
    for line in markdown.splitlines():
        assert line.isprintable()
        spans = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", line) if "**See it:**" in line else line
        bare = re.sub(r"\\.|^- \*\*(?:[^*\\]|\\.)+:\*\*|rule `[^`]*`$", "", spans)
        assert not re.search(r"[`*\[\]<>~]", bare), line
        assert "|" not in bare or line.startswith("|"), line
    shown = [line for line, __ in as_terminal.table(fleet(text), 79, 40)]
    assert all(line.isprintable() for line in shown) and max(map(width, shown)) <= 79
    assert len(shown) <= 40
    read = json.loads("".join(as_json.lines(fleet(text), "Audit")))["fleet"]
    assert {name: read[name] for name in asdict(view(text))} == json.loads(json.dumps(asdict(view(text))))


def test_everything_is_told() -> None:
    markdown = "".join(as_markdown.lines(fleet("web"), "Audit"))
    shown = "\n".join(line for line, __ in as_terminal.table(fleet("web"), 79, 40))
    for said in ("All web", "far web", "near web", "Odd web", "Changed web", "Changed: 1 new, 1 host appeared"):
        assert said in markdown
    for said in ("Several hosts, one problem: All web", "Unlike its peers: Odd web"):
        assert said in shown
    assert "Since 2023-12-31T00:00:00Z: 1 new, 1 host appeared" in shown


def test_nothing_is_told_where_there_is_nothing() -> None:
    alone = join([Host("a", "ok")], "2024-01-01T00:00:00Z", "1")
    text = "".join(as_markdown.lines(alone, "Audit")) + "".join(line for line, __ in as_terminal.table(alone, 79, 40))
    assert not re.search("Several|Unlike|Since|Changed", text)


@pytest.mark.parametrize("lines", [8, 12, 40])
def test_the_table_stays_within_its_lines(lines: int) -> None:
    assert len(list(as_terminal.table(fleet("x" * 500, 9), 79, lines))) <= lines


def test_thousands_of_sick_hosts_are_markdown_for_a_ticket() -> None:
    """And it says how much was left out."""
    rows = [finding("10.0.0.1:5432", f"tcp.kind{number}") for number in range(20)]
    hosts = [Host(f"host{number:04}", "critical", rows, "{}") for number in range(3000)]
    text = "".join(as_markdown.lines(join(hosts, "2024-01-01T00:00:00Z", "1", view("web", 60)), "Audit"))
    assert len(text) < 400_000
    told = text.count("### critical: Title")
    assert 200 <= told <= 250
    hosts_told = text.count("## Host host")
    assert f"## {3000 - hosts_told} more hosts with findings" in text
    assert f"Left out of this file, and in report.json: {(3000 - hosts_told) * 20} findings" in text
    assert "Left out: 8 more findings" in text and "Left out: 50 more such problems" in text


def test_a_few_sick_hosts_are_told_in_full() -> None:
    hosts = [Host(f"host{number}", "critical", [finding("x")] * 12, "{}") for number in range(20)]
    text = "".join(as_markdown.lines(join(hosts, "2024-01-01T00:00:00Z", "1"), "Audit"))
    assert text.count("### critical: Title") == 240 and "Left out" not in text
