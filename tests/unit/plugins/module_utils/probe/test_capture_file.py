# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file of a capture: nobody else's, whole or not there, and never more than its share."""

from __future__ import annotations

import errno
import os
import pathlib
import stat
import subprocess
import sys
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_file
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_file import CaptureFile


@pytest.fixture(params=["nameless", "named"])
def folder(request: pytest.FixtureRequest, tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A directory on a file system with and without O_TMPFILE."""
    if request.param == "named":
        real = os.open

        def without(path: Any, flags: int, mode: int = 0o777, *, dir_fd: int | None = None) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "no such thing here")
            return real(path, flags, mode, dir_fd=dir_fd)

        monkeypatch.setattr(os, "open", without)
    return tmp_path


def test_it_is_there_once_it_is_kept(folder: pathlib.Path) -> None:
    path = folder / "a.pcap"
    before = os.umask(0)
    try:
        with CaptureFile(str(path), 1000) as file:
            file.write(b"12")
            file.write(b"345")
            assert not path.exists() and file.size == 5 and file.room() == 995
            assert file.reread().read() == b"12345"
            file.keep()
    finally:
        os.umask(before)
    assert path.read_bytes() == b"12345"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(folder) == ["a.pcap"]


@pytest.mark.parametrize("kept", [False, True])
def test_a_failure_leaves_nothing(folder: pathlib.Path, kept: bool) -> None:
    def fail() -> None:
        with CaptureFile(str(folder / "a.pcap"), 1000) as file:
            file.write(b"12")
            if kept:
                file.keep()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert os.listdir(folder) == []


def test_nothing_is_overwritten(folder: pathlib.Path) -> None:
    path = folder / "a.pcap"
    (folder / "link").symlink_to(folder / "elsewhere")
    path.write_text("mine")
    for name in ("a.pcap", "link"):
        with pytest.raises(BadOption, match="does not exist yet"):
            CaptureFile(str(folder / name), 1000)
    with CaptureFile(str(folder / "b.pcap"), 1000) as file:
        (folder / "b.pcap").write_text("mine, too")
        with pytest.raises(BadOption, match="does not exist yet"):
            file.keep()
    assert path.read_text() == "mine" and (folder / "b.pcap").read_text() == "mine, too"
    assert sorted(os.listdir(folder)) == ["a.pcap", "b.pcap", "link"]


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("a.pcap", "absolute path"),
        ("/", "absolute path"),
        ("/nonexistent/a.pcap", "/nonexistent: No such file or directory"),
    ],
)
def test_paths_that_are_none(path: str, said: str) -> None:
    with pytest.raises(BadOption, match=said):
        CaptureFile(path, 1000)


def test_a_directory_that_others_can_write_to(tmp_path: pathlib.Path) -> None:
    for mode, accepted in ((0o777, False), (0o770, False), (0o1777, True), (0o755, True)):
        tmp_path.chmod(mode)
        if accepted:
            with CaptureFile(str(tmp_path / "a.pcap"), 1000):
                continue
        with pytest.raises(BadOption, match="only its owner can write to"):
            CaptureFile(str(tmp_path / "a.pcap"), 1000)


def test_no_more_than_half_of_what_is_free(folder: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Free:
        f_frsize = 1000
        f_bavail = 1000

    monkeypatch.setattr(os, "fstatvfs", lambda descriptor: Free)
    monkeypatch.setattr(capture_file, "_LOOK_EVERY_BYTES", 1000)
    with CaptureFile(str(folder / "a.pcap"), 10**9) as file:
        assert file.room() == 500_000
        file.write(bytes(1000))
        Free.f_bavail = 4  # somebody else fills the disk
        assert file.room() == 2000
    Free.f_bavail = 100
    with pytest.raises(Unavailable, match="50000 bytes, which is too little"), CaptureFile(
        str(folder / "a.pcap"), 10**9
    ) as file:
        file.begin(b"head")


def test_a_ring_keeps_the_last_and_never_more_than_its_limit(folder: pathlib.Path) -> None:
    records = [b"%06d" % number for number in range(1000)]
    path = folder / "a.pcap"
    with CaptureFile(str(path), 600, ring=True) as file:
        file.begin(b"head")
        for record in records:
            if len(record) > file.room():
                file.turn()
            file.write(record)
            assert file.size <= 400
            assert len(os.listdir(folder)) <= 2
        kept = file.reread().read()
        file.keep()
    assert kept == path.read_bytes() and os.listdir(folder) == ["a.pcap"]
    assert kept.startswith(b"head") and len(kept) >= 200
    assert b"".join(records).endswith(kept[4:])
    with CaptureFile(str(folder / "b.pcap"), 600, ring=True) as file:  # one that never turned
        file.begin(b"head")
        file.write(b"1")
        assert file.reread().read() == b"head1"


def test_a_full_disk_is_one_sentence(folder: pathlib.Path) -> None:
    with CaptureFile(str(folder / "a.pcap"), 1000) as file:
        file._newer.file = os.fdopen(os.open("/dev/full", os.O_RDWR), "w+b", 0)
        with pytest.raises(Unavailable, match=r"a\.pcap: No space left on device"):
            file.write(b"1")
    assert os.listdir(folder) == []


def test_what_dead_captures_left_is_swept(tmp_path: pathlib.Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "pass"]) as gone:
        gone.wait()
    own = capture_file._started_at(os.getpid())
    dead = [f".nettriage-capture-{gone.pid}-1-1.partial", f".nettriage-capture-{os.getpid()}-1-2.partial"]
    others = [f".nettriage-capture-{os.getpid()}-{own}-1.partial", "a.partial"]
    for name in (*dead, *others):
        (tmp_path / name).touch()
    with CaptureFile(str(tmp_path / "b.pcap"), 1000):
        assert sorted(os.listdir(tmp_path)) == sorted(others)
