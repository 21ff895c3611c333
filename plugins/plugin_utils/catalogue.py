# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The rules and their limits: loaded, checked, compiled. Private to this collection."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache, cached_property
from typing import Any, TypeVar

import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import Expression, ExpressionError
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import LAYERS, SEVERITIES

REMEDIES = (
    "tw_reuse",
    "port_range",
    "keepalive",
    "accept_backlog",
    "syn_cookies",
    "buffers",
    "congestion_control",
    "fin_timeout",
    "tw_buckets",
    "conntrack_max",
    "netdev_queue",
    "mtu_probing",
    "rp_filter",
    "slow_start",
    "udp_buffers",
    "neighbours",
)
FIELDS = (
    "id",
    "layer",
    "severity",
    "for_each",
    "when",
    "subject",
    "title",
    "evidence",
    "cause",
    "advice",
    "remedies",
    "refused",
    "command",
    "refs",
    "scope",
    "enabled",
)
# What a rule speaks of: something that each network namespace has of its own, or what all share.
SCOPES = ("namespace", "kernel")
_CHANGE = re.compile(r"delta|\brates\.|\bderived\.|error_ratio|utilisation")
_SCOPE = ("facts", "item", "limits")
# Texts may also speak of what the evidence is called.
_TEXT_SCOPE = (*_SCOPE, "evidence")
_DIRECTORY = os.path.join(os.path.dirname(__file__), "rules")
_LIMITS_FILE = "limits.yml"

Scope = dict[str, Any]
_T = TypeVar("_T")


class RuleError(ValueError):
    """A rule or limit that cannot be used: one sentence with the rule's id and the field.

    :ivar rule: the id of the rule that could not be evaluated on some facts.
    """

    def __init__(self, problem: str, rule: str | None = None) -> None:
        super().__init__(problem)
        self.rule = rule


class Variants:
    """A field that may say different things: each text with the condition under which it is said."""

    def __init__(self, entries: Iterable[tuple[Expression | None, Template]]) -> None:
        self._entries = list(entries)

    def all(self, scope: Scope) -> list[str]:
        """Every text whose condition holds."""
        return [text(scope) for when, text in self._entries if when is None or when.holds(scope)]

    def first(self, scope: Scope) -> str:
        """The first text whose condition holds; empty where none does."""
        return next((text(scope) for when, text in self._entries if when is None or when.holds(scope)), "")


class Rule:
    """One rule, compiled where that is needed to be sure that it can be.

    :ivar when: severities, worst first, each with the condition for it.
    :ivar of_the_kernel: it speaks of what all network namespaces share, so it is applied once a host.
    :raises RuleError: with the id, the field and the position.
    """

    def __init__(
        self, data: Mapping[str, Any], limits: Mapping[str, Any], expressions: Callable[..., Expression]
    ) -> None:
        self.data = data
        self.id: str = _id_of(data)
        self._limits = limits
        self._expression = expressions
        self._known_fields()
        self.layer = self._one_of("layer", str(data.get("layer")), LAYERS)
        self.of_the_kernel = self._one_of("scope", data.get("scope", "namespace"), SCOPES) == "kernel"
        self.for_each = self._compile("for_each", data["for_each"]) if data.get("for_each") is not None else None
        self.when = self._conditions()
        if not data.get("title"):
            raise self._wrong("title", "a rule needs one")

    def check(self) -> None:
        """Compile everything, also what is needed only where the rule fires.

        :raises RuleError: with the id, the field and the position.
        """
        __ = (
            self.subject,
            self.title,
            self.evidence,
            self.cause,
            self.advice,
            self.remedies,
            self.refused,
            self.command,
        )
        refs = self.data.get("refs", [])
        if not isinstance(refs, list) or not all(isinstance(ref, str) for ref in refs):
            raise self._wrong("refs", "give a list of texts")

    @property
    def limits(self) -> list[str]:
        """The names of the limits that decide whether it fires."""
        conditions = [condition for __, condition in self.when] + ([self.for_each] if self.for_each else [])
        return sorted({name for condition in conditions for name in condition.limits})

    @cached_property
    def of_change(self) -> bool:
        """Whether it looks at changes between two samples at all."""
        conditions = [condition for __, condition in self.when] + ([self.for_each] if self.for_each else [])
        return any(_CHANGE.search(condition.text) for condition in conditions)

    @cached_property
    def subject(self) -> Variants:
        return self._text("subject", default="host")

    @cached_property
    def title(self) -> Variants:
        return self._text("title")

    @cached_property
    def cause(self) -> Variants:
        return self._text("cause", default="")

    @cached_property
    def command(self) -> Variants:
        return self._text("command", default="")

    @cached_property
    def advice(self) -> Variants:
        return Variants(self._variant("advice", entry, "text") for entry in self._list("advice"))

    @cached_property
    def evidence(self) -> dict[str, Expression]:
        evidence = self.data.get("evidence") or {}
        if not isinstance(evidence, Mapping):
            raise self._wrong("evidence", "give a mapping of names to expressions")
        return {str(name): self._compile(f"evidence.{name}", text) for name, text in evidence.items()}

    @cached_property
    def remedies(self) -> Variants:
        entries = self._list("remedies")
        for entry in entries:
            self._one_of("remedies", entry.get("text") if isinstance(entry, Mapping) else entry, REMEDIES)
        return Variants(self._variant("remedies", entry, "text") for entry in entries)

    @cached_property
    def refused(self) -> list[tuple[str, Variants]]:
        found = []
        for entry in self._list("refused"):
            if not isinstance(entry, Mapping) or not {"remedy", "why"} <= set(entry) <= {"remedy", "why", "when"}:
                raise self._wrong("refused", f"{entry!r} is not accepted; give remedy, why and, if wanted, when")
            remedy = self._one_of("refused", entry["remedy"], REMEDIES)
            found.append((remedy, Variants([self._variant("refused", entry, "why", ("remedy",))])))
        return found

    def _known_fields(self) -> None:
        for name in self.data:
            if name not in FIELDS:
                raise self._wrong(str(name), f"there is no such field; accepted are {', '.join(FIELDS)}")

    def _conditions(self) -> list[tuple[str, Expression]]:
        when, severity = self.data.get("when"), self.data.get("severity")
        if isinstance(when, Mapping):
            if severity is not None:
                raise self._wrong("severity", "when already names its severities")
            for name in when:
                self._one_of("when", name, SEVERITIES)
            return [(name, self._compile(f"when.{name}", when[name])) for name in SEVERITIES if name in when]
        if when is None:
            raise self._wrong("when", "a rule needs an expression, or one for each severity")
        return [(self._one_of("severity", severity, SEVERITIES), self._compile("when", when))]

    def _text(self, field: str, default: str | None = None) -> Variants:
        value = self.data.get(field, default)
        entries = value if isinstance(value, list) else [value]
        return Variants(self._variant(field, entry, "text") for entry in entries)

    def _variant(
        self, field: str, entry: Any, key: str, others: Collection[str] = ()
    ) -> tuple[Expression | None, Template]:
        """A text, or a mapping with the text under *key* and the condition for it under ``when``."""
        condition = None
        if isinstance(entry, Mapping):
            if key not in entry or not set(entry) <= {key, "when", *others}:
                raise self._wrong(field, f"{dict(entry)!r} is not accepted; give a text, or {key} and when")
            if "when" in entry:
                condition = self._compile(f"{field}.when", entry["when"], _TEXT_SCOPE)
            entry = entry[key]
        if not isinstance(entry, str):
            raise self._wrong(field, f"{entry!r} is not accepted; give a text")
        # Somebody will paste the command, and the names in it come from the host.
        shell = field == "command"
        return condition, self._guarded(field, lambda: Template(entry, _TEXT_SCOPE, self._limits, shell))

    def _compile(self, field: str, text: Any, scope: Collection[str] = _SCOPE) -> Expression:
        if not isinstance(text, str):
            raise self._wrong(field, f"{text!r} is not accepted; give a JMESPath expression")
        return self._guarded(field, lambda: self._expression(text, scope, self._limits))

    def _list(self, field: str) -> list[Any]:
        value = self.data.get(field)
        if value is None:
            return []
        if not isinstance(value, list):
            raise self._wrong(field, f"{value!r} is not accepted; give a list")
        return value

    def _one_of(self, field: str, value: Any, accepted: Collection[str]) -> str:
        if not isinstance(value, str) or value not in accepted:
            raise self._wrong(field, f"{value!r} is not accepted; give one of {', '.join(accepted)}")
        return value

    def _guarded(self, field: str, make: Callable[[], _T]) -> _T:
        try:
            return make()
        except ExpressionError as error:
            raise self._wrong(field, str(error)) from None

    def _wrong(self, field: str, why: str) -> RuleError:
        return RuleError(f"rule {self.id}: {field}: {why}")


class Catalogue:
    """Rules and limits, ready for any number of hosts.

    :param limits: values that replace those of ``rules/limits.yml``.
    :param rules: rules to add; one with the id of a rule that is there takes its place, and one with
        ``enabled: false`` switches it off.
    :param built_in: the rules that are there, those of a host's facts unless others are given.
    :raises RuleError: one of them cannot be used.
    """

    def __init__(
        self,
        limits: Mapping[str, Any] | None = None,
        rules: Iterable[Mapping[str, Any]] | None = None,
        built_in: Iterable[Mapping[str, Any]] | None = None,
    ) -> None:
        self.limits = _overridden(built_in_limits(), limits or {})
        compiled: dict[str, Expression] = {}

        def expression(text: str, scope: Collection[str], names: Collection[str]) -> Expression:
            # Rules share what they iterate over and much of what they compare.
            if text not in compiled or scope is not _SCOPE:
                made = Expression(text, scope, names)
                if scope is not _SCOPE:
                    return made
                compiled[text] = made
            return compiled[text]

        wanted: dict[str, Mapping[str, Any]] = {
            data["id"]: data for data in (built_in_rules() if built_in is None else built_in)
        }
        own = _own(rules)
        for rule_id, data in own.items():
            if rule_id not in wanted and data.keys() == {"id", "enabled"}:
                raise RuleError(f"rules: id: {rule_id!r} is not a rule that could be switched off")
        wanted.update(own)
        self.rules = []
        for rule_id, data in wanted.items():
            if not _enabled(rule_id, data):
                continue
            rule = Rule(data, self.limits, expression)
            if rule_id in own:
                rule.check()
            self.rules.append(rule)


@cache
def built_in_rules() -> list[dict[str, Any]]:
    """The rules of the collection, file by file, in the order of their names."""
    names = sorted(name for name in os.listdir(_DIRECTORY) if name.endswith(".yml") and name != _LIMITS_FILE)
    return [rule for name in names for rule in _read(name)]


@cache
def built_in_limits() -> dict[str, Any]:
    limits: dict[str, Any] = _read(_LIMITS_FILE)
    return limits


def _read(name: str) -> Any:
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    with open(os.path.join(_DIRECTORY, name), encoding="utf-8") as file:
        return yaml.load(file, Loader=loader)  # noqa: S506 - both loaders are safe ones


def _overridden(limits: Mapping[str, Any], wanted: Any) -> dict[str, Any]:
    if not isinstance(wanted, Mapping):
        raise RuleError(f"limits: {wanted!r} is not accepted; give a mapping of names to numbers")
    for name, value in wanted.items():
        if name not in limits:
            raise RuleError(f"limits: {name!r} is not a limit; accepted are {', '.join(sorted(limits))}")
        if not is_number(value) or value < 0:
            raise RuleError(f"limits: {name}: {value!r} is not accepted; give a number that is not negative")
    return {**limits, **wanted}


def _own(rules: Any) -> dict[str, Mapping[str, Any]]:
    if rules is None:
        return {}
    if not isinstance(rules, (list, tuple)):
        raise RuleError(f"rules: {rules!r} is not accepted; give a list of rules")
    return {_id_of(data): data for data in rules}


def _id_of(data: Any) -> str:
    if not isinstance(data, Mapping):
        raise RuleError(f"rules: {data!r} is not accepted; give a mapping with {', '.join(FIELDS)}")
    rule_id = data.get("id")
    if not isinstance(rule_id, str) or not rule_id:
        raise RuleError(f"rules: id: {rule_id!r} is not accepted; give a text such as tcp.retransmits")
    return rule_id


def _enabled(rule_id: str, data: Mapping[str, Any]) -> bool:
    enabled = data.get("enabled", True)
    if not isinstance(enabled, bool):
        raise RuleError(f"rule {rule_id}: enabled: {enabled!r} is not accepted; give true or false")
    return enabled
