# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said about many findings is said once."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.report.alike import shared, variants


def row(host: str, **said: Any) -> tuple[str, dict[str, Any]]:
    return host, {"id": "tcp.some", "severity": "warning", "cause": "It is.", "advice": [], "refused": [], **said}


def test_rows_that_differ_in_numbers_only_are_one_variant() -> None:
    rows = [row(str(n), advice=[f"Look in worker[{n}] ({n} B)."]) for n in range(3)] + [
        row("other", cause="It is not.")
    ]
    first, second = variants(rows)
    assert [host for host, __ in first.rows] == ["0", "1", "2"]
    assert first.advice == ["Look in worker[…] (… B)."]
    assert (second.cause, second.advice) == ("It is not.", [])


def test_other_programs_are_another_variant() -> None:
    said = variants([row("a", advice=["Look in nginx."]), row("b", advice=["Look in redis."])])
    assert [variant.advice for variant in said] == [["Look in nginx."], ["Look in redis."]]


def test_refusals_keep_their_reason() -> None:
    (said,) = variants([row(str(n), refused=[{"remedy": "buffers", "why": f"{n} are enough"}]) for n in (1, 2)])
    assert said.refused == [("buffers", "… are enough")]


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["same", "same"], "same"),
        (["a[1].", "a[22]."], "a[…]."),
        (["to 10.0.0.1:80 now", "to 10.0.0.2:80 now"], "to … now"),
        (["longer than the other", "the other"], "longer than the other"),
    ],
)
def test_what_differs_is_left_out(texts: list[str], expected: str) -> None:
    assert shared(texts) == expected


@given(st.lists(st.lists(st.text(max_size=6), max_size=3), min_size=1, max_size=5))
def test_no_row_gets_lost(advice: list[list[str]]) -> None:
    rows = [row(str(number), advice=texts) for number, texts in enumerate(advice)]
    said = variants(rows)
    assert sorted(host for variant in said for host, __ in variant.rows) == sorted(host for host, __ in rows)
    assert all(len(variant.advice) == len(finding["advice"]) for variant in said for __, finding in variant.rows)
