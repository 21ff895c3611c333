# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every form of the report, with names that try to break out of it."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import (
    as_html,
    as_json,
    as_markdown,
    files,
)
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import view_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_tables import FULL
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean
from ansible_collections.nettriage.linux.tests.unit.report_fleets import (
    HOSTILE,
    PROCESS,
    evil,
    facts,
    finding,
    fleet,
    host,
)


class Page(HTMLParser):
    """The page as a browser reads it."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in ("meta", "br", "input", "rect", "!doctype"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] not in ("script", "style"):
            self.text += data


def page_of(report: Fleet) -> tuple[str, Page]:
    text = "".join(as_html.pieces(report, "Network audit"))
    return text, Page(text)


TAGS = set(page_of(fleet(host("a", finding()), host("b")))[1].tags)


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_cannot_break_out_of_the_page(text: str) -> None:
    raw, page = page_of(evil(text))
    raw.encode()
    assert set(page.tags) <= TAGS and page.tags.count("script") == 2 and page.tags.count("style") == 1
    assert not page.open
    assert not [name for name, __ in page.attributes if name.startswith("on") or name == "style"]
    assert all(str(value).startswith("#") for name, value in page.attributes if name in ("href", "src"))
    assert all(char.isprintable() or char == "\n" for char in raw)
    assert clean(text)[:900].strip() in page.text


def test_the_page_allows_nothing_but_its_own_script_and_style() -> None:
    raw, page = page_of(evil("x"))
    policy = dict(page.attributes)["content"] or ""
    assert "Content-Security-Policy" in raw
    (policy,) = (str(value) for name, value in page.attributes if name == "content" and "default-src" in str(value))
    assert policy.startswith("default-src 'none';") and policy.count("sha256-") == 2
    assert "unsafe" not in policy
    assert "http:" not in raw and "https:" not in raw


def test_the_page_can_be_read_without_eyes_and_mouse() -> None:
    __, page = page_of(
        fleet(host("a", finding()), host("b", finding(layer="3", severity="info")), host("c", error="x"))
    )
    ids = [value for name, value in page.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert {str(value)[1:] for name, value in page.attributes if name == "href"} <= set(map(str, ids))
    assert page.tags.count("h1") == 1 and "h2" in page.tags and "caption" in page.tags
    assert ("lang", "en") in page.attributes
    assert page.tags.count("label") == page.tags.count("select") + page.tags.count("input")
    assert page.attributes.count(("scope", "col")) > 5 and page.attributes.count(("scope", "row")) > 2


def contrast(one: str, other: str) -> float:
    """The contrast ratio of WCAG 2 between two colours."""

    def luminance(colour: str) -> float:
        full = colour if len(colour) == 6 else "".join(char * 2 for char in colour)
        parts = [int(full[at : at + 2], 16) / 255 for at in (0, 2, 4)]
        linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
        return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]

    high, low = sorted((luminance(one), luminance(other)), reverse=True)
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", [0, 1], ids=["light", "dark"])
def test_every_text_has_enough_contrast(theme: int) -> None:
    style = (Path(as_html.__file__).parent / "page" / "page.css").read_text()
    block = style.split(":root {")[theme + 1].split("}")[0]
    colours = dict(re.findall(r"--([a-z-]+): #([0-9a-f]{3,6})", block))
    for name in ("text", "soft", "link", "critical", "warning", "unreachable", "ok", "info"):
        for ground in ("ground", "card"):
            assert contrast(colours[name], colours[ground]) >= 4.5, (name, ground)
    for name in ("critical", "warning", "info"):
        assert contrast(colours[name], colours[f"{name}-soft"]) >= 4.5, name
        assert contrast(colours["on"], colours[name]) >= 4.5, name


def test_two_thousand_hosts_in_trouble_are_a_page_of_ten_megabytes_at_most() -> None:
    kinds = [finding("10.0.0.1:5432", name=f"tcp.kind_{number}") for number in range(12)]
    view = view_of(facts(rows=10), 2)
    hosts = [Host(f"web{number:04}.prod.example.net", "critical", kinds, "{}", view) for number in range(2000)]
    size = sum(len(piece.encode()) for piece in as_html.pieces(fleet(*hosts), "x"))
    assert size <= 10_000_000


@pytest.mark.parametrize("text", HOSTILE)
def test_a_name_cannot_break_out_of_markdown(text: str) -> None:
    """Outside of code spans nothing is left that Markdown or HTML would read, and each line is one of ours."""
    known = ("# ", "## ", "### ", "- **", "| ", "|---", "Not looked at: ", "Hosts: ", "2024-")
    for line in as_markdown.lines(evil(text), "Network audit"):
        assert line.endswith("\n") and line[:-1].isprintable()
        assert line == "\n" or line.startswith(known), line
        spans = re.sub(r"(?<![\\`])(`+)(?!`).*?(?<!`)\1(?!`)", "", line[:-1]) if "**See it:**" in line else line[:-1]
        bare = re.sub(r"\\.|^- \*\*[^*]+\*\*|rule `[^`]*`$", "", spans)
        assert not re.search(r"[`*\[\]<>~]", bare), line
        assert "|" not in (bare if not line.startswith("|") else ""), line


@given(st.text(st.characters(), max_size=30))
def test_markdown_shows_exactly_what_was_said(text: str) -> None:
    escaped = as_markdown.text(text)
    shown = re.sub(r"\\([\\`*{}\[\]|~_])", r"\1", escaped).replace("&lt;", "<").replace("&gt;", ">")
    assert shown.replace("&amp;", "&") == clean(text).strip()


@pytest.mark.parametrize("content", ["a", "`", "a``b", "``` `x` ``", "| x"])
def test_a_code_span_holds_any_backticks(content: str) -> None:
    span = as_markdown.code(content)
    fence = re.match("`+", span)
    assert fence and span.endswith(fence[0]) and fence[0] not in re.split("[^`]+", content)
    assert content in span


@given(st.lists(st.sampled_from(HOSTILE), min_size=1, max_size=3, unique=True))
@settings(max_examples=20, suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_json_is_what_was_found(texts: list[str]) -> None:
    hosts = [host(text or "empty", finding(text), text=text) for text in texts]
    report = json.loads("".join(as_json.lines(fleet(*hosts, host("gone", error="why")), "Title")))
    assert set(report) == {"title", "generated", "collection_version", "fleet", "hosts"}
    assert report["fleet"]["verdicts"]["critical"] == len(texts)
    gone = {"verdict": "unreachable", "groups": [], "findings": [], "error": "why", "facts": facts(rows=1)}
    assert report["hosts"]["gone"] == gone
    for each in hosts:
        record = report["hosts"][each.name]
        assert record["findings"] == list(each.findings) and record["facts"] == json.loads(each.facts_json)


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("port_usage", 0.914, ("port usage", "91.4 %")),
        ("sustainable_connections_per_s", 470, ("sustainable connections", "470 per second")),
        ("rtt_ms", 12.5, ("rtt", "12.5 ms")),
        ("buffer_bytes", 2048, ("buffer", "2 KiB")),
        ("ports_used", 25800, ("ports used", "25 800")),
        ("net.ipv4.tcp_rmem", [4096, 131072], ("net.ipv4.tcp_rmem", "4096 131072")),
        ("pid", 13213, ("pid", "13213")),
        ("tcp_tw_reuse", 2, ("tcp_tw_reuse", "2")),
        ("states", {"close": 0, "established": 2, "time_wait": 7}, ("states", "time_wait 7, established 2")),
        ("processes", [PROCESS], ("processes", "nginx[7] (nginx.service)")),
        ("full", True, ("full", "yes")),
        ("path_mtu_found_bytes", 1400, ("path mtu found", "1400 bytes")),
        ("advised_mss_tcp4_bytes", 1360, ("advised mss tcp4", "1360 bytes")),
    ],
)
def test_evidence_is_written_with_its_units(name: str, value: Any, told: tuple[str, str]) -> None:
    assert evidence({name: value, "absent": None}) == [told]


def walk(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    children = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in children:
        yield (*path, key)
        yield from walk(child, (*path, key))


@pytest.mark.parametrize("damage", [None, [], {}, "x", -1, 1.5, True, [None], {"a": None}])
def test_the_view_survives_facts_of_any_shape(damage: Any) -> None:
    """Each part of the facts in turn is something else than it should be."""
    for path in walk(facts(rows=1)):
        broken: Any = facts(rows=1)
        parent = broken
        for key in path[:-1]:
            parent = parent[key]
        parent[path[-1]] = damage
        view = view_of(broken, 3)
        cells = [cell for table in view.tables for row in table.rows for cell in row]
        assert all(isinstance(cell, str) or 0 <= cell[1] <= FULL for cell in cells)
        json.dumps(view)


def test_the_view_is_bounded_and_tells_what_was_not_seen() -> None:
    view = view_of(facts("eth0"), 3)
    assert [(table.kind, len(table.rows), table.total) for table in view.tables] == [
        ("Sockets by state", 1, 1),
        ("Counters, per second (bars are logarithmic)", 2, 2),
        ("Listeners", 3, 99),
        ("Destinations", 3, 10),
        ("Interfaces", 3, 10),
        ("Settings that another file sets differently", 1, 1),
        ("Network namespaces", 1, 3),
        ("Namespaces in which settings differ", 1, 1),
    ]
    assert view.tables[2].rows[1][:2] == ["[::]:1", ("1 of 4 (25 %)", 250)]
    assert view.unseen == ["sockets: owners of eth0", "conntrack: no eth0"]
    assert ("Up", "10 days") in view.pairs and ("Compared with", "the audit 2.5 hours before") in view.pairs
    assert view.tables[1].rows == [["Tcp.InSegs", ("1 200", 513)], ["Tcp.OutRsts", ("0.5", 29)]]
    assert view.settings == {"net.core.somaxconn": "128", "net.ipv4.tcp_rmem": "1 2", "eth0": "eth0"}


def test_files_are_replaced_at_once_and_left_alone_on_trouble(tmp_path: Path) -> None:
    path = tmp_path / "report.md"
    path.write_text("before")

    def broken() -> Iterator[str]:
        yield "half"
        raise RuntimeError("full disk")

    with pytest.raises(RuntimeError):
        files.replace(str(path), broken())
    assert path.read_text() == "before" and os.listdir(tmp_path) == ["report.md"]
    files.replace(str(path), ["after"])
    assert path.read_text() == "after" and os.listdir(tmp_path) == ["report.md"]
    assert stat.S_IMODE(path.stat().st_mode) & 0o037 == 0


def test_only_the_wanted_files_are_written(tmp_path: Path) -> None:
    where = tmp_path / "a" / "b"
    assert files.write(fleet(host("a")), "T", str(where), ["json"]) == [str(where / "report.json")]
    assert os.listdir(where) == ["report.json"]
