# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The table at the end of an audit, on terminals of any width."""

from __future__ import annotations

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_markdown, as_terminal
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width
from ansible_collections.nettriage.linux.tests.unit.report_fleets import HOSTILE, evil, finding, fleet, host


def lines_of(report: Fleet, columns: int = 79, lines: int = 40) -> list[str]:
    return [line for line, __ in as_terminal.table(report, columns, lines)]


@pytest.mark.parametrize("columns", [20, 40, 79, 120])
@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_cannot_break_out_of_the_terminal(text: str, columns: int) -> None:
    shown = lines_of(evil(text), columns)
    assert all(line.isprintable() for line in shown)
    assert max(map(width, shown)) <= columns


@pytest.mark.parametrize("count", [0, 1, 2, 7, 30, 200])
@pytest.mark.parametrize("lines", [8, 20, 40])
@pytest.mark.parametrize("kinds", [0, 1, 25])
@pytest.mark.parametrize("columns", [30, 79])
def test_the_table_is_bounded_and_says_what_it_left_out(columns: int, count: int, lines: int, kinds: int) -> None:
    found = [finding("x", name=f"tcp.kind_{number}") for number in range(kinds)]
    report = fleet(*(host(f"host{number:03}", *found) for number in range(count)))
    shown = lines_of(report, columns, lines)
    assert len(shown) <= lines
    assert max(map(width, shown)) <= columns
    if kinds + 5 > lines:
        assert "see the report" in shown[-1] or not count
    if count:
        assert str(count) in shown[0]
    if count and kinds == 1:
        assert "host000" in "\n".join(shown)


def test_what_many_hosts_have_is_told_once() -> None:
    leaks = [finding(f"worker[{number}]") for number in range(200)]
    report = fleet(*(host(f"web{number:03}.example.net", each) for number, each in enumerate(leaks)), host("ok1"))
    shown = lines_of(report)
    told = "\n".join(shown)
    assert "critical     200 hosts  Title of worker[…]" in told
    assert "do: Advice worker[…]" in told
    assert "on web000.example.net, web001.example.net and 198 more" in told
    assert "ok           ok1        nothing found" in told
    assert len(shown) < 12


def test_with_less_room_each_finding_is_one_line() -> None:
    found = [finding(f"10.0.0.{number}:80", name=f"tcp.kind_{number}") for number in range(6)]
    report = fleet(*(host(f"web{number}", *found) for number in range(30)))
    advised, told, brief = (lines_of(report, lines=lines) for lines in (40, 18, 14))
    assert "do:" in "\n".join(advised)
    assert "do:" not in "\n".join(told) and "on web0, web1" in "\n".join(told)
    assert [line for line in brief if line.startswith("critical")] == brief[-6:]
    assert brief[-1].startswith("critical     30 hosts  Title of 10.0.0.")


def test_other_severities_and_programs_are_told_apart() -> None:
    report = fleet(
        host("a", finding("nginx")), host("b", finding("redis")), host("c", finding("nginx", severity="warning"))
    )
    rows = [line.split()[:2] for line in lines_of(report) if "Title" in line]
    assert rows == [["critical", "a"], ["critical", "b"], ["warning", "c"]]


def test_hosts_that_are_fine_are_one_line() -> None:
    shown = lines_of(fleet(*(host(f"web{number}") for number in range(50))))
    assert shown[-1] == "ok           50 hosts  nothing found"


def test_a_narrow_terminal_has_the_host_on_a_line_of_its_own() -> None:
    shown = lines_of(fleet(host("web.example.net", finding("nginx")), host("b")), columns=40)
    at = shown.index("critical: web.example.net")
    assert shown[at + 1 : at + 3] == ["  Title of nginx", "  do: Advice nginx"]
    assert shown[-2:] == ["ok: b", "  nothing found"]


def test_what_could_not_be_seen_is_said_everywhere() -> None:
    one, many = fleet(host("web")), fleet(host("web"), host("db"))
    assert "not seen: sockets: owners of web" in "\n".join(lines_of(one))
    assert "Not everything could be seen on 2 hosts" in "\n".join(lines_of(many))
    assert "**Not seen:** web: sockets: owners of web" in "".join(as_markdown.lines(one, "Audit"))


def test_the_table_names_worst_first_with_advice_where_there_is_room() -> None:
    shown = "\n".join(
        lines_of(fleet(host("good"), host("bad", finding("10.0.0.5:5432")), host("gone", error="No route")))
    )
    assert shown.startswith("3 hosts: 1 critical, 1 unreachable, 1 ok")
    assert shown.index("bad") < shown.index("No route") < shown.index("nothing found")
    assert "Title of 10.0.0.5:5432" in shown and "do: Advice" in shown
