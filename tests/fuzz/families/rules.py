# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rule engine: expressions, templates, rules of users."""

from __future__ import annotations

from typing import Any, Iterable

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.catalogue import Catalogue, RuleError, built_in_rules
from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import Expression, ExpressionError
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template
from ansible_collections.nettriage.linux.tests.fuzz.families.report import FACTS
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part

_ROOTS = ("facts", "item", "limits")


def _scope() -> dict[str, Any]:
    return {"facts": FACTS, "item": {"address": "192.0.2.1", "port": 443}, "limits": {"a": 1}}


def _expression(data: bytes) -> None:
    made = Expression(data.decode("utf-8", "replace"), _ROOTS, ("a",))
    value = made(_scope())
    if type(value).__module__ != "builtins":
        raise Broken(f"{type(value)} is nothing that facts are made of")


def _template(data: bytes) -> None:
    text = Template(data.decode("utf-8", "replace"), _ROOTS, ("a",))(_scope())
    if not isinstance(text, str):
        raise Broken("no text")


def _rule(data: bytes) -> None:
    try:
        rules = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):  # what Ansible itself refuses
        return
    judge(FACTS, Catalogue({}, rules if isinstance(rules, list) else [rules], []))


def _limits(data: bytes) -> None:
    try:
        limits = yaml.safe_load(data)
    except (yaml.YAMLError, ValueError, RecursionError):
        return
    Catalogue(limits, None, [])


def _texts(*fields: str) -> Iterable[bytes]:
    for rule in built_in_rules():
        for field in fields:
            if isinstance(rule.get(field), str):
                yield rule[field].encode()


HARNESS = Harness(
    "rules",
    {
        "expressions": Part(_expression, lambda: list(_texts("for_each", "when"))[:60], (ExpressionError,)),
        "templates": Part(_template, lambda: list(_texts("title", "command", "cause"))[:60], (ExpressionError,)),
        "rules": Part(_rule, lambda: [yaml.safe_dump([rule]).encode() for rule in built_in_rules()], (RuleError,)),
        "limits": Part(_limits, lambda: [b"port_usage_warning: 0.5\n", b"{a: [1]}"], (RuleError,)),
    },
)
