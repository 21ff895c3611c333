# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, fit, pad, sentence, width, wrapped

ANY = st.text(st.characters(), max_size=40)


@given(ANY)
def test_clean_text_moves_no_cursor_and_turns_no_direction(text: str) -> None:
    """No control, format, bidirectional, separator or surrogate character is left."""
    cleaned = clean(text)
    assert cleaned.isprintable()
    assert not {unicodedata.category(char) for char in cleaned} & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    cleaned.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("nginx: worker", "nginx: worker"),
        ("Köln-ß-日本", "Köln-ß-日本"),
        ("red\x1b[31m", "red\\x1b[31m"),
        ("a\nb\tc\r", "a b c "),
        ("exe.\u202egnp", "exe.\\u202egnp"),
        ("zero\u200bwidth", "zero\\u200bwidth"),
        ("\ud800", "\\ud800"),
        ("\U000e0041", "\\U000e0041"),
        (None, "None"),
        (7, "7"),
    ],
)
def test_what_is_dangerous_becomes_visible(text: object, shown: str) -> None:
    assert clean(text) == shown


@given(ANY.map(clean), st.integers(1, 30))
def test_fitting_text_is_never_wider_than_the_columns(text: str, columns: int) -> None:
    assert width(fit(text, columns)) <= columns
    assert width(pad(text, columns)) == columns


def test_wide_characters_take_two_columns() -> None:
    assert width("日本") == 4
    assert fit("日本語", 5) == "日本…"
    assert width("e\u0301") == 1


def test_a_sentence_is_one_line_of_bounded_length() -> None:
    assert sentence("  a\n\n b ") == "a b"
    assert len(sentence("x" * 900)) == 300


@given(st.text("ab 日é\u0301", max_size=40), st.integers(2, 12))
def test_wrapped_text_loses_nothing_and_fits(text: str, columns: int) -> None:
    lines = wrapped(text, columns)
    assert lines and max(map(width, lines)) <= columns
    assert "".join(lines).replace(" ", "") == text.replace(" ", "")


def test_words_stay_whole_where_there_is_room() -> None:
    assert wrapped("report-server[9565] does not fetch", 24) == ["report-server[9565] does", "not fetch"]
    assert wrapped("a 0123456789 b", 4) == ["a", "0123", "4567", "89 b"]
    assert wrapped("", 4) == [""]
