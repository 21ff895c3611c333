# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from multiprocessing import get_context
from pathlib import Path

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import own_files
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.own_files import Directory


def refused(path: Path, make: bool = True) -> str:
    with pytest.raises(Unavailable) as caught:
        Directory(str(path), make)
    return str(caught.value)


def test_made_for_this_user_alone(tmp_path: Path) -> None:
    with Directory(str(tmp_path / "kept"), True) as directory:
        assert directory.read("name") is None
        directory.write("name", b"one")
        directory.write("name", b"two")
        assert directory.read("name") == b"two"
    assert (tmp_path / "kept").stat().st_mode & 0o7777 == 0o700
    assert (tmp_path / "kept/name").stat().st_mode & 0o7777 == 0o600
    assert os.listdir(tmp_path / "kept") == ["name"]


def test_not_made_where_nothing_may_be_written(tmp_path: Path) -> None:
    assert refused(tmp_path / "kept", make=False) == f"{tmp_path}/kept does not exist"
    assert os.listdir(tmp_path) == []


def test_a_directory_that_is_not_ours_alone_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir(0o700)
    (tmp_path / "link").symlink_to("real")
    assert "symbolic link" in refused(tmp_path / "link")
    (tmp_path / "file").touch()
    assert "no directory" in refused(tmp_path / "file")
    (tmp_path / "open").mkdir()
    (tmp_path / "open").chmod(0o755)
    assert "its mode is 0755" in refused(tmp_path / "open")
    assert "does not exist" in refused(tmp_path / "a/b")
    if os.geteuid() == 0:
        os.chown(tmp_path / "real", 65534, -1)
        assert "it belongs to user 65534, not to 0" in refused(tmp_path / "real")


def test_a_file_that_is_not_ours_alone_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "real").touch(0o600)
    (tmp_path / "link").symlink_to("real")
    (tmp_path / "open").touch()
    (tmp_path / "open").chmod(0o666)
    (tmp_path / "large").write_bytes(b"")
    os.truncate(tmp_path / "large", own_files.MAX_BYTES + 1)
    os.mkfifo(tmp_path / "fifo", 0o600)
    with Directory(str(tmp_path), False) as directory:
        for name in ("link", "open", "large", "fifo"):
            with pytest.raises(Unavailable, match="is refused"):
                directory.read(name)


def test_writing_replaces_a_link_and_does_not_follow_it(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    (tmp_path / "victim").write_text("precious")
    (tmp_path / "name").symlink_to("victim")
    (tmp_path / f".name.{os.getpid()}").symlink_to("victim")
    with Directory(str(tmp_path), False) as directory:
        directory.write("name", b"ours")
        assert directory.read("name") == b"ours"
    assert (tmp_path / "victim").read_text() == "precious"


def test_too_much_is_not_written(tmp_path: Path) -> None:
    with Directory(str(tmp_path / "kept"), True) as directory:
        directory.write("name", b"one")
        with pytest.raises(Unavailable, match="more than"):
            directory.write("name", bytes(own_files.MAX_BYTES + 1))
        assert directory.read("name") == b"one"


def test_old_files_do_not_pile_up(tmp_path: Path) -> None:
    tmp_path.chmod(0o700)
    for number in range(own_files.MAX_FILES + 5):
        path = tmp_path / f"old-{number}"
        path.touch(0o600)
        os.utime(path, (number, number))
    with Directory(str(tmp_path), False) as directory:
        directory.write("new", b"x")
    left = set(os.listdir(tmp_path))
    assert len(left) == own_files.MAX_FILES
    assert "new" in left and "old-0" not in left and f"old-{own_files.MAX_FILES + 4}" in left


def _writes(path: str, letter: bytes) -> None:
    with Directory(path, True) as directory:
        for __ in range(100):
            directory.write("name", letter * 50_000)


def test_of_concurrent_runs_one_wins_as_a_whole(tmp_path: Path) -> None:
    path = str(tmp_path / "kept")
    context = get_context("fork")
    writers = [context.Process(target=_writes, args=(path, letter)) for letter in (b"a", b"b")]
    for writer in writers:
        writer.start()
    seen = set()
    while any(writer.is_alive() for writer in writers):
        try:
            with Directory(path, False) as directory:
                seen.add(directory.read("name"))
        except Unavailable:  # not made yet
            continue
    for writer in writers:
        writer.join()
        assert writer.exitcode == 0
    assert seen <= {None, b"a" * 50_000, b"b" * 50_000}
    assert os.listdir(path) == ["name"]
