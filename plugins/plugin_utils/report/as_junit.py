# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.xml: the report as a CI server shows the results of tests. Private to this collection.

The form is the one that Jenkins, GitLab and others read: a suite for each host, a case for each finding. What is
critical or a warning has failed, what is merely worth knowing has passed, and a host that could not be looked at is an
error.
"""

from __future__ import annotations

from collections.abc import Iterator
from xml.sax.saxutils import escape, quoteattr

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.values import evidence_line
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean

_FAILED = ("critical", "warning")
_TOGETHER = "fleet"


def lines(fleet: Fleet, title: str) -> Iterator[str]:
    """The document, host by host."""
    findings = [finding for host in fleet.hosts for finding in host.findings]
    problems = fleet.joined.findings
    cases = sum(max(1, len(host.findings)) for host in fleet.hosts) + len(problems)
    failures = sum(each["severity"] in _FAILED for each in findings)
    failures += sum(each.severity in _FAILED for each in problems)
    errors = sum(host.error is not None for host in fleet.hosts)
    yield '<?xml version="1.0" encoding="UTF-8"?>\n'
    yield f"<testsuites{_attributes(name=title)}{_counts(cases, failures, errors)}>\n"
    if problems:
        failed = sum(each.severity in _FAILED for each in problems)
        yield f"<testsuite{_attributes(name=_TOGETHER)}{_counts(len(problems), failed, 0)}{_when(fleet)}>\n"
        for problem in problems:
            yield _case(_TOGETHER, f"{problem.id}: {problem.subject}", problem.severity, problem.title, _told(problem))
        yield "</testsuite>\n"
    for host in fleet.hosts:
        yield from _suite(fleet, host)
    yield "</testsuites>\n"


def _suite(fleet: Fleet, host: Host) -> Iterator[str]:
    failures = sum(each["severity"] in _FAILED for each in host.findings)
    counts = _counts(max(1, len(host.findings)), failures, int(host.error is not None))
    yield f"<testsuite{_attributes(name=host.name, hostname=host.name)}{counts}{_when(fleet)}>\n"
    if host.error is not None:
        yield (
            f'<testcase{_attributes(classname=host.name, name="the host can be looked at")} time="0">'
            f"<error{_attributes(message=host.error, type='unreachable')}/></testcase>\n"
        )
    elif not host.findings:
        yield f'<testcase{_attributes(classname=host.name, name="nothing is found")} time="0"/>\n'
    for finding in host.findings:
        name = f"{finding['id']}: {finding.get('subject') or 'host'}"
        yield _case(host.name, name, finding["severity"], finding.get("title"), _lines(finding))
    yield "</testsuite>\n"


def _case(suite: str, name: str, severity: str, title: object, told: list[str]) -> str:
    body = escape("\n".join(map(clean, told)))
    if severity in _FAILED:
        inner = f"<failure{_attributes(message=title or '', type=severity)}>{body}</failure>"
    else:
        inner = f"<system-out>{escape(clean(title or ''))}\n{body}</system-out>"
    return f'<testcase{_attributes(classname=suite, name=name)} time="0">{inner}</testcase>\n'


def _lines(finding: Finding) -> list[str]:
    told = [f"Evidence: {evidence_line(finding.get('evidence'))}", f"Cause: {finding.get('cause') or ''}"]
    told += [f"Do: {advice}" for advice in finding.get("advice") or ()]
    return [*told, f"See it: {finding['command']}"] if finding.get("command") else told


def _told(problem: FleetFinding) -> list[str]:
    told = [f"Evidence: {evidence_line(problem.evidence)}", f"Cause: {problem.cause}"]
    told += [f"{part.end} end, {part.host}: {part.title}" for part in problem.parts]
    return told + [f"Do: {advice}" for advice in problem.advice]


def _counts(tests: int, failures: int, errors: int) -> str:
    return f' tests="{tests}" failures="{failures}" errors="{errors}" skipped="0" time="0"'


def _when(fleet: Fleet) -> str:
    # The schema that most readers know has no room for a time zone: it is UTC.
    return _attributes(timestamp=fleet.generated.removesuffix("Z"))


def _attributes(**values: object) -> str:
    """What no XML may hold, control characters above all, is escaped by ``clean``."""
    return "".join(f" {name}={quoteattr(clean(value))}" for name, value in values.items())
