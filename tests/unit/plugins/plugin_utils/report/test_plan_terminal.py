# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.plan_terminal import shown, table
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width

PLANNED: dict[str, Any] = {
    "status": "planned",
    "remedy": "accept_backlog",
    "key": "net.core.somaxconn",
    "current": 128,
    "proposed": 4096,
    "why": "the accept queue of 0.0.0.0:80 is as long as somaxconn allows, and a good deal more is said here",
    "restart_needed": ["nginx.service"],
    "memory_cost": 3 << 20,
    "risk": "low",
    "refused": None,
    "command": None,
    "owner": None,
}
REFUSED = {
    **PLANNED,
    "status": "refused",
    "remedy": "buffers",
    "refused": "no bandwidth is known",
    "command": "ss -tin",
    "owner": "a[1]",
}


def test_a_plan_for_people() -> None:
    lines = [line for line, __ in table({"web": [PLANNED, REFUSED], "db": []}, 80)]
    text = "\n".join(lines)
    assert lines[0] == "web: 1 change planned"
    assert "net.core.somaxconn: 128 -> 4096" in text
    assert "after a restart of nginx.service" in text
    assert "3.0 MiB" in text
    assert "refused buffers: no bandwidth" in text
    assert "whose: a[1]" in text and "see: ss -tin" in text
    assert lines[-1] == "db: nothing to change"


def test_what_was_asked_for_by_name_is_shown() -> None:
    settings: dict[str, dict[str, Any]] = {
        "web": {"net.core.somaxconn": 4096, "net.ipv4.tcp_rmem": [1, 2, 3]},
        "db": {"a\x1b.b": 1},
    }
    lines = [line for line, __ in table({"web": [PLANNED], "db": []}, 80, settings)]
    assert lines[0] == "web: 1 change planned, 1 setting asked for by name"
    assert "  set      net.ipv4.tcp_rmem = 1 2 3" in lines
    assert "db: 1 setting asked for by name" in lines
    assert sum("somaxconn:" in line for line in lines) == 1


def test_the_same_plan_is_told_once() -> None:
    plans = {f"web{number}": [PLANNED, REFUSED] for number in range(200)}
    lines = [line for line, __ in table({**plans, "db": []}, 80)]
    assert lines[0] == "200 hosts: 1 change planned"
    assert lines[1].startswith("  on web0, web1, ") and lines[1].endswith(" more")
    assert sum("somaxconn:" in line for line in lines) == 1
    assert lines[-1] == "db: nothing to change"


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_is_wider_than_the_terminal(columns: int) -> None:
    hostile = {**PLANNED, "why": "x\x1b[31m" * 60, "restart_needed": ["bad\nname" * 30]}
    for line, __ in table({"host" * 30: [hostile, REFUSED]}, columns):
        assert width(line) <= columns
        assert line.isprintable()


@pytest.mark.parametrize(
    ("value", "text"), [([4096, 131072, 6291456], "4096 131072 6291456"), ("", "(empty)"), (None, "(empty)"), (1, "1")]
)
def test_values_as_sysctl_prints_them(value: Any, text: str) -> None:
    assert shown(value) == text


def test_what_no_remedy_is_about_names_none() -> None:
    row = {**REFUSED, "remedy": "none", "refused": "no setting cures tcp.send_queue: the peer does not read"}
    lines = [line for line, __ in table({"web": [row]}, 80)]
    assert lines[1] == "  refused no setting cures tcp.send_queue: the peer does not read"
