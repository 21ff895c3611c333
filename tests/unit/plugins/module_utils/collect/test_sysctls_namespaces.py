# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The child and what becomes of its answers; real namespaces are in the lab."""

from __future__ import annotations

import errno
import os
import signal
from pathlib import Path
from typing import Any, Callable, List

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sysctls_namespaces as there
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespaces
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

SOMAXCONN = "net.core.somaxconn"
FIN = "net.ipv4.tcp_fin_timeout"
CONTAINER = "ab" * 32


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Processes 1 (here), 20 and 21 (one container), 30 (another), 40 (gone meanwhile)."""
    for pid, namespace, group in (
        ("self", 1, ""),
        ("1", 1, "/init.scope"),
        ("20", 2, f"/system.slice/docker-{CONTAINER}.scope"),
        ("21", 2, f"/system.slice/docker-{CONTAINER}.scope"),
        ("30", 3, "/system.slice/web.service"),
    ):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/net").symlink_to(f"net:[{namespace}]")
        (tmp_path / pid / "cgroup").write_text(f"0::{group}\n")
        (tmp_path / pid / "comm").write_text(f"p{pid}\n")
    (tmp_path / "40").mkdir()
    (tmp_path / "self/stat").write_text("")
    for name, value in (("core/somaxconn", "8192"), ("ipv4/tcp_fin_timeout", "30"), ("ipv4/ip_forward", "1")):
        (tmp_path / "sys/net" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/net" / name).write_text(value + "\n")
    return Host(str(tmp_path), "/sys")


Visit = Callable[[Host, int, List[str]], Any]


def visits(monkeypatch: pytest.MonkeyPatch, visit: Visit) -> None:
    monkeypatch.setattr(there, "_visit", visit)


def no_child_is_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_rows_and_their_order(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = {20: {SOMAXCONN: "4096", FIN: "30"}, 30: {SOMAXCONN: "4096", FIN: "60"}}
    visits(monkeypatch, lambda host, pid, keys: {key: answers[pid][key] for key in keys})
    rows, limited = there.differing(host, [SOMAXCONN, FIN, "net.ipv4.ip_forward"])
    assert limited == []
    assert [row["netns"] for row in rows] == ["pid:30", "pid:20"]
    assert rows[0]["differing"] == {FIN: {"host": "30", "here": "60"}, SOMAXCONN: {"host": "8192", "here": "4096"}}
    assert rows[1] == {
        "netns": "pid:20",
        "container": CONTAINER,
        "unit": f"docker-{CONTAINER}.scope",
        "processes": [
            {"pid": pid, "command": f"p{pid}", "unit": f"docker-{CONTAINER}.scope", "container": CONTAINER}
            for pid in (20, 21)
        ],
        "processes_total": 2,
        "differing": {SOMAXCONN: {"host": "8192", "here": "4096"}},
    }
    assert no_child_is_left()


@pytest.mark.parametrize("answer", [None, {SOMAXCONN: "8192"}, {SOMAXCONN: None}, {}])
def test_same_absent_or_only_a_loopback_is_no_row(host: Host, monkeypatch: pytest.MonkeyPatch, answer: Any) -> None:
    visits(monkeypatch, lambda host, pid, keys: answer)
    assert there.differing(host, [SOMAXCONN]) == ([], [])


@pytest.mark.parametrize("keys", [[], ["net.ipv4.ip_forward"], ["net.ipv4.tcp_syncookies"]])
def test_without_a_key_to_compare_nobody_is_visited(
    host: Host, monkeypatch: pytest.MonkeyPatch, keys: list[str]
) -> None:
    monkeypatch.setattr(os, "fork", None)
    assert there.differing(host, keys) == ([], [])


def test_a_child_that_hangs_is_ended_and_what_it_said_is_kept(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def visit(host: Host, pid: int, keys: list[str]) -> Any:
        if pid != 20:
            signal.pause()
        return {SOMAXCONN: "4096"}

    visits(monkeypatch, visit)
    rows, limited = there.differing(host, [SOMAXCONN], deadline_s=0.2)
    assert [row["netns"] for row in rows] == ["pid:20"]
    assert limited == ["namespaces: 1 of 2 were not looked at (at most 256, within 0.2 s)"]
    assert no_child_is_left()


def test_a_child_that_breaks_costs_only_itself(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    def visit(host: Host, pid: int, keys: list[str]) -> Any:
        raise RuntimeError("x")

    visits(monkeypatch, visit)
    rows, limited = there.differing(host, [SOMAXCONN])
    assert (rows, len(limited)) == ([], 1)
    assert no_child_is_left()


def test_many_answers_fit_through_the_pipe(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    visits(monkeypatch, lambda host, pid, keys: {SOMAXCONN: "4" * 200000})
    rows, limited = there.differing(host, [SOMAXCONN], deadline_s=30)
    assert (len(rows), limited) == (2, [])


@pytest.mark.parametrize(("code", "said"), [(errno.EPERM, 1), (errno.ENOENT, 0), (errno.EINVAL, 0)])
def test_a_namespace_that_may_not_be_entered(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, said: int
) -> None:
    for pid in (20, 30):
        (tmp_path / f"{pid}/ns/net:[{pid // 10}]").touch()  # what the link leads to

    def switch(descriptor: int, host: Host) -> None:
        raise OSError(code, "no")

    monkeypatch.setattr(namespaces, "switch", switch)
    rows, limited = there.differing(host, [SOMAXCONN])
    assert rows == []
    assert limited == ["namespaces: 2 of 2 were not entered, which needs CAP_SYS_ADMIN"] * said


def test_processes_of_others_are_counted(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.readlink

    def readlink(path: str, **options: Any) -> str:
        if "/20/" in path or "/21/" in path:
            raise PermissionError(errno.EACCES, "no")
        return real(path, **options)

    monkeypatch.setattr(os, "readlink", readlink)
    visits(monkeypatch, lambda host, pid, keys: {SOMAXCONN: "8192"})
    assert there.differing(host, [SOMAXCONN]) == (
        [],
        ["namespaces: those of 2 processes are shown to CAP_SYS_PTRACE only"],
    )


def test_the_list_stays_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(there, "MAX_NAMESPACES", 1)
    visits(monkeypatch, lambda host, pid, keys: {SOMAXCONN: "4096"})
    rows, limited = there.differing(host, [SOMAXCONN])
    assert [row["netns"] for row in rows] == ["pid:20"]
    assert limited == ["namespaces: 1 of 2 were not looked at (at most 1, within 1 s)"]
