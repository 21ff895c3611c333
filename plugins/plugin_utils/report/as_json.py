# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""report.json: the whole report for programs. Private to this collection."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Cause, Fleet, Host


def lines(fleet: Fleet, title: str) -> Iterator[str]:
    """The document, one host a line, so that it can be searched and compared by lines."""
    yield '{"title": ' + json.dumps(title) + ",\n"
    yield ' "generated": ' + json.dumps(fleet.generated) + ",\n"
    yield ' "collection_version": ' + json.dumps(fleet.version) + ",\n"
    yield ' "fleet": ' + json.dumps(_fleet(fleet), indent=1).replace("\n", "\n ") + ",\n"
    yield ' "hosts": {'
    before = "\n"
    for host in fleet.hosts:
        yield before + _host(host)
        before = ",\n"
    yield "\n }\n}\n"


def _fleet(fleet: Fleet) -> dict[str, Any]:
    return {
        "verdict": fleet.verdict,
        "hosts": len(fleet.hosts),
        "verdicts": fleet.verdicts,
        "severities": fleet.severities,
        "causes": [_cause(cause) for cause in fleet.causes],
        **dataclasses.asdict(fleet.joined),
    }


def _cause(cause: Cause) -> dict[str, Any]:
    worst = cause.worst
    return {
        "id": cause.id,
        "severity": worst["severity"],
        "layer": worst.get("layer"),
        "title": worst.get("title"),
        "cause": worst.get("cause"),
        "advice": worst.get("advice"),
        "findings": len(cause.rows),
        "hosts": cause.hosts,
    }


def _host(host: Host) -> str:
    record: dict[str, Any] = {"verdict": host.verdict, "groups": list(host.groups), "findings": list(host.findings)}
    if host.error is not None:
        record["error"] = host.error
    # The facts are JSON already: parsing and writing them again would be most of the work.
    body = json.dumps(record, separators=(",", ":"))[:-1]
    return f'{json.dumps(host.name)}: {body},"facts":{host.facts_json}}}'
