# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""JMESPath for rules: checked when it is compiled, null-safe when it is evaluated. Private to this collection.

The language is JMESPath (jmespath.org), parsed by its own library. The tree is turned into nested Python functions
once, since walking it anew for every host and row costs several times as much. The differences:

- A function of which an argument is null is null (except ``not_null``, ``type`` and the like): facts may be absent.
- Values of types that cannot be ordered compare as null, as the specification says and the library does not.
- Names of functions, their number of arguments, and names of limits are checked before any fact is seen.
- There are more functions: see ``expression_functions``.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.expression_functions import (
    FUNCTIONS,
    TAKE_NULL,
    Evaluate,
    call,
    reference,
    standard,
)

with suppress(ImportError):  # see packages.MISSING
    from jmespath import exceptions
    from jmespath.parser import Parser

# The library's tree: type, value and children. Its own types are not part of its interface.
Node = Any
_SHOWN = 60


class ExpressionError(ValueError):
    """An expression that cannot be compiled or evaluated: one sentence, with the column where there is one."""


class Expression:
    """One compiled expression; calling it with a scope (a dict of the root names) gives its value.

    :ivar limits: the names of limits that it reads.
    :raises ExpressionError: when made: it cannot be compiled; when called: a function got what it cannot take.
    """

    def __init__(self, text: str, roots: Collection[str], limits: Collection[str] = ()) -> None:
        self.text = text
        try:
            tree = _parse(text)
            self.limits = frozenset(_checked(tree, text, roots, limits))
            self._evaluate = _compile(tree)
        except RecursionError:
            raise ExpressionError(f"{text[:_SHOWN]!r} ... is nested too deeply") from None

    def __call__(self, scope: dict[str, Any]) -> Any:
        try:
            return self._evaluate(scope)
        except exceptions.JMESPathTypeError as error:
            raise ExpressionError(
                f"{error.function_name}() takes {' or '.join(error.expected_types)}"
                f" and got {error.actual_type} in {self.text!r}"
            ) from None

    def holds(self, scope: dict[str, Any]) -> bool:
        """Whether the value is true in JMESPath's sense: anything but null, false and what is empty."""
        return not _is_false(self(scope))


def _parse(text: str) -> Node:
    try:
        return Parser().parse(text).parsed
    except exceptions.IncompleteExpressionError:
        raise ExpressionError(f"{text!r} ends too early, at column {len(text) + 1}") from None
    except exceptions.LexerError as error:
        raise ExpressionError(f"{error.message} at column {error.lexer_position + 1} of {text!r}") from None
    except exceptions.ParseError as error:
        hint = "; a number stands in backticks" if isinstance(error.token_value, (int, float)) else ""
        raise ExpressionError(
            f"unexpected '{error.token_value}' at column {error.lex_position + 1} of {text!r}{hint}"
        ) from None
    except exceptions.JMESPathError as error:
        raise ExpressionError(f"{error} {text!r}") from None


# --- What is checked before any fact is seen ---

# Children of these nodes, from the second on, do not see the scope but what the first child found.
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
    if tree["type"] == "expref":
        raise ExpressionError(f"{text!r} is a reference, which only functions take")
    for node, root in _walk(tree, True):
        children = [child["type"] for child in node["children"] if isinstance(child, dict)]
        if "expref" in children and node["type"] != "function_expression":
            raise ExpressionError(f"{text!r} has a reference that is no argument of a function")
        if node["type"] in _NARROWING - {"pipe"} and node["children"][0]["type"] == "not_expression":
            # JMESPath reads !a.b as (!a).b, which is always null.
            raise ExpressionError(f"! at column {text.find('!') + 1} of {text!r} needs parentheses, as in !(a.b)")
        if node["type"] == "function_expression":
            _check_call(node, text)
        elif node["type"] == "field" and root and node["value"] not in roots:
            raise _unknown("name", node["value"], text, roots)
        elif node["type"] == "subexpression" and root:
            first, second, *__ = node["children"]
            if first["type"] == second["type"] == "field" and first["value"] == "limits":
                if second["value"] not in limits:
                    raise _unknown("limit", second["value"], text, limits)
                yield second["value"]


def _check_call(node: Node, text: str) -> None:
    name, given = node["value"], len(node["children"])
    if name in FUNCTIONS:
        wanted, variadic = len(FUNCTIONS[name][1]), False
    elif name in standard().FUNCTION_TABLE:
        signature = standard().FUNCTION_TABLE[name]["signature"]
        wanted, variadic = len(signature), any(argument.get("variadic") for argument in signature)
    else:
        raise _unknown("function", name, text, [*FUNCTIONS, *standard().FUNCTION_TABLE])
    if given < wanted or (given > wanted and not variadic):
        least = "at least " if variadic else ""
        noun = "argument" if wanted == 1 else "arguments"
        raise ExpressionError(
            f"{name}() takes {least}{wanted} {noun}, not {given}, at column {text.find(name) + 1} of {text!r}"
        )


def _unknown(what: str, name: str, text: str, known: Collection[str]) -> ExpressionError:
    return ExpressionError(
        f"{what} {name!r} at column {text.find(name) + 1} of {text!r} does not exist;"
        f" there are {', '.join(sorted(known))}"
    )


# --- From the tree to Python functions: one for each type of node, see jmespath.ast ---


def _is_false(value: Any) -> bool:
    return value is None or value is False or value == "" or value == [] or value == {}


def _equal(left: Any, right: Any) -> bool:
    """As Python, but a boolean is no number."""
    return bool(left == right) and isinstance(left, bool) == isinstance(right, bool)


_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "lt": operator.lt,
    "gt": operator.gt,
    "lte": operator.le,
    "gte": operator.ge,
}
_ORDERED = {int, float, str}


def _compile(node: Node) -> Evaluate:
    return _COMPILERS[node["type"]](node)


def _chain(steps: list[Evaluate]) -> Evaluate:
    def run(value: Any) -> Any:
        for step in steps:
            value = step(value)
        return value

    return run


def _pipeline(node: Node) -> Evaluate:
    """Subexpressions, pipes and the like: each child looks at what the one before it found."""
    if all(child["type"] == "field" for child in node["children"]):
        return _path([child["value"] for child in node["children"]])
    return _chain([_compile(child) for child in node["children"]])


def _path(names: list[str]) -> Evaluate:
    def run(value: Any) -> Any:
        for name in names:
            if not isinstance(value, dict):
                return None
            value = value.get(name)
        return value

    return run


def _field(node: Node) -> Evaluate:
    name = node["value"]
    return lambda value: value.get(name) if isinstance(value, dict) else None


def _literal(node: Node) -> Evaluate:
    literal = node["value"]
    return lambda value: literal


def _current(node: Node) -> Evaluate:
    return lambda value: value


def _index(node: Node) -> Evaluate:
    index = node["value"]

    def run(value: Any) -> Any:
        return value[index] if isinstance(value, list) and -len(value) <= index < len(value) else None

    return run


def _slice(node: Node) -> Evaluate:
    part = slice(*node["children"])
    return lambda value: value[part] if isinstance(value, list) else None


def _comparator(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])
    if node["value"] == "eq":
        return lambda value: _equal(left(value), right(value))
    if node["value"] == "ne":
        return lambda value: not _equal(left(value), right(value))
    compare = _ORDER[node["value"]]

    def run(value: Any) -> bool | None:
        one = left(value)
        if type(one) not in _ORDERED:
            return None
        other = right(value)
        if type(other) not in _ORDERED or isinstance(one, str) != isinstance(other, str):
            return None
        return compare(one, other)

    return run


def _and(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def run(value: Any) -> Any:
        first = left(value)
        return first if _is_false(first) else right(value)

    return run


def _or(node: Node) -> Evaluate:
    left, right = map(_compile, node["children"])

    def run(value: Any) -> Any:
        first = left(value)
        return right(value) if _is_false(first) else first

    return run


def _not(node: Node) -> Evaluate:
    inner = _compile(node["children"][0])
    return lambda value: _is_false(inner(value))


def _project(rows: list[Any], each: Evaluate) -> list[Any]:
    return [found for row in rows if (found := each(row)) is not None]


def _projection(node: Node) -> Evaluate:
    base, each = map(_compile, node["children"])

    def run(value: Any) -> list[Any] | None:
        rows = base(value)
        return _project(rows, each) if isinstance(rows, list) else None

    return run


def _value_projection(node: Node) -> Evaluate:
    base, each = map(_compile, node["children"])

    def run(value: Any) -> list[Any] | None:
        rows = base(value)
        return _project(list(rows.values()), each) if isinstance(rows, dict) else None

    return run


def _filter_projection(node: Node) -> Evaluate:
    base, each, condition = map(_compile, node["children"])

    def run(value: Any) -> list[Any] | None:
        rows = base(value)
        if not isinstance(rows, list):
            return None
        return _project([row for row in rows if not _is_false(condition(row))], each)

    return run


def _flatten(node: Node) -> Evaluate:
    base = _compile(node["children"][0])

    def run(value: Any) -> list[Any] | None:
        rows = base(value)
        if not isinstance(rows, list):
            return None
        return [inner for row in rows for inner in (row if isinstance(row, list) else [row])]

    return run


def _multi_select_list(node: Node) -> Evaluate:
    children = [_compile(child) for child in node["children"]]
    return lambda value: None if value is None else [child(value) for child in children]


def _multi_select_dict(node: Node) -> Evaluate:
    children = [(child["value"], _compile(child["children"][0])) for child in node["children"]]
    return lambda value: None if value is None else {name: child(value) for name, child in children}


def _expref(node: Node) -> Evaluate:
    expression = reference(_compile(node["children"][0]))
    return lambda value: expression


def _function(node: Node) -> Evaluate:
    name, arguments = node["value"], [_compile(child) for child in node["children"]]
    takes_null = name in TAKE_NULL

    def run(value: Any) -> Any:
        values = [argument(value) for argument in arguments]
        if not takes_null and any(each is None for each in values):
            return None
        return call(name, values)

    return run


_COMPILERS: dict[str, Callable[[Node], Evaluate]] = {
    "subexpression": _pipeline,
    "index_expression": _pipeline,
    "pipe": _pipeline,
    "field": _field,
    "literal": _literal,
    "current": _current,
    "identity": _current,
    "index": _index,
    "slice": _slice,
    "comparator": _comparator,
    "and_expression": _and,
    "or_expression": _or,
    "not_expression": _not,
    "projection": _projection,
    "value_projection": _value_projection,
    "filter_projection": _filter_projection,
    "flatten": _flatten,
    "multi_select_list": _multi_select_list,
    "multi_select_dict": _multi_select_dict,
    "expref": _expref,
    "function_expression": _function,
}
