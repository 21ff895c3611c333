# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""A scrape sees the former metrics or the new ones."""

from __future__ import annotations

import os
import pathlib
import stat
import threading
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.textfile import write


def test_it_is_written_once_for_everybody_to_read(tmp_path: pathlib.Path) -> None:
    before = os.umask(0o077)
    try:
        assert write(str(tmp_path), "a.prom", "x 1\n") == {"changed": True, "path": str(tmp_path / "a.prom")}
    finally:
        os.umask(before)
    assert (tmp_path / "a.prom").read_text() == "x 1\n"
    assert stat.S_IMODE((tmp_path / "a.prom").stat().st_mode) == 0o644
    inode = (tmp_path / "a.prom").stat().st_ino
    assert write(str(tmp_path), "a.prom", "x 1\n")["changed"] is False
    assert (tmp_path / "a.prom").stat().st_ino == inode
    assert write(str(tmp_path), "a.prom", "x 2\n")["changed"] is True
    assert os.listdir(str(tmp_path)) == ["a.prom"]


def test_check_mode_changes_nothing(tmp_path: pathlib.Path) -> None:
    assert write(str(tmp_path), "a.prom", "x 1\n", pretend=True)["changed"] is True
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("name", ["", ".prom", "../a.prom", "/a.prom", "a.txt", "a.prom\n", ".a.prom", "a b.prom"])
def test_a_name_that_would_not_be_read_or_leads_elsewhere(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(BadOption, match="name: "):
        write(str(tmp_path), name, "x 1\n")
    assert os.listdir(str(tmp_path)) == []


@pytest.mark.parametrize("pretend", [False, True])
def test_a_directory_that_is_not_there(tmp_path: pathlib.Path, pretend: bool) -> None:
    with pytest.raises(BadOption, match=r"directory: .*nowhere"):
        write(str(tmp_path / "nowhere"), "a.prom", "x 1\n", pretend)


def test_a_last_line_without_an_end_is_refused(tmp_path: pathlib.Path) -> None:
    with pytest.raises(BadOption, match="content: "):
        write(str(tmp_path), "a.prom", "x 1")


def test_a_link_is_replaced_and_not_followed(tmp_path: pathlib.Path) -> None:
    (tmp_path / "other").write_text("precious")
    (tmp_path / "a.prom").symlink_to(tmp_path / "other")
    write(str(tmp_path), "a.prom", "x 1\n")
    assert (tmp_path / "other").read_text() == "precious" and not (tmp_path / "a.prom").is_symlink()


def test_a_reader_never_sees_half_of_it_nor_two_files(tmp_path: pathlib.Path) -> None:
    """What a collector sees that scrapes all the time."""
    whole = [f"x {number}\n" * 20000 for number in range(2)]
    write(str(tmp_path), "a.prom", whole[0])
    seen: set[Any] = set()
    done = threading.Event()

    def scrape() -> None:
        while not done.is_set():
            files = [name for name in os.listdir(str(tmp_path)) if name.endswith(".prom")]
            seen.add((len(files), all((tmp_path / name).read_text() in whole for name in files)))

    reader = threading.Thread(target=scrape)
    reader.start()
    try:
        for number in range(60):
            write(str(tmp_path), "a.prom", whole[number % 2])
    finally:
        done.set()
        reader.join()
    assert seen == {(1, True)}
