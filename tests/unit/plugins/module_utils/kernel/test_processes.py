# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib
import socket
import sys

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import processes
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """Three processes: a server, its child with the same listener, and one with a name that is an attack."""
    for pid, command, links in (
        (10, b"server\n", ["socket:[100]", "socket:[101]", "/dev/null"]),
        (11, b"server\n", ["socket:[100]", "socket:[102]"]),
        (12, b"a\nb\x1b\xff)\n", ["socket:[103]", "pipe:[100]"]),
    ):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_bytes(command)
        (tmp_path / str(pid) / "cgroup").write_text("0::/system.slice/web.service\n")
        for number, link in enumerate(links):
            os.symlink(link, tmp_path / str(pid) / "fd" / str(number))
    (tmp_path / "self").mkdir()
    (tmp_path / "13").mkdir()  # has gone: no fd any more
    return Host(str(tmp_path), str(tmp_path))


def test_every_holder_of_a_shared_socket_is_named(host: Host) -> None:
    assert processes.holders(host, [], [100]).pids == {100: [10, 11]}


def test_one_holder_of_other_sockets_is_enough(host: Host) -> None:
    assert processes.holders(host, [100, 102]).pids == {100: [10], 102: [11]}


def test_nobody_holds_what_is_no_socket(host: Host) -> None:
    assert processes.holders(host, [7, 100, 103]).pids == {100: [10], 103: [12]}


def test_nothing_is_read_where_nothing_is_wanted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processes, "_links", None)
    assert processes.holders(host, []) == ({}, 0)


def test_the_search_ends_when_all_are_found(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[str] = []
    links = processes._links

    def counting(path: str) -> list[str]:
        read.append(path)
        return links(path)

    monkeypatch.setattr(processes, "_links", counting)
    processes.holders(host, [101])
    assert len(read) == 1


def test_hidden_descriptors_are_counted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def links(path: str) -> list[str]:
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(processes, "_links", links)
    assert processes.holders(host, [100]) == ({}, 4)


def test_a_descriptor_that_is_closed_meanwhile_costs_only_itself(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    names = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: [*names(path), "99"] if isinstance(path, int) else names(path))
    assert processes.holders(host, [101, 102]).pids == {101: [10], 102: [11]}


def test_descriptors_with_gaps_between_are_found() -> None:
    first, second = socket.socket(), socket.socket()
    with second:
        high = os.dup2(second.fileno(), 900)
        first.close()
        try:
            assert processes.holders(Host(), [os.fstat(high).st_ino]).pids == {os.fstat(high).st_ino: [os.getpid()]}
        finally:
            os.close(high)


def test_sockets_of_a_process_by_pid_and_by_name(host: Host) -> None:
    assert processes.sockets_of(host, "10") == {100, 101}
    assert processes.sockets_of(host, "server") == {100, 101, 102}
    assert processes.sockets_of(host, "nobody") == set()


def test_who_a_process_is(host: Host) -> None:
    assert processes.describe(host, 10) == (10, "server", "web.service", None)
    assert processes.describe(host, 13) == (13, None, None, None)


def test_a_hostile_name_is_text_all_the_same(host: Host) -> None:
    assert processes.command(host, 12) == "a\nb\x1b\N{REPLACEMENT CHARACTER})"


@pytest.mark.skipif(sys.platform != "linux", reason="asks this machine")
def test_this_process_holds_its_own_socket() -> None:
    with socket.socket() as mine:
        inode = os.fstat(mine.fileno()).st_ino
        assert os.getpid() in processes.holders(Host(), [], [inode]).pids[inode]
