# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The compiled expressions mean what JMESPath means, and a wrong one says where it is wrong."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import Expression, ExpressionError

_ROOTS = ("facts", "item", "limits")
_ALL = (*_ROOTS, "a", "b")
_NAMES = st.sampled_from(_ALL)
_SCALARS = st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.5, "", "a", "b"])
_VALUES = st.recursive(
    _SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3), max_leaves=12
)


def _joined(template: str, *parts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*parts).map(lambda given: template.format(*given))


def _larger(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    compare = st.sampled_from(["==", "!=", "<", "<=", ">", ">="])
    return st.one_of(
        _joined("{}.{}", inner, _NAMES),
        _joined("({}) | {}", inner, inner),
        _joined("({})[0]", inner),
        _joined("({})[-1:]", inner),
        _joined("({})[*].{}", inner, _NAMES),
        _joined("({}).*.{}", inner, _NAMES),
        _joined("({})[].{}", inner, _NAMES),
        _joined("({})[?{}].{}", inner, inner, _NAMES),
        _joined("({}) {} ({})", inner, compare, inner),
        _joined("({}) && ({})", inner, inner),
        _joined("({}) || ({})", inner, inner),
        _joined("!({})", inner),
        _joined("[{}, {}]", inner, inner),
        _joined("{{a: {}, b: {}}}", inner, inner),
        _joined("not_null({}, {})", inner, inner),
        _joined("type({})", inner),
        _joined("to_array({})", inner),
        _joined("map(&{}, to_array({}))", inner, inner),
    )


_EXPRESSIONS = st.recursive(
    _NAMES | st.sampled_from(["`0`", "`1`", "`true`", "`null`", "'a'", "@"]), _larger, max_leaves=6
)


@given(_EXPRESSIONS, st.fixed_dictionaries(dict.fromkeys(_ALL, _VALUES)))
def test_means_what_jmespath_means(text: str, scope: dict[str, Any]) -> None:
    try:
        expected = jmespath.search(text, scope)
    except TypeError:  # the library compares numbers with texts
        return
    try:
        expression = Expression(text, _ALL, _ALL)
    except ExpressionError as error:  # what is always null is refused
        assert "needs parentheses" in str(error)
        return
    assert expression(scope) == expected


@pytest.mark.parametrize(
    ("text", "scope", "value"),
    [
        ("ratio(item.a, item.b)", {"item": {"a": 1, "b": 4}}, 0.25),
        ("ratio(item.a, item.b)", {"item": {"a": 1, "b": 0}}, None),
        ("ratio(item.a, item.b)", {"item": {"a": 1}}, None),
        ("total(item)", {"item": [1, None, 2.5, True, "3"]}, 3.5),
        ("total(item)", {"item": []}, None),
        ("peak(item)", {"item": [1, None, 7]}, 7),
        ("peak(item)", {"item": [None]}, None),
        ("at_least(item, &a, `2`)[].a", {"item": [{"a": 1}, {"a": 2}, {"a": None}, {"a": "9"}]}, [2]),
        ("within(item, &a, [`1`, `null`])[].a", {"item": [{"a": 1}, {"a": None}, {"a": 2}, {}, 7]}, [1]),
        ("within(item, &a, item[0].b)", {"item": [{"a": 1}]}, None),
        ("group_by(item, &a)[].[key, length(rows)]", {"item": [{"a": 1}, {"a": None}, {"a": 1}]}, [[1, 2], [None, 1]]),
        ("lower_bound(`5`, `100`) < `0.05`", {}, True),
        ("lower_bound(`9`, `3`)", {}, None),
        ("bdp_bytes(`80`, `1000`)", {}, 10_000_000),
        ("keepalive_detection_s(`7200`, `75`, `9`)", {}, 7875),
        ("kernel_at_least('5.4.0-1', '5.4')", {}, True),
        ("kernel_at_least('4.18.0-513.el8', '5.4')", {}, False),
        ("kernel_at_least('6-rc', '5.4')", {}, True),
        ("scope('::ffff:127.0.0.1')", {}, "loopback"),
        ("scope('no address')", {}, None),
        ("common_prefix(item)", {"item": ["10.0.0.1", "10.0.0.2", None]}, "10.0.0.0/30"),
        ("contains(item.none, 'a')", {"item": {}}, None),
        ("item.a > 'x'", {"item": {"a": 1}}, None),
        ("item.a < `1`", {"item": {"a": None}}, None),
    ],
)
def test_more_than_jmespath(text: str, scope: dict[str, Any], value: Any) -> None:
    assert Expression(text, _ROOTS)(scope) == value


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("item.a >", "ends too early, at column 9"),
        ("item.a ) b", "unexpected ')' at column 8"),
        ("item.a == 5", "unexpected '5' at column 11 of 'item.a == 5'; a number stands in backticks"),
        ("item.#", "at column 6"),
        ("", "cannot be empty"),
        ("itm.a", "name 'itm' at column 1 of 'itm.a' does not exist; there are facts, item, limits"),
        ("item.a > limits.b", "limit 'b' at column"),
        ("item.a > nope(item)", "function 'nope' at column 10"),
        ("ratio(item.a)", "ratio() takes 2 arguments, not 1, at column 1"),
        ("length(item, item)", "length() takes 1 argument, not 2"),
        ("not_null()", "not_null() takes at least 1 argument, not 0"),
        ("!item.a", "! at column 1 of '!item.a' needs parentheses"),
        ("item.a && !item.b[?c]", "! at column 11"),
    ],
)
def test_a_wrong_expression_says_where(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Expression(text, _ROOTS, ("known",))
    assert says in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("text", ["abs(item)", "ratio(item, item)", "at_least(item, &a, `1`)", "scope(item)"])
def test_a_function_that_gets_what_it_cannot_take_is_named(text: str) -> None:
    with pytest.raises(ExpressionError, match=r"^\w+\(\) takes \w+ and got object in"):
        Expression(text, _ROOTS)({"item": {"a": 1}})


def test_tells_which_limits_it_reads() -> None:
    text = "item.a > limits.one || (item.b && item.c[?d > `1`] && ratio(item.a, limits.two) < `1`)"
    assert Expression(text, _ROOTS, ("one", "two", "three")).limits == {"one", "two"}


def test_what_is_nested_too_deeply_is_told() -> None:
    with pytest.raises(ExpressionError, match="nested too deeply"):
        Expression("[" * 5000, ("facts",))


@pytest.mark.parametrize("text", ["&a", "[&a]", "{x: &a}", "a || &b"])
def test_a_reference_is_only_for_functions(text: str) -> None:
    """It is no value: nothing could write it down."""
    with pytest.raises(ExpressionError, match="reference"):
        Expression(text, ("a", "b"))
