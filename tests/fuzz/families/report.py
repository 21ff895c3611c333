# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From what a host answered to every form of the report, and the report of an earlier run."""

from __future__ import annotations

import copy
import json
import os
import re
import shlex
import tempfile
from html.parser import HTMLParser
from typing import Any, Iterable
from xml.etree import ElementTree

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.audit import Judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, join
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import former
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.joining import joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_terminal, files
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.files import FORMATS
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import width
from ansible_collections.nettriage.linux.tests.fuzz.harness import FIXTURES, Broken, Harness, Part

HOSTILE = (
    "\x1b[31mred\x1b[0m\x1b]0;x\x07", "a\nb\r\tc", "{{ 7*7 }}", "</script><img src=x onerror=alert(1)>",
    "\u202egnp.exe", "[red]", "\ud800\udcff", "$(id)", "`id`", ";reboot", "' \" \\", "<b>&amp;", "--", "| a | b |",
    "*_~#", "",
)  # fmt: skip
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 1, 2**31, 2**63, 2**80, 10**400, -(10**400), 1.5, 1e308, -0.0, [], {},
    [None], [[]], {"": None}, *HOSTILE,
    "9" * 400, {"address": 1}, [{"name": "lo"}], [{"pid": "x", "command": 7}], "x" * 2000,
)  # fmt: skip
_COLUMNS, _ROWS = 79, 3


def _facts() -> dict[str, Any]:
    """Facts on which most rules fire, from what their own tests use."""
    whole: dict[str, Any] = {"meta": {"kernel": "6.1.0", "uptime_s": 900000, "interval_s": 1.0, "netns": "blue"}}
    folder = os.path.join(FIXTURES, "rules")
    for name in sorted(os.listdir(folder)):
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            for cases in yaml.safe_load(file).values():
                for case in cases.get("fires") or ():
                    _merge(whole, copy.deepcopy(case.get("facts") or {}))
    return whole


def _merge(into: dict[str, Any], more: dict[str, Any]) -> None:
    for name, value in more.items():
        there = into.get(name)
        if isinstance(there, dict) and isinstance(value, dict):
            _merge(there, value)
        elif isinstance(there, list) and isinstance(value, list):
            there += [row for row in value if row not in there][: 4 - len(there)]
        else:
            into.setdefault(name, value)


FACTS = _facts()


class Choices:
    """Decisions that the bytes of an input make; they are all 0 behind its end."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    @property
    def over(self) -> bool:
        return self._at >= len(self._data)

    def below(self, count: int) -> int:
        self._at += 2
        return int.from_bytes(self._data[self._at - 2 : self._at], "big") % max(1, count)


def damaged(choices: Choices, whole: dict[str, Any] | None = None) -> dict[str, Any]:
    """The facts, with a few values exchanged for others, members removed and lists made long."""
    facts = copy.deepcopy(FACTS if whole is None else whole)
    for __ in range(1 + choices.below(4)):
        place: Any = facts
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            if not keys:
                break
            key = keys[choices.below(len(keys))]
            child = place[key]
            if isinstance(child, (dict, list)) and child and choices.below(8):
                place = child
                continue
            kind = choices.below(12)
            if kind == 0 and isinstance(place, dict):
                del place[key]
            elif kind == 1 and isinstance(place, list):
                place += [child] * 60
            else:
                place[key] = copy.deepcopy(_VALUES[choices.below(len(_VALUES))])
            break
        if choices.over:
            break
    return facts


def _elements() -> set[str]:
    """Those that the templates of the page name."""
    folder = os.path.join(os.path.dirname(files.__file__), "page")
    templates = [name for name in os.listdir(folder) if name.endswith(".j2")]
    found = set()
    for name in templates:
        with open(os.path.join(folder, name), encoding="utf-8") as file:
            found.update(re.findall(r"<([a-z][a-z0-9]*)", file.read()))
    return found


_ELEMENTS = _elements()


def named(value: Any, name: str) -> Any:
    """*value* with *name* for every text in it."""
    if isinstance(value, dict):
        return {key: named(item, name) for key, item in value.items()}
    if isinstance(value, list):
        return [named(item, name) for item in value]
    return name if isinstance(value, str) else value


class Page(HTMLParser):
    """What a browser would make of the page."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name.startswith("on") or name == "style" or (name in ("href", "src") and not str(value).startswith("#")):
                raise Broken(f"the page has {name}={value!r}")
        if tag not in _ELEMENTS:
            raise Broken(f"the page has an element {tag}")


_JUDGE = Judge(_ROWS)


def _judged(text: str) -> Fleet:
    judge = _JUDGE
    judge.broken = None
    hosts = [judge.host("web", {"ansible_facts": {"nettriage": text}}, {}, [], ["all"])]
    if judge.broken:
        raise Broken(f"a host made a rule fail: {judge.broken}")
    hosts += [Host("gone", "unreachable", error=text[:200])]
    view = joined(hosts, {"web": "192.0.2.1"}, judge.limits({}, []), former("/nonexistent"))
    return join(hosts, "2024-01-01T00:00:00Z", "0.1.0", view)


def check(fleet: Fleet, formats: Iterable[str] = tuple(FORMATS)) -> None:
    """Every form of the report is one that its readers take, and nothing breaks out of it.

    :raises Broken: one is not.
    """
    for line, __ in as_terminal.table(fleet, _COLUMNS, 40):
        if not line.isprintable() or width(line) > _COLUMNS:
            raise Broken(f"a line of the terminal: {line!r}")
    for name in formats:
        written = "".join(FORMATS[name][1](fleet, "Audit"))
        written.encode("utf-8")
        if name in ("json", "sarif"):
            json.loads(written, parse_constant=_no_constant)
            if not written.isascii() or any(line and not line.isprintable() for line in written.split("\n")):
                raise Broken(f"{name} holds a character that does something")
        elif name == "junit":
            ElementTree.fromstring(written)
        elif name == "html":
            page = Page()
            page.feed(written)
            page.close()
        elif not all(char.isprintable() or char == "\n" for char in written):
            raise Broken(f"{name} holds a character that does something")
    for host in fleet.hosts:
        for finding in host.findings:
            if not finding["command"].isprintable():
                raise Broken(f"the command is no line: {finding['command']!r}")
            shlex.split(finding["command"])


def _no_constant(name: str) -> None:
    raise Broken(f"{name} is no JSON")


def _structure(data: bytes) -> None:
    choices = Choices(data)
    form = list(FORMATS)[choices.below(len(FORMATS))]
    name = HOSTILE[choices.below(len(HOSTILE))] if choices.below(4) == 1 else None
    facts = damaged(choices)
    check(_judged(json.dumps(facts if name is None else named(facts, name))), [form])


def _text(data: bytes) -> None:
    check(_judged(data.decode("utf-8", "surrogatepass" if data[:1] == b"\xed" else "replace")), ["json", "markdown"])


def _former(data: bytes) -> None:
    descriptor, path = tempfile.mkstemp(dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    try:
        os.write(descriptor, data)
        os.close(descriptor)
        before = former(path)
    finally:
        os.unlink(path)
    if before.since is None and not before.why:
        raise Broken("nobody says why there is no comparison")
    view = joined([Host("web", "ok")], {}, Judge(1).limits({}, []), before)
    check(join([Host("web", "ok")], "2024-01-01T00:00:00Z", "0.1.0", view), ["json", "markdown"])


def _reports() -> Iterable[bytes]:
    fleet = _judged(json.dumps({name: FACTS[name] for name in ("meta", "tcp")}))
    yield "".join(FORMATS["json"][1](fleet, "Audit")).encode()


def _decisions() -> Iterable[bytes]:
    # Each of them leads somewhere else in the facts.
    return [bytes((0, 1, 0, 1, 0, number, 0, 1, 0, number * 3, 0, 1, 0, number, 0, 2, 0, 9)) for number in range(16)]


HARNESS = Harness(
    "report",
    {
        "facts": Part(_structure, _decisions),
        "facts as text": Part(
            _text, lambda: [json.dumps({name: FACTS[name] for name in ("meta", "sockets")}).encode()]
        ),
        "earlier report": Part(_former, _reports),
    },
)
