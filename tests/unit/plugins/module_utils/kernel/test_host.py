# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import number, read_int, read_text, shown


@pytest.mark.parametrize(
    ("text", "value"), [("0\n", 0), (" 4096 ", 4096), ("-1", -1), ("18446744073709551615", 2**64 - 1)]
)
def test_a_number(tmp_path: Path, text: str, value: int) -> None:
    (tmp_path / "one").write_text(text)
    assert number(text) == value
    assert read_int(str(tmp_path / "one")) == value


@pytest.mark.parametrize("text", ["", "-", "1_000", "\u0663", "\u00b2", "1 2", "0x10", "1.5", "--1", "+1", "9" * 5000])
def test_what_only_python_takes_for_a_number_is_none(tmp_path: Path, text: str) -> None:
    (tmp_path / "one").write_text(text)
    with pytest.raises(ValueError, match="no number"):
        number(text)
    assert read_int(str(tmp_path / "one")) is None


def test_bytes_that_are_no_text_can_be_shown(tmp_path: Path) -> None:
    (tmp_path / "one").write_bytes(b"a\xff\n")
    assert shown(read_text(str(tmp_path / "one"))).encode("utf-8") == "a\ufffd\n".encode()
