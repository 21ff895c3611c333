# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is different since the report before. Private to this collection.

A report.json has one line for each host, with the findings before the facts: so of a fleet's report only one line at a
time is in memory, and facts are never parsed.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Change, Changes
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES, sentence

Finding = Mapping[str, Any]
_ROWS = 200
_HOSTS = 100
_LONGEST_LINE = 1 << 26
_TITLE = 200
# Findings of a whole host: what they name is only the worst of several, and may be another one each time.
_OF_THE_HOST = frozenset(("tcp.retransmits", "tcp.syn_flood", "tcp.syn_queue"))
# Numbers of processes, ports that the kernel chose, long hexadecimal names of containers, and how many were left out.
_VOLATILE = (
    (re.compile(r"\[[\d, ]+(?: and \d+ more)?\]"), ""),
    (re.compile(r"(?<=[\d\]]):(?:3[3-9]\d{3}|32(?:7[7-9]\d|76[89]|[89]\d\d)|[4-6]\d{4})(?!\d)"), ":*"),
    (re.compile(r"\b[0-9a-f]{12,64}\b"), "*"),
    (re.compile(r" and \d+ more\b"), ""),
)


class Was(NamedTuple):
    """A finding of the report before."""

    severity: str
    subject: str
    title: str


Key = tuple[str, str]
"""The id of a finding, and its subject without what changes by itself."""


class Former(NamedTuple):
    """What of the report before is compared.

    :ivar hosts: the findings of each host; ``None`` for a host that could not be looked at.
    :ivar why: why there is nothing to compare with, one sentence.
    """

    since: str | None
    hosts: Mapping[str, Mapping[Key, Was] | None]
    why: str | None = None


def former(path: str) -> Former:
    """The report before, from the file *path*. What is missing, foreign or damaged is told by ``why``."""
    try:
        with open(path, encoding="utf-8", errors="surrogatepass") as file:
            return _read(file.readline)
    except FileNotFoundError:
        return Former(None, {}, "there is no report of a former run to compare with")
    except (OSError, ValueError, RecursionError, KeyError, TypeError) as error:
        return Former(None, {}, f"the report before cannot be compared with: {_told(error)}")


def _told(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"it cannot be read ({error.strerror})"
    return f"it is damaged, or not a report of this collection ({sentence(error, 100)})"


def _read(readline: Callable[[int], str]) -> Former:
    since = None
    for line in iter(lambda: readline(_LONGEST_LINE), ""):
        if line.startswith(' "generated": '):
            since = str(json.loads(line.strip().rstrip(",").partition(":")[2]))
        elif line.startswith(' "hosts": {'):
            break
    else:
        raise ValueError("it names no hosts")
    hosts: dict[str, Mapping[Key, Was] | None] = {}
    for line in iter(lambda: readline(_LONGEST_LINE), ""):
        if line.startswith(" }"):
            return Former(since, hosts)
        name, known = _host(line)
        hosts[name] = None if known["verdict"] == "unreachable" else keyed(known["findings"])
    raise ValueError("it ends in the middle")


_DECODER = json.JSONDecoder()
_COLON = re.compile(r"\s*:\s*")
_BETWEEN = re.compile(r"\s*[{,]\s*")


def _host(line: str) -> tuple[str, dict[str, Any]]:
    """The name of a host, and its members up to ``findings``; those behind, the facts, are not parsed."""
    name, at = _DECODER.raw_decode(line)
    at = _after(_COLON, line, at)
    known: dict[str, Any] = {}
    while "findings" not in known:
        key, at = _DECODER.raw_decode(line, _after(_BETWEEN, line, at))
        known[key], at = _DECODER.raw_decode(line, _after(_COLON, line, at))
    return str(name), known


def _after(expected: re.Pattern[str], line: str, at: int) -> int:
    found = expected.match(line, at)
    if found is None:
        raise ValueError(f"unexpected text at character {at} of a host's line")
    return found.end()


def keyed(findings: Sequence[Finding]) -> dict[Key, Was]:
    """*findings* by what they are about; of several that are about the same, the worst."""
    found: dict[Key, Was] = {}
    for each in findings:
        was = Was(
            str(each["severity"]),
            sentence(each.get("subject") or "", _TITLE),
            sentence(each.get("title") or "", _TITLE),
        )
        if was.severity not in SEVERITIES:
            raise ValueError(f"severity {was.severity[:20]!r}")
        key = str(each["id"]), stable(was.subject) if each["id"] not in _OF_THE_HOST else ""
        if key not in found or _rank(was.severity) < _rank(found[key].severity):
            found[key] = was
    return found


def stable(subject: str) -> str:
    """*subject* without what is another one in each run: numbers of processes, ephemeral ports, names of containers."""
    for pattern, instead in _VOLATILE:
        subject = pattern.sub(instead, subject)
    return subject


def changes(before: Former, now: Mapping[str, Sequence[Finding] | None]) -> Changes:
    """What is different.

    :param now: each host's findings; ``None`` for one that could not be looked at.
    """
    if before.since is None:
        return Changes(None, before.why or "the report before does not say when it was made")
    rows: dict[str, list[Change]] = {"new": [], "worse": [], "better": [], "gone": []}
    for host, findings in now.items():
        was = before.hosts.get(host)
        if was is not None and findings is not None:
            for kind, change in _of_host(host, was, keyed(findings)):
                rows[kind].append(change)
    names = {
        "appeared": [host for host in now if host not in before.hosts],
        "vanished": [host for host in before.hosts if host not in now],
        "lost": [host for host, was in before.hosts.items() if was is not None and host in now and now[host] is None],
    }
    for found in rows.values():
        found.sort(key=lambda row: (_rank(row.severity or row.before or ""), row.host, row.id, row.subject))
    return Changes(
        before.since,
        None,
        rows["new"][:_ROWS],
        rows["worse"][:_ROWS],
        rows["better"][:_ROWS],
        rows["gone"][:_ROWS],
        sorted(names["appeared"])[:_HOSTS],
        sorted(names["vanished"])[:_HOSTS],
        sorted(names["lost"])[:_HOSTS],
        {**{kind: len(found) for kind, found in rows.items()}, **{kind: len(found) for kind, found in names.items()}},
    )


def _of_host(host: str, was: Mapping[Key, Was], now: Mapping[Key, Was]) -> Iterator[tuple[str, Change]]:
    for key, each in now.items():
        old = was.get(key)
        kind = "new"
        if old is not None:
            step = _rank(each.severity) - _rank(old.severity)
            if not step:
                continue
            kind = "better" if step > 0 else "worse"
        yield kind, Change(host, key[0], each.subject, each.title, each.severity, old.severity if old else None)
    for key, old in was.items():
        if key not in now:
            yield "gone", Change(host, key[0], old.subject, old.title, None, old.severity)


def _rank(severity: str) -> int:
    return SEVERITIES.index(severity)
