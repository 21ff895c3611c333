# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The facts inside of the page."""

from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Host, join
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import page_data
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import view_of


def data(*hosts: Host, findings: int = 10) -> tuple[str, dict[str, Any]]:
    fleet = join(hosts, "", "")
    causes = {cause.id: number for number, cause in enumerate(fleet.causes)}
    text = "".join(page_data.pieces(fleet, causes, findings, 50))
    return text, json.loads(text)


def host(name: str, settings: dict[str, Any] | None = None, **more: Any) -> Host:
    facts = {"sysctl": {"values": settings or {}}}
    return Host(name, "ok", view=view_of(facts, 5), **more)


@pytest.mark.parametrize(
    "text", ["</script><script>", "<!--", "--><!--<script>", "&lt;", "\u2028", "\x00", "\ud800", "\u202e"]
)
def test_no_text_ends_the_element_or_turns_the_direction(text: str) -> None:
    raw, __ = data(host(text, {text: text, "a": text}, error=text, groups=[text]))
    assert not set(raw) & set("<>&\u2028\x00\ud800\u202e")


def test_settings_are_told_once_and_differences_by_host() -> None:
    usual = {"a": 1, "b": [4, 5], "absent": None, "fs.file-nr": [1, 2, 3]}
    __, told = data(host("1", usual), host("2", usual), host("3", {"a": 2}), Host("gone", "unreachable", error="why"))
    assert told["settings"] == [["a", "1"], ["b", "4 5"]]
    own = {each["name"]: each.get("own") for each in told["hosts"]}
    assert own == {"1": {}, "2": {}, "3": {"0": "2", "1": None}, "gone": None}


def test_groups_are_told_by_number() -> None:
    __, told = data(host("a", groups=["web", "db"]), host("b", groups=["db"]))
    assert told["groups"] == ["db", "web"]
    assert [each["groups"] for each in told["hosts"]] == [[1, 0], [0]]


def test_findings_are_bounded_and_the_rest_is_counted() -> None:
    found = [{"id": f"a.{n}", "severity": "info", "layer": "4", "title": "x" * 99} for n in range(5)]
    __, told = data(host("a", findings=found), findings=2)
    (record,) = told["hosts"]
    assert record["more"] == 3
    assert record["findings"] == [["info", "4", n, "x" * 49 + "…"] for n in range(2)]
