# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The functions that rules may call, beside JMESPath's own. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cache
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils import arithmetic

with suppress(ImportError):  # see packages.MISSING
    from jmespath import exceptions, functions

Evaluate = Callable[[Any], Any]


def _at_least(rows: list[Any], key: _Expression, least: float) -> list[Any]:
    values = ((row, key.expression(row)) for row in rows)
    return [row for row, value in values if arithmetic.is_number(value) and value >= least]


def _within(rows: list[Any], key: _Expression, values: list[Any]) -> list[Any]:
    wanted = [value for value in values if value is not None]
    return [row for row in rows if key.expression(row) in wanted]


def _group_by(rows: list[Any], key: _Expression) -> list[dict[str, Any]]:
    groups: dict[str, dict[str, Any]] = {}
    for row in rows:
        value = key.expression(row)
        groups.setdefault(repr(value), {"key": value, "rows": []})["rows"].append(row)
    return list(groups.values())


def _kernel_at_least(release: str, wanted: str) -> bool:
    return _version(release) >= _version(wanted)


def _version(text: str) -> list[int]:
    """Major and minor number of a kernel release."""
    parts = text.replace("-", ".").split(".")[:2]
    return [int(part) if part.isascii() and part.isdigit() and len(part) < 9 else 0 for part in parts]


def _scope(address: str) -> str | None:
    from ansible_collections.nettriage.linux.plugins.plugin_utils import addresses  # netaddr is slow to import

    return addresses.scope(address)


def _common_prefix(texts: list[Any]) -> str | None:
    from ansible_collections.nettriage.linux.plugins.plugin_utils import addresses

    return addresses.common_prefix(text for text in texts if isinstance(text, str))


# Name: the function, and the JMESPath types of its arguments.
FUNCTIONS: dict[str, tuple[Callable[..., Any], tuple[str, ...]]] = {
    # ratio(part, whole): null where whole is 0
    "ratio": (arithmetic.ratio, ("number", "number")),
    # total(values), peak(values): sum and largest of those that are numbers; null where none is
    "total": (arithmetic.total, ("array",)),
    "peak": (arithmetic.peak, ("array",)),
    # at_least(rows, &field, limit): the rows whose field reaches the limit
    "at_least": (_at_least, ("array", "expref", "number")),
    # within(rows, &field, values): the rows whose field is among the values
    "within": (_within, ("array", "expref", "array")),
    # group_by(rows, &field): [{key, rows}] in the order of first appearance
    "group_by": (_group_by, ("array", "expref")),
    # lower_bound(events, trials): the share that is certain by 95 %
    "lower_bound": (arithmetic.lower_bound, ("number", "number")),
    # bdp_bytes(rtt_ms, bandwidth_mbps): what a full path holds
    "bdp_bytes": (arithmetic.bdp_bytes, ("number", "number")),
    # keepalive_detection_s(time_s, interval_s, probes): until a dead peer is noticed
    "keepalive_detection_s": (arithmetic.keepalive_detection_s, ("number", "number", "number")),
    # kernel_at_least('6.1.0-13-amd64', '5.4')
    "kernel_at_least": (_kernel_at_least, ("string", "string")),
    # scope(address): any, loopback, link_local, multicast, private or global
    "scope": (_scope, ("string",)),
    # common_prefix(addresses): the one network that they are all of; null where there is none
    "common_prefix": (_common_prefix, ("array",)),
}


class _Expression:
    """An argument ``&expression``, with the name and the form that the library's own functions look for."""

    def __init__(self, expression: Evaluate) -> None:
        self.expression = expression

    def visit(self, expression: Evaluate, value: Any) -> Any:
        return expression(value)


def reference(expression: Evaluate) -> Any:
    """What a function gets for an argument ``&expression``."""
    return _Expression(expression)


@cache
def standard() -> Any:
    """The library's own functions."""
    return functions.Functions()


# These say something about null itself.
TAKE_NULL = {"not_null", "type", "to_array", "to_string", "merge"}
_TYPES = {
    bool: "boolean",
    int: "number",
    float: "number",
    str: "string",
    list: "array",
    dict: "object",
    _Expression: "expref",
}


def call(name: str, values: list[Any]) -> Any:
    """What the function *name* makes of *values*.

    :raises JMESPathTypeError: a value of a type that it does not take.
    """
    if name not in FUNCTIONS:
        return standard().call_function(name, values)
    function, wanted = FUNCTIONS[name]
    for value, kind in zip(values, wanted, strict=True):
        if _TYPES.get(type(value)) != kind:
            raise exceptions.JMESPathTypeError(name, value, str(_TYPES.get(type(value), "null")), [kind])
    return function(*values)
