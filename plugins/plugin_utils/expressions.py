# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath for rules: checked when it is compiled, null-safe when it is evaluated. Private to this collection.

The language is JMESPath (jmespath.org) with these differences:

- A function of which an argument is null is null (except ``not_null``, ``type`` and the like): facts may be absent.
- Values of types that cannot be ordered compare as null, as the specification says.
- Names of functions, their number of arguments, and names of limits are checked before any fact is seen.
- More functions: see :class:`_Functions`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import Any

from jmespath import exceptions, functions, visitor
from jmespath.parser import Parser

from ansible_collections.nettriage.linux.plugins.plugin_utils import arithmetic

Node = dict[str, Any]
# These say something about null itself.
_TAKE_NULL = {"not_null", "type", "to_array", "to_string", "merge"}
_NUMBER = {"types": ["number"]}
_STRING = {"types": ["string"]}
_ARRAY = {"types": ["array"]}
_EXPREF = {"types": ["expref"]}


class ExpressionError(ValueError):
    """An expression that cannot be compiled or evaluated: one sentence, with the column where there is one."""


class _Functions(functions.Functions):
    """JMESPath's own functions and ours. An array's members that are no numbers are passed over by ours."""

    def call_function(self, function_name: str, resolved_args: list[Any]) -> Any:
        if None in resolved_args and function_name not in _TAKE_NULL:
            return None
        return super().call_function(function_name, resolved_args)

    @functions.signature(_NUMBER, _NUMBER)
    def _func_ratio(self, part: float, whole: float) -> float | None:
        """``ratio(part, whole)``: null where *whole* is 0."""
        return arithmetic.ratio(part, whole)

    @functions.signature(_ARRAY)
    def _func_total(self, values: list[Any]) -> float | None:
        """``total(values)``: the sum; null where there is nothing to add."""
        return arithmetic.total(values)

    @functions.signature(_ARRAY)
    def _func_peak(self, values: list[Any]) -> float | None:
        """``peak(values)``: the largest; null where there is none."""
        return arithmetic.peak(values)

    @functions.signature(_ARRAY, _EXPREF, _NUMBER)
    def _func_at_least(self, rows: list[Any], key: Any, least: float) -> list[Any]:
        """``at_least(rows, &field, limit)``: the rows whose field reaches the limit."""
        values = ((row, key.visit(key.expression, row)) for row in rows)
        return [row for row, value in values if arithmetic.is_number(value) and value >= least]

    @functions.signature(_ARRAY, _EXPREF)
    def _func_group_by(self, rows: list[Any], key: Any) -> list[Node]:
        """``group_by(rows, &field)``: ``[{key, rows}]`` in the order of first appearance."""
        groups: dict[str, Node] = {}
        for row in rows:
            value = key.visit(key.expression, row)
            groups.setdefault(repr(value), {"key": value, "rows": []})["rows"].append(row)
        return list(groups.values())

    @functions.signature(_NUMBER, _NUMBER)
    def _func_lower_bound(self, events: float, trials: float) -> float | None:
        """``lower_bound(events, trials)``: the share that is certain by 95 %."""
        return arithmetic.lower_bound(events, trials)

    @functions.signature(_NUMBER, _NUMBER)
    def _func_bdp_bytes(self, rtt_ms: float, bandwidth_mbps: float) -> int:
        """``bdp_bytes(rtt_ms, bandwidth_mbps)``: what a full path holds."""
        return arithmetic.bdp_bytes(rtt_ms, bandwidth_mbps)

    @functions.signature(_NUMBER, _NUMBER, _NUMBER)
    def _func_keepalive_detection_s(self, time_s: float, interval_s: float, probes: float) -> float:
        """``keepalive_detection_s(time_s, interval_s, probes)``: until a dead peer is noticed."""
        return arithmetic.keepalive_detection_s(time_s, interval_s, probes)

    @functions.signature(_STRING, _STRING)
    def _func_kernel_at_least(self, release: str, wanted: str) -> bool:
        """``kernel_at_least('6.1.0-13-amd64', '5.4')``."""
        return _version(release) >= _version(wanted)

    @functions.signature(_STRING)
    def _func_scope(self, address: str) -> str | None:
        """``scope(address)``: any, loopback, link_local, multicast, private or global."""
        from ansible_collections.nettriage.linux.plugins.plugin_utils import addresses

        return addresses.scope(address)

    @functions.signature(_ARRAY)
    def _func_common_prefix(self, texts: list[Any]) -> str | None:
        """``common_prefix(addresses)``: the one network that they are all of; null where there is none."""
        from ansible_collections.nettriage.linux.plugins.plugin_utils import addresses

        return addresses.common_prefix(text for text in texts if isinstance(text, str))


def _version(text: str) -> list[int]:
    """Major and minor number of a kernel release."""
    parts = text.replace("-", ".").split(".")[:2]
    return [int(part) if part.isdigit() else 0 for part in parts]


class _Interpreter(visitor.TreeInterpreter):
    def visit_comparator(self, node: Node, value: Any) -> Any:
        try:
            return super().visit_comparator(node, value)
        except TypeError:  # a number against a string: damaged facts
            return None


_INTERPRETER = _Interpreter(visitor.Options(custom_functions=_Functions()))


class Expression:
    """One compiled expression; calling it with a scope (a dict of the root names) gives its value.

    :ivar limits: the names of limits that it reads.
    :raises ExpressionError: when made, that it cannot be compiled; when called, that a function got what it cannot take.
    """

    def __init__(self, text: str, roots: Collection[str], limits: Collection[str] = ()) -> None:
        self.text = text
        self._tree: Node = _parse(text)
        self.limits = frozenset(_checked(self._tree, text, roots, limits))

    def __call__(self, scope: dict[str, Any]) -> Any:
        try:
            return _INTERPRETER.visit(self._tree, scope)
        except exceptions.JMESPathTypeError as error:
            raise ExpressionError(
                f"{error.function_name}() takes {' or '.join(error.expected_types)}"
                f" and got {error.actual_type} in {self.text!r}"
            ) from error

    def holds(self, scope: dict[str, Any]) -> bool:
        """Whether the value is true in JMESPath's sense: anything but null, false and what is empty."""
        value = self(scope)
        return value is not None and value is not False and value not in ("", [], {})


def _parse(text: str) -> Node:
    try:
        tree: Node = Parser().parse(text).parsed
    except exceptions.IncompleteExpressionError as error:
        raise ExpressionError(f"{text!r} ends too early, at column {len(text) + 1}") from error
    except exceptions.LexerError as error:
        column = error.lexer_position + 1
        raise ExpressionError(f"{error.message} at column {column} of {text!r}") from error
    except exceptions.ParseError as error:
        column = error.lex_position + 1
        raise ExpressionError(f"unexpected {error.token_value!r} at column {column} of {text!r}") from error
    except exceptions.EmptyExpressionError as error:
        raise ExpressionError("the expression is empty") from error
    return tree


# Children of these nodes that do not see the scope but what the first child found.
_NARROWING = {"subexpression", "index_expression", "projection", "value_projection", "filter_projection", "pipe"}


def _walk(node: Node, root: bool) -> Iterator[tuple[Node, bool]]:
    """Every node, and whether it looks at the root."""
    yield node, root
    narrows = node["type"] in _NARROWING
    for number, child in enumerate(node["children"]):
        if isinstance(child, dict):
            yield from _walk(child, root and node["type"] != "expref" and not (narrows and number))


def _checked(tree: Node, text: str, roots: Collection[str], limits: Collection[str]) -> Iterator[str]:
    """Yield the limits that are read.

    :raises ExpressionError: an unknown function, root name or limit, or a wrong number of arguments.
    """
    for node, root in _walk(tree, True):
        if node["type"] == "function_expression":
            _check_call(node, text)
        elif node["type"] == "field" and root and node["value"] not in roots:
            raise _unknown("name", node["value"], text, roots)
        elif node["type"] == "subexpression" and root:
            first, second, *_ = node["children"]
            if first["type"] == second["type"] == "field" and first["value"] == "limits":
                if second["value"] not in limits:
                    raise _unknown("limit", second["value"], text, limits)
                yield second["value"]


def _check_call(node: Node, text: str) -> None:
    name, given = node["value"], len(node["children"])
    known = _Functions.FUNCTION_TABLE
    if name not in known:
        raise _unknown("function", name, text, known)
    wanted = known[name]["signature"]
    variadic = bool(wanted) and bool(wanted[-1].get("variadic"))
    if given < len(wanted) or (given > len(wanted) and not variadic):
        least = "at least " if variadic else ""
        raise ExpressionError(
            f"{name}() takes {least}{len(wanted)} arguments, not {given}, at column {text.find(name) + 1} of {text!r}"
        )


def _unknown(what: str, name: str, text: str, known: Collection[str]) -> ExpressionError:
    return ExpressionError(
        f"{what} {name!r} at column {text.find(name) + 1} of {text!r} does not exist; there are {', '.join(sorted(known))}"
    )
