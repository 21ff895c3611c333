# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import ExpressionError
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template

_PROCESS = {"pid": 7, "command": "nginx", "unit": "nginx.service", "container": None}


def _written(text: str, item: Any) -> str:
    return Template(text, ("item",))({"item": item})


@pytest.mark.parametrize(
    ("text", "item", "expected"),
    [
        ("{item}", "a", "a"),
        ("{item}", True, "yes"),
        ("{item}", 0.000001234567, "1.23457e-06"),
        ("{item|count}", 1234567, "1 234 567"),
        ("{item|percent}", 0.01234, "1.23 %"),
        ("{item|bytes}", 6291456, "6 MiB"),
        ("{item|bytes}", 512, "512 B"),
        ("{item|ms}", 0.25, "0.25 ms"),
        ("{item|mbps}", 10000, "10000 Mbit/s"),
        ("{item|percent}", "damaged", "damaged"),
        ("{item|bytes}", None, "unknown"),
        ("{item|process}", _PROCESS, "nginx[7] (nginx.service)"),
        ("{item|process}", {"pid": 7, "command": "nginx", "container": "web"}, "nginx[7] (web)"),
        (
            "{item|process}",
            {
                "pid": 7,
                "command": "nginx",
                "unit": f"docker-{'0123456789ab' * 5}cdef.scope",
                "container": f"{'0123456789ab' * 5}cdef",
            },
            "nginx[7] (container 0123456789ab)",
        ),
        (
            "{item|process}",
            {"pid": 7, "command": "nginx", "unit": "nginx.service", "container": f"{'0123456789ab' * 5}cdef"},
            "nginx[7] (nginx.service in container 0123456789ab)",
        ),
        ("{item|process}", None, "unknown process"),
        ("{item|process}", {"unowned": 4}, "unknown process"),
        ("{item|processes}", [], "unknown process"),
        ("{item|processes}", [_PROCESS] * 5, "nginx[7] (nginx.service)"),
        (
            "{item|processes}",
            [{**_PROCESS, "pid": pid} for pid in range(1, 6)],
            "nginx[1, 2, 3 and 2 more] (nginx.service)",
        ),
        (
            "{item|processes}",
            [_PROCESS, {"pid": 8, "command": "sh"}, None],
            "nginx[7] (nginx.service), sh[8], unknown process",
        ),
        ("{item|processes}", "damaged", "unknown process"),
        ("{item}", ["a", "b"], "a, b"),
        ("{item}", ["a", "b", "a"] * 2, "a, b"),
        ("{item}", [], "none"),
        ("{item|endpoint}", {"address": "::1", "port": 80}, "[::1]:80"),
        ("{item|endpoint}", {"address": 5}, "unknown"),
        ("{item|host}", "[2001:db8::1]:80", "2001:db8::1"),
        ("{item|host}", "10.0.0.1:80", "10.0.0.1"),
        ("{item[?a > `1`].b | [0]|count}", [{"a": 2, "b": 3}], "3"),
        (r"\{item\} {item}", "x", "{item} x"),
    ],
)
def test_formats(text: str, item: Any, expected: str) -> None:
    assert _written(text, item) == expected


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{item", "lonely '{' at column 1"),
        ("a}", "lonely '}' at column 2"),
        ("{item|euro}", "format 'euro'"),
        ("{}", "empty"),
    ],
)
def test_a_wrong_text_says_where(text: str, says: str) -> None:
    with pytest.raises(ExpressionError) as raised:
        Template(text, ("item",))
    assert says in str(raised.value)
