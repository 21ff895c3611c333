# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs the real collectors in a namespace of the lab and the real rules over what they found."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any, Protocol

from ansible_collections.nettriage.linux.tests.lab.netlab import LabError, Namespace, environment

INTERVAL_S = 1.0
_TIMEOUT_S = 60.0
# The way of the module health_facts below its main(): open the target by its options, then gather.
_COLLECT = """
import json, sys
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
json.dump(health(open_target(params, True), params)["ansible_facts"]["nettriage"], sys.stdout)
"""


class Audit:
    """Facts and findings of one namespace."""

    def __init__(self, facts: dict[str, Any], findings: list[dict[str, Any]]) -> None:
        self.facts = facts
        self.findings = findings

    def ids(self) -> list[str]:
        """The ids of all findings, in their order."""
        return [finding["id"] for finding in self.findings]

    def all(self, finding_id: str) -> list[dict[str, Any]]:
        """The findings with this id."""
        return [finding for finding in self.findings if finding["id"] == finding_id]

    def one(self, finding_id: str, *culprit: object) -> dict[str, Any]:
        """The only finding with this id; it must name each *culprit* in its subject, title or evidence."""
        found = self.all(finding_id)
        assert len(found) == 1, f"{finding_id}: {len(found)} times in {json.dumps(self.findings, indent=1)}"
        for name in culprit:
            assert str(name) in text(found[0]), f"{name} is not named by {json.dumps(found[0], indent=1)}"
        return found[0]

    def names(self, finding_id: str, *culprit: object) -> dict[str, Any]:
        """The finding with this id that names every *culprit*; there may be others of the same id."""
        for finding in self.all(finding_id):
            if all(str(name) in text(finding) for name in culprit):
                return finding
        raise AssertionError(f"no {finding_id} names {culprit}: {json.dumps(self.findings, indent=1)}")

    def silent(self, *finding_ids: str) -> None:
        """None of these ids is found."""
        for finding_id in finding_ids:
            assert not self.all(finding_id), json.dumps(self.all(finding_id), indent=1)


class AuditOne(Protocol):
    def __call__(self, namespace: Namespace, **options: Any) -> Audit:
        """See :func:`audit`."""


class AuditMany(Protocol):
    def __call__(self, *namespaces: Namespace, **options: Any) -> list[Audit]:
        """See :func:`audits`."""


def text(finding: dict[str, Any]) -> str:
    """Where a finding may name its culprit: subject, title and evidence."""
    return "\n".join(
        part if isinstance(part, str) else json.dumps(part)
        for part in (finding["subject"], finding["title"], finding["evidence"])
    )


def refused(finding: dict[str, Any]) -> list[str]:
    """The remedies that a finding refuses."""
    return [entry["remedy"] for entry in finding["refused"]]


def audits(*namespaces: Namespace, **options: Any) -> list[Audit]:
    """Audit *namespaces* at the same time.

    :param options: options of the module ``health_facts`` (``interval`` is 1 s by default), and ``limits``.
    """
    limits = options.pop("limits", {})
    running = [_begin(namespace, options) for namespace in namespaces]
    return [_judge(_end(process), limits) for process in running]


def audit(namespace: Namespace, **options: Any) -> Audit:
    """Audit one namespace; see :func:`audits`."""
    return audits(namespace, **options)[0]


def _begin(namespace: Namespace, options: dict[str, Any]) -> subprocess.Popen[str]:
    params = {
        "netns": namespace.name,
        "procfs": "/proc",
        "sysfs": "/sys",
        "interval": INTERVAL_S,
        "top": 10,
        "gather_subset": ["all"],
        "as_json": False,
        **options,
    }
    process = subprocess.Popen(
        [sys.executable, "-c", _COLLECT],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(),
    )
    assert process.stdin is not None
    process.stdin.write(json.dumps(params))
    process.stdin.close()
    process.stdin = None
    return process


def _end(process: subprocess.Popen[str]) -> dict[str, Any]:
    try:
        out, err = process.communicate(timeout=_TIMEOUT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        raise
    if process.returncode:
        raise LabError(f"health_facts: {err.strip()}")
    facts: dict[str, Any] = json.loads(out)
    return facts


def _judge(facts: dict[str, Any], limits: dict[str, Any]) -> Audit:
    from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate

    return Audit(facts, evaluate(facts, limits))
