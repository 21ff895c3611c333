# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Entering a namespace for real is in tests/lab: it needs root."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespaces
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host


@pytest.fixture
def named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory of names in place of /run/netns."""
    (tmp_path / "blue").touch()
    (tmp_path / "red").touch()
    monkeypatch.setattr(namespaces, "_NAMED", (str(tmp_path),))
    return tmp_path


def test_a_name_lies_below_run_netns(named: Path) -> None:
    assert namespaces.locate(Host(), "blue") == (str(named / "blue"), "/etc/netns/blue")


def test_a_path_below_run_netns_is_a_name(named: Path) -> None:
    path = str(named / "blue")
    assert namespaces.locate(Host(), path) == (path, "/etc/netns/blue")


def test_a_process_is_resolved_through_procfs(tmp_path: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/stat").touch()
    host = Host(str(tmp_path))
    assert namespaces.locate(host, "pid:12") == (f"{tmp_path}/12/ns/net", f"{tmp_path}/12/root/etc")
    assert namespaces.locate(host, "/proc/12/ns/net") == ("/proc/12/ns/net", "/proc/12/root/etc")


def test_another_path_has_the_configuration_of_the_host() -> None:
    assert namespaces.locate(Host(), "/run/docker/netns/abc") == ("/run/docker/netns/abc", "/etc")


def test_the_names_of_a_mounted_host_come_first(tmp_path: Path, named: Path) -> None:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/stat").touch()
    there = tmp_path / "1/root" / str(named).lstrip("/")
    there.mkdir(parents=True)
    (there / "green").touch()
    host = Host(str(tmp_path))
    assert namespaces.locate(host, "green") == (str(there / "green"), f"{tmp_path}/1/root/etc/netns/green")
    assert namespaces.locate(host, "blue") == (str(named / "blue"), "/etc/netns/blue")


@pytest.mark.parametrize(
    "netns", ["nope", "", ".", "..", "../x", "pid:", "pid:x", "pid:-1", "pid:1/../2", "a\0b", "/a\0b"]
)
def test_an_unknown_namespace_is_one_sentence(named: Path, netns: str) -> None:
    with pytest.raises(BadOption) as caught:
        namespaces.enter(Host(), netns)
    assert str(caught.value) == (
        f"netns: {netns!r} is not accepted; give a name below /run/netns (there are: blue, red), "
        "the absolute path of a network namespace file, or pid:N with the id of a running process"
    )


@pytest.mark.parametrize(
    "netns", ["blue", "/etc/passwd", "/nope", "/dev/null", f"pid:{2**22 + 1}", "/proc/self/ns/uts"]
)
def test_what_is_no_network_namespace_is_refused(named: Path, netns: str) -> None:
    """Only setns(2) can tell, but it asks for the privilege first."""
    with pytest.raises((BadOption, Unavailable)) as caught:
        namespaces.enter(Host(), netns)
    assert os.geteuid() != 0 or isinstance(caught.value, BadOption)


def test_no_names_are_said_to_be_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(namespaces, "_NAMED", (str(tmp_path / "nope"),))
    with pytest.raises(BadOption, match="there are none"):
        namespaces.enter(Host(), "blue")


def test_many_names_are_cut(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"n{number:02}").touch()
    monkeypatch.setattr(namespaces, "_NAMED", (str(tmp_path),))
    with pytest.raises(BadOption, match=r"there are: n00, .* n09, \.\.\.\)"):
        namespaces.enter(Host(), "blue")


def test_recorded_files_have_no_namespaces(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="recorded"):
        namespaces.enter(Host(str(tmp_path)), "blue")


def test_the_namespace_that_it_is_in_already_needs_no_privilege(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "setns", None, raising=False)
    entered = namespaces.enter(Host(), f"pid:{os.getpid()}")
    assert entered.netns == f"pid:{os.getpid()}"
    assert entered.etc == f"/proc/{os.getpid()}/root/etc"


@pytest.mark.parametrize("code", [errno.EPERM, errno.EINVAL])
def test_the_errors_of_setns(monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    def refuse(*__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(os, "setns", refuse, raising=False)
    expected = Unavailable if code == errno.EPERM else BadOption
    with pytest.raises(expected):
        namespaces.enter(Host(), "/etc/passwd")
