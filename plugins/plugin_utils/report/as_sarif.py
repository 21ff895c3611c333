# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.sarif: the findings for whatever reads SARIF 2.1.0, as code scanning does. Private to this collection.

A finding is about a host and not about a line of a file. The host is the result's logical location; its physical one,
without which GitHub accepts no result, is the report.json that has the host's facts.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import stable
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean

_SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"
_HOME = "https://github.com/nettriage/nettriage.linux"
_LEVELS = {"critical": "error", "warning": "warning", "info": "note"}
_RESULTS = 25000  # more of one run are refused by GitHub


def lines(fleet: Fleet, title: str) -> Iterator[str]:
    """The document, one result a line."""
    found = list(_found(fleet))
    rules = list(dict.fromkeys(str(finding["id"]) for __, finding in found))
    index = {name: number for number, name in enumerate(rules)}
    driver = {
        "name": "nettriage.linux",
        "version": fleet.version,
        "informationUri": _HOME,
        "rules": [_rule(name, fleet) for name in rules],
    }
    properties: dict[str, Any] = {"title": clean(title), "verdict": fleet.verdict}
    if len(found) > _RESULTS:
        properties["resultsLeftOut"] = len(found) - _RESULTS
    yield f'{{"$schema": {json.dumps(_SCHEMA)}, "version": "2.1.0", "runs": [{{\n'
    yield f' "tool": {json.dumps({"driver": driver})},\n'
    yield f' "invocations": {json.dumps([_invocation(fleet)])},\n'
    yield f' "properties": {json.dumps(properties)},\n'
    yield ' "results": ['
    before = "\n"
    for host, finding in found[:_RESULTS]:
        yield before + json.dumps(_result(host, finding, index), separators=(",", ":"))
        before = ",\n"
    yield "\n ]\n}]}\n"


def _found(fleet: Fleet) -> Iterator[tuple[str | None, Mapping[str, Any]]]:
    """Findings with their hosts, worst first; those of several hosts have the one that is to blame, if there is one."""
    rows: list[tuple[str | None, Mapping[str, Any]]] = [
        (problem.host, {**problem.__dict__, "subject": problem.subject}) for problem in fleet.joined.findings
    ]
    rows += [row for cause in fleet.causes for row in cause.rows]
    yield from sorted(rows, key=lambda row: list(_LEVELS).index(row[1]["severity"]))


def _rule(name: str, fleet: Fleet) -> dict[str, Any]:
    worst = next((cause.worst for cause in fleet.causes if cause.id == name), None)
    level = _LEVELS[worst["severity"]] if worst else "warning"
    label = next((cause.label for cause in fleet.causes if cause.id == name), name)
    return {
        "id": clean(name),
        "shortDescription": {"text": _message(clean(label))},
        "defaultConfiguration": {"level": level},
    }


def _result(host: str | None, finding: Mapping[str, Any], index: Mapping[str, int]) -> dict[str, Any]:
    name, subject = str(finding["id"]), clean(finding.get("subject") or "host")
    where = clean(host if host is not None else subject)
    told = [clean(finding.get("title") or ""), clean(finding.get("cause") or "")]
    told += [clean(advice) for advice in finding.get("advice") or ()]
    return {
        "ruleId": clean(name),
        "ruleIndex": index[name],
        "level": _LEVELS[finding["severity"]],
        "message": {"text": _message(f"{where}: " + "\n".join(filter(None, told)))},
        "locations": [
            {
                "physicalLocation": {"artifactLocation": {"uri": "report.json"}},
                "logicalLocations": [{"name": where, "fullyQualifiedName": f"{where}/{subject}", "kind": "resource"}],
            }
        ],
        # The same problem of the next run is recognised by it.
        "partialFingerprints": {"nettriage/v1": _fingerprint(where, name, subject)},
        "properties": {"host": where, "layer": finding.get("layer"), "evidence": finding.get("evidence")},
    }


def _message(text: str) -> str:
    """*text* without placeholders (SARIF 3.11.5) and embedded links (3.11.6): names on hosts are nobody's markup."""
    return text.replace("{", "{{").replace("}", "}}").replace("](", "] (")


def _fingerprint(host: str, name: str, subject: str) -> str:
    return hashlib.sha256("\0".join((host, name, stable(subject))).encode("utf-8", "backslashreplace")).hexdigest()


def _invocation(fleet: Fleet) -> dict[str, Any]:
    """Hosts that could not be looked at are trouble of the tool, not findings."""
    silent = [host for host in fleet.hosts if host.error is not None]
    return {
        "executionSuccessful": not silent,
        "endTimeUtc": fleet.generated,
        "toolExecutionNotifications": [
            {"level": "error", "message": {"text": _message(f"{clean(host.name)}: {clean(host.error)}")}}
            for host in silent
        ],
    }
