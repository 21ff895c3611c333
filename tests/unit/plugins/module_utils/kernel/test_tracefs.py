# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trace instances as far as directories can stand for them; tests/lab has the kernel's own."""

from __future__ import annotations

import os
import pathlib
import shutil

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.tracefs import Instance, Tracefs
from ansible_collections.nettriage.linux.tests.unit.plugins.module_utils.kernel.test_trace_format import FIXTURES

_STATS = (
    "entries: 3\noverrun: {}\ncommit overrun: 0\nbytes: 1\nnow ts:     7.000001\ndropped events: {}\nread events: 9\n"
)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    """A live procfs, and a tracefs below the sysfs."""
    tracing = tmp_path / "kernel" / "debug" / "tracing"
    (tracing / "instances").mkdir(parents=True)
    shutil.copytree(FIXTURES / "6.18" / "tracing" / "events", tracing / "events")
    (tmp_path / "kernel" / "tracing").mkdir()  # nothing is mounted there
    return Host("/proc", str(tmp_path))


def test_where_it_is_mounted(host: Host) -> None:
    tracefs = Tracefs(host)
    assert tracefs.root == host.sys("kernel", "debug", "tracing")
    assert tracefs.event_format("skb/kfree_skb").id == 2310
    assert tracefs.page_format().size == 4096
    with pytest.raises(Unavailable, match="tcp/tcp_new: this kernel has no such trace event"):
        tracefs.event_format("tcp/tcp_new")


def test_recorded_files_cannot_be_traced(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unavailable, match="recorded files"):
        Tracefs(Host(str(tmp_path), str(tmp_path)))


def test_a_kernel_without_tracefs(tmp_path: pathlib.Path) -> None:
    with pytest.raises(Unavailable, match="this kernel has no tracefs"):
        Tracefs(Host("/proc", str(tmp_path)))


def test_a_kernel_that_is_locked_down(host: Host) -> None:
    directory = pathlib.Path(host.sys("kernel", "security"))
    directory.mkdir()
    (directory / "lockdown").write_text("none [integrity] confidentiality\n")
    assert Tracefs(host).root
    (directory / "lockdown").write_text("none integrity [confidentiality]\n")
    with pytest.raises(Unavailable, match="locked down"):
        Tracefs(host)


def test_only_dead_runs_are_swept(host: Host) -> None:
    tracefs = Tracefs(host)
    with open("/proc/self/stat", encoding="utf-8") as file:
        started = file.read().rpartition(")")[2].split()[19]
    pid = os.getpid()
    alive, namesake, busy = f"nettriage-{pid}-{started}-tcp", f"nettriage-{pid}-1-drops", "nettriage-1-1-tcp"
    for name in (alive, namesake, busy, "mine", "nettriage-x-1-tcp"):
        os.mkdir(os.path.join(tracefs.root, "instances", name))
    os.mkdir(os.path.join(tracefs.root, "instances", busy, "open"))  # as if a file of it were open
    assert tracefs.sweep() == [namesake]
    assert namesake not in os.listdir(os.path.join(tracefs.root, "instances"))


def test_commands_of_threads_that_are_gone(host: Host) -> None:
    tracefs = Tracefs(host)
    assert tracefs.commands() == {}
    (pathlib.Path(tracefs.root) / "saved_cmdlines").write_text("17 curl\n9 a b\n\nx y\n3\n")
    assert tracefs.commands() == {17: "curl", 9: "a b"}


def test_what_was_lost_is_counted_over_all_processors(tmp_path: pathlib.Path) -> None:
    for number, (overrun, dropped) in enumerate([(0, 5), (2, 0), (0, 0)]):
        (tmp_path / "per_cpu" / f"cpu{number}").mkdir(parents=True)
        (tmp_path / "per_cpu" / f"cpu{number}" / "stats").write_text(_STATS.format(overrun, dropped))
    assert Instance(str(tmp_path), 64).lost() == 7


def test_an_instance_that_is_no_more_is_removed(tmp_path: pathlib.Path) -> None:
    Instance(str(tmp_path / "gone"), 64).remove()


def test_an_instance_that_cannot_be_made(host: Host) -> None:
    """A directory is none: the kernel would have filled it."""
    with pytest.raises(Unavailable, match="a trace instance"), Tracefs(host).instance("drops", 64):
        raise AssertionError("it cannot be entered")
    assert os.listdir(os.path.join(Tracefs(host).root, "instances")) == []


def test_a_command_with_a_newline_names_no_other_thread(host: Host) -> None:
    """Whoever calls himself so can put lines into the file."""
    tracefs = Tracefs(host)
    saved = "7 nginx\n8 a\n7 fake\n\u00b2 x\n9 two words\n\u0663 y\n10\n"
    pathlib.Path(tracefs.root, "saved_cmdlines").write_text(saved, encoding="utf-8")
    assert tracefs.commands() == {8: "a", 9: "two words"}
