# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found on each host, joined to the view of the whole fleet. Private to this collection."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import NOTHING, Joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import Traits
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view import View
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES, VERDICTS, sentence

Finding = Mapping[str, Any]


class Unusable(Exception):
    """A host's result that cannot be judged; the message is the reason in one sentence."""


@dataclass(frozen=True)
class Host:
    """One host of the report.

    :ivar verdict: ``ok``, ``warning``, ``critical``, or ``unreachable`` for one that could not be looked at.
    :ivar facts_json: its facts as JSON text: a fleet's facts as objects would take gigabytes.
    :ivar view: the few facts that the page shows.
    :ivar error: why it could not be looked at.
    :ivar groups: the groups of the inventory that it is in, without ``all`` and ``ungrouped``.
    :ivar reached: whether it answered at all.
    :ivar traits: what the fleet view needs of its facts.
    """

    name: str
    verdict: str
    findings: Sequence[Finding] = ()
    facts_json: str = "null"
    view: View | None = None
    error: str | None = None
    groups: Sequence[str] = ()
    reached: bool = True
    traits: Traits | None = None

    @property
    def unseen(self) -> list[str]:
        """What could not be looked at on it, and why."""
        return self.view.unseen if self.view is not None else []

    @property
    def rank(self) -> tuple[int, list[int], str]:
        """Sorts the worst host first."""
        counts = Counter(finding["severity"] for finding in self.findings)
        return VERDICTS.index(self.verdict), [-counts[severity] for severity in SEVERITIES], self.name


Row = tuple[str, Finding]
"""A host's name and one of its findings."""


@dataclass(frozen=True)
class Cause:
    """One kind of finding over all hosts; rows are worst first."""

    id: str
    rows: Sequence[Row]

    @property
    def worst(self) -> Finding:
        return self.rows[0][1]

    @property
    def label(self) -> str:
        """``Ephemeral ports (tcp)``: what it is called, whoever has it."""
        area, __, name = self.id.rpartition(".")
        name = name.replace("_", " ")
        return name[:1].upper() + name[1:] + (f" ({area})" if area else "")

    @property
    def hosts(self) -> list[str]:
        return list(dict.fromkeys(host for host, __ in self.rows))


@dataclass(frozen=True)
class Fleet:
    """Everything that a report tells.

    :ivar generated: when, UTC, ISO 8601.
    :ivar hosts: worst first.
    :ivar causes: worst first, then by the number of hosts.
    :ivar joined: what only all hosts together tell.
    """

    generated: str
    version: str
    hosts: Sequence[Host]
    causes: Sequence[Cause]
    joined: Joined = NOTHING

    @property
    def verdicts(self) -> dict[str, int]:
        counts = Counter(host.verdict for host in self.hosts)
        return {verdict: counts[verdict] for verdict in VERDICTS}

    @property
    def severities(self) -> dict[str, int]:
        counts = Counter(finding["severity"] for host in self.hosts for finding in host.findings)
        return {severity: counts[severity] for severity in SEVERITIES}

    @property
    def verdict(self) -> str:
        """The worst host's."""
        return self.hosts[0].verdict if self.hosts else "ok"


def join(hosts: Iterable[Host], generated: str, version: str, joined: Joined = NOTHING) -> Fleet:
    """The fleet of *hosts*, everything worst first; *joined* is what they tell together."""
    ordered = sorted(hosts, key=lambda host: host.rank)
    rows: dict[str, list[Row]] = {}
    for host in ordered:
        for finding in host.findings:
            rows.setdefault(finding["id"], []).append((host.name, finding))
    causes = [Cause(name, sorted(found, key=lambda row: severity_rank(row[1]))) for name, found in rows.items()]
    causes.sort(key=lambda cause: (severity_rank(cause.worst), -len(cause.hosts), cause.id))
    return Fleet(generated, version, ordered, causes, joined)


def severity_rank(finding: Finding) -> int:
    return SEVERITIES.index(finding["severity"])


def verdict_of(findings: Iterable[Finding]) -> str:
    """The verdict on a host that has *findings*."""
    found = {finding["severity"] for finding in findings}
    return next((severity for severity in ("critical", "warning") if severity in found), "ok")


def facts_of(result: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """The facts in the registered *result* of ``health_facts``, parsed and as JSON text.

    :raises Unusable: the host could not be reached, the module failed, or what came back is not what it returns.
    """
    facts = (result.get("ansible_facts") or {}).get("nettriage")
    if facts is None or result.get("unreachable"):
        raise Unusable(_reason(result))
    parsed, text = _parse(facts if isinstance(facts, str) else json.dumps(facts, separators=(",", ":")))
    if not isinstance(parsed, dict) or not isinstance(parsed.get("meta"), dict):
        raise Unusable("what it returned are not the facts of nettriage.linux.health_facts")
    return parsed, text


def _bounded(value: Any) -> Any:
    """*value* without numbers that no collector makes, with which nobody can reckon."""
    if isinstance(value, dict):
        return {key: _bounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_bounded(item) for item in value]
    return None if isinstance(value, int) and not isinstance(value, bool) and not is_number(value) else value


def _parse(text: str) -> tuple[Any, str]:
    strange: list[str] = []

    def number(written: str) -> float | None:
        value = float(written)
        if is_number(value):
            return value
        strange.append(written)
        return None

    try:
        # NaN and Infinity are Python's own: nothing else could read the report.
        parsed = json.loads(text, parse_constant=strange.append, parse_float=number)
        if _LONG_NUMBER.search(text):
            strange.append(text)
            parsed = _bounded(parsed)
    except (ValueError, RecursionError) as error:
        raise Unusable(f"its facts are damaged JSON: {sentence(error)}") from error
    # A host is one line of the report, which the next run reads by lines, and people see it on their terminals.
    plain = text.isascii() and text.isprintable() and not strange
    return parsed, text if plain else json.dumps(parsed, separators=(",", ":"))


MODULE_FAILED = "the module failed"
_LONG_NUMBER = re.compile("[0-9]{21}")  # more than 64 bits
# What comes of facts in which something is not of the type that a collector makes: a host may answer anything.
MISSHAPEN = (ArithmeticError, AttributeError, LookupError, TypeError, ValueError)
# What Ansible puts before the reason proper.
_PREFIXES = ("Task failed: ", "Module failed: ", "Failed to connect to the host via ssh: ", "ssh: ")


def _reason(result: Mapping[str, Any]) -> str:
    """Why *result* holds no facts, as one sentence."""
    text = str(result.get("msg") or "")
    # Where the module died: a traceback says why in its last line, the shell in its first.
    streams = f"{result.get('module_stdout') or ''}\n{result.get('module_stderr') or ''}"
    lines = [line for line in streams.splitlines() if line.strip() and not line.startswith("Shared connection to")]
    if lines:
        text = lines[-1] if any(line.startswith("Traceback (") for line in lines) else lines[0]
    for prefix in _PREFIXES:
        text = text.removeprefix(prefix)
    reason = sentence(text) or "no reason was given"
    return reason if result.get("unreachable") else f"{MODULE_FAILED}: {reason}"
