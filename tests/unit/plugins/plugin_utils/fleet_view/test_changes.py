# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is new, gone, worse and better since the report before; whatever file it finds."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Host, join, verdict_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import changes, former, stable
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_json


def finding(name: str, subject: str = "host", severity: str = "warning") -> dict[str, Any]:
    return {"id": name, "severity": severity, "layer": "4", "subject": subject, "title": f"{name} {subject}"}


def report(path: Path, facts: str = '{"meta":{}}', **hosts: list[dict[str, Any]] | None) -> Path:
    rows = [
        Host(name, "unreachable", error="gone") if found is None else Host(name, verdict_of(found), found, facts)
        for name, found in hosts.items()
    ]
    path.write_text("".join(as_json.lines(join(rows, "2024-01-01T00:00:00Z", "1"), "Audit")), errors="surrogatepass")
    return path


def test_everything_that_changed_is_told(tmp_path: Path) -> None:
    before = report(
        tmp_path / "report.json",
        a=[finding("gone"), finding("worse"), finding("better", severity="critical"), finding("same")],
        b=[finding("x")],
        c=[],
        d=None,
    )
    found = changes(
        former(str(before)),
        {
            "a": [finding("new"), finding("worse", severity="critical"), finding("better"), finding("same")],
            "b": None,
            "d": [finding("x")],
            "e": [],
        },
    )
    assert found.since == "2024-01-01T00:00:00Z" and found.why is None and found.any
    told = {
        kind: [(row.host, row.id, row.before, row.severity) for row in getattr(found, kind)]
        for kind in ("new", "worse", "better", "gone")
    }
    assert told == {
        "new": [("a", "new", None, "warning")],
        "worse": [("a", "worse", "warning", "critical")],
        "better": [("a", "better", "critical", "warning")],
        "gone": [("a", "gone", "warning", None)],
    }
    assert (found.appeared, found.vanished, found.lost) == (["e"], ["c"], ["b"])
    assert found.totals == dict.fromkeys(("new", "worse", "better", "gone", "appeared", "vanished", "lost"), 1)


@pytest.mark.parametrize(
    ("then", "now"),
    [
        ("app[123] (app.service)", "app[77] (app.service)"),
        ("app[1, 2, 3 and 5 more]", "app[9]"),
        ("cp[3] to 10.0.0.2:40001, 10.0.0.3:51234", "cp[4] to 10.0.0.2:40002, 10.0.0.3:60000"),
        ("worker (3f4e5d6c7b8a9f0e1d2c)", "worker (0a1b2c3d4e5f6a7b8c9d)"),
    ],
)
def test_what_changes_by_itself_is_no_change(tmp_path: Path, then: str, now: str) -> None:
    assert stable(then) == stable(now)
    before = former(str(report(tmp_path / "r", a=[finding("x", then)])))
    assert not changes(before, {"a": [finding("x", now)]}).any


@pytest.mark.parametrize("one", ["10.0.0.1:443", "[2001:db8::1]:8080", "eth0", "10.0.0.1:32768"])
def test_what_a_finding_is_about_makes_it_another(tmp_path: Path, one: str) -> None:
    assert stable(one) == (one if not one.endswith("32768") else "10.0.0.1:*")
    found = changes(former(str(report(tmp_path / "r", a=[finding("x", one)]))), {"a": [finding("x", "eth9")]})
    assert (len(found.new), len(found.gone)) == (1, 1)


def test_the_worst_destination_of_a_host_may_be_another_one(tmp_path: Path) -> None:
    before = former(str(report(tmp_path / "r", a=[finding("tcp.retransmits", "10.0.0.1:443")])))
    assert not changes(before, {"a": [finding("tcp.retransmits", "10.0.0.9:22")]}).any


def test_without_a_report_before_nothing_is_compared(tmp_path: Path) -> None:
    found = changes(former(str(tmp_path / "none")), {"a": [finding("x")]})
    assert found.since is None and found.why == "there is no report of a former run to compare with" and not found.any


GOOD = "".join(
    as_json.lines(join([Host("a", "warning", [finding("x")], '{"meta":{}}'), Host("b", "ok")], "2024", "1"), "T")
)


@pytest.mark.parametrize(
    "content",
    [
        "", "{}", "[]", "null", "x", "\x00", GOOD[:-20], GOOD[: GOOD.index('"b"') + 5], '{"hosts": {}}',
        GOOD.replace('"severity":"warning"', '"severity":"bad"'), GOOD.replace('"findings":[{', '"findings":[7,{'),
        GOOD.replace('"verdict":"warning"', '"verdict":'), json.dumps(json.loads(GOOD)),
        json.dumps(json.loads(GOOD), indent=1),
        ' "hosts": {\n' + "[" * 100000,
    ],
)  # fmt: skip
def test_a_damaged_or_foreign_file_is_one_sentence(tmp_path: Path, content: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(content)
    found = changes(former(str(path)), {"a": []})
    assert found.since is None and found.why and "\n" not in found.why and not found.any
    assert found.why.startswith("the report before cannot be compared with: it is damaged")


def test_bytes_that_are_no_text_and_a_directory_are_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "raw").write_bytes(b"\xff\xfe\x00" * 50)
    assert former(str(tmp_path / "raw")).why and former(str(tmp_path)).why


@given(st.integers(0, len(GOOD)), st.text(max_size=5))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_damage_anywhere_is_survived(tmp_path: Path, where: int, instead: str) -> None:
    path = tmp_path / "report.json"
    path.write_text(GOOD[:where] + instead + GOOD[where + len(instead) :], errors="replace")
    found = former(str(path))
    assert found.why is None or "\n" not in found.why


def test_a_large_report_is_read_line_by_line(tmp_path: Path) -> None:
    """Facts of 50 KB a host are never all in memory, nor parsed."""
    facts = json.dumps({"meta": {}, "x": "y" * 50000})
    path = report(tmp_path / "r", facts, **{f"h{number}": [finding("x", f"s{number}")] for number in range(400)})
    assert path.stat().st_size > 20_000_000
    tracemalloc.start()
    assert len(former(str(path)).hosts) == 400
    __, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 2_000_000
