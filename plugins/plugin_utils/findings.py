# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the facts of a host to findings. Private to this collection."""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils import namespaces, since
from ansible_collections.nettriage.linux.plugins.plugin_utils.catalogue import Catalogue, Rule, RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import ExpressionError
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS, SEVERITIES, clean

__all__ = ["LAYERS", "SEVERITIES", "Catalogue", "RuleError", "evaluate", "judge", "plain"]

Facts = dict[str, Any]
Finding = dict[str, Any]
SUBSETS = (
    "meta", "sockets", "tcp", "nic", "conntrack", "sysctl", "routes", "resolver", "dns", "http", "path", "pmtu",
    "capture", "drops",
)  # fmt: skip


def evaluate(
    facts: Mapping[str, Any] | str,
    limits: Mapping[str, Any] | None = None,
    rules: Iterable[Mapping[str, Any]] | None = None,
) -> list[Finding]:
    """What is wrong on the host of *facts*: worst first, then bottom-up by layer.

    The compiled rules are kept, so that many hosts with the same *limits* and *rules* cost the compilation once.

    :param facts: what ``health_facts`` returned, as a structure or as its JSON string.
    :raises RuleError: *limits* or *rules* cannot be used, or a rule cannot be evaluated on these facts.
    :raises ValueError: *facts* are no facts.
    """
    return judge(facts_of(facts), _catalogue(json.dumps(plain([limits or {}, list(rules or [])]))))


@lru_cache(maxsize=16)
def _catalogue(key: str) -> Catalogue:
    limits, rules = json.loads(key)
    return Catalogue(limits, rules)


def facts_of(facts: Any) -> Facts:
    """*facts* as a plain structure.

    :raises ValueError: they are none.
    """
    given = plain(facts)
    if not isinstance(given, dict) or not any(isinstance(given.get(name), dict) for name in SUBSETS):
        raise ValueError(
            "the facts are not what nettriage.linux.health_facts returns;"
            f" give ansible_facts['nettriage'], or a mapping of {', '.join(SUBSETS)}"
        )
    return given


def plain(value: Any) -> Any:
    """*value*, or what its JSON string holds, in Python's own types.

    Values that come through templates are tagged and lazy since ansible-core 2.19: dear to walk through, and of
    types that JMESPath does not know.

    :raises ValueError: no JSON, or nothing that JSON can hold.
    """
    try:
        return json.loads(value if isinstance(value, (str, bytes)) else json.dumps(value))
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"the facts are neither a structure nor its JSON string: {error}") from None


def judge(facts: Facts, catalogue: Catalogue) -> list[Finding]:
    """The findings of plain *facts* by the rules of *catalogue*, those of the host's other namespaces among them.

    :raises RuleError: a rule cannot be evaluated on these facts.
    """
    found = _judged(facts, catalogue.rules, catalogue.limits)
    length = since.seconds(facts)
    if length is not None:
        found = _with_past(facts, found, catalogue, length)
    if facts.get("namespaces"):
        found += _elsewhere(facts, catalogue)
    found.sort(key=_order)
    return found


def _with_past(facts: Facts, found: list[Finding], catalogue: Catalogue, length_s: float) -> list[Finding]:
    """*found*, and what the rules about changes find in the window since the last audit."""
    rules = [rule for rule in catalogue.rules if rule.of_change]
    then = _judged(since.overlay(facts), rules, since.limits(catalogue.limits, length_s))
    changing = {rule.id for rule in rules}
    return since.joined(found, then, facts, catalogue.limits["recent_window_s"], changing)


def _elsewhere(facts: Facts, catalogue: Catalogue) -> Iterator[Finding]:
    """The findings of the other namespaces, by the rules that do not speak of what all namespaces share."""
    rules = [rule for rule in catalogue.rules if not rule.of_the_kernel]
    for identity, inner in namespaces.each(facts):
        where = namespaces.label(identity)
        for finding in _judged(inner, rules, catalogue.limits):
            subject = where if finding["subject"] == "host" else f"{finding['subject']} in {where}"
            yield {**finding, "subject": subject, "title": f"In {where}: {finding['title']}", "namespace": identity}


def _judged(facts: Facts, rules: Iterable[Rule], limits: Mapping[str, Any]) -> list[Finding]:
    scope: dict[str, Any] = {"facts": facts, "limits": limits, "item": None}
    rows: dict[int, list[Any]] = {}
    found: list[Finding] = []
    for rule in rules:
        try:
            for item in _items(rule, scope, rows):
                scope["item"] = item
                severity = next((name for name, condition in rule.when if condition.holds(scope)), None)
                if severity:
                    found.append(_finding(rule, severity, scope))
        except ExpressionError as error:
            problem = f"rule {rule.id}: cannot be evaluated on these facts: {error}"
            raise RuleError(problem, rule.id) from None
        scope["item"] = None
    return found


def _order(finding: Finding) -> tuple[int, int]:
    return SEVERITIES.index(finding["severity"]), LAYERS.index(finding["layer"])


def _items(rule: Rule, scope: dict[str, Any], rows: dict[int, list[Any]]) -> list[Any]:
    """What the rule looks at one by one; many rules share the expression, so it is evaluated once a host."""
    if rule.for_each is None:
        return [None]
    key = id(rule.for_each)
    if key not in rows:
        value = rule.for_each(scope)
        rows[key] = value if isinstance(value, list) else []
    return rows[key]


def _finding(rule: Rule, severity: str, scope: dict[str, Any]) -> Finding:
    evidence = {name: value for name, expression in rule.evidence.items() if (value := expression(scope)) is not None}
    scope = {**scope, "evidence": evidence}
    return {
        "id": rule.id,
        "severity": severity,
        "layer": rule.layer,
        "subject": rule.subject.first(scope),
        "title": rule.title.first(scope),
        "evidence": evidence,
        "cause": rule.cause.first(scope),
        "advice": rule.advice.all(scope),
        "remedies": rule.remedies.all(scope),
        "refused": [{"remedy": name, "why": why} for name, text in rule.refused for why in text.all(scope)],
        "command": inside(scope["facts"], rule.command.first(scope)),
    }


def inside(facts: Facts, command: str) -> str:
    """*command* as it is to be run where the facts were gathered: in a network namespace, maybe."""
    meta = facts.get("meta")
    netns = meta.get("netns") if isinstance(meta, dict) else None
    if not command or not netns or not isinstance(netns, str):
        return command
    netns = clean(netns)
    if netns.startswith("pid:"):
        return f"nsenter --net --target {shlex.quote(netns[4:])} {command}"
    if netns.startswith("/"):
        return f"nsenter --net={shlex.quote(netns)} {command}"
    return f"ip netns exec {shlex.quote(netns)} {command}"
