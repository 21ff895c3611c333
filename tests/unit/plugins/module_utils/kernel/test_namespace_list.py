# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespace_list
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, Neighbour
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.namespace_list import Namespace

# As ip-netns(8), docker and unshare(1) leave them: the second line is what a shared /run/netns shows a second time.
MOUNTS = """\
26 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw
101 30 0:4 net:[7] /run/netns/blue rw shared:52 - nsfs nsfs rw
102 31 0:4 net:[7] /run/netns/blue rw shared:52 - nsfs nsfs rw
103 30 0:4 net:[2] /run/docker/netns/1a2b rw shared:53 - nsfs nsfs rw
104 30 0:4 net:[2] /var/run/netns/red rw - nsfs nsfs rw
105 30 0:4 mnt:[9] /run/snapd/ns/lxd.mnt rw - nsfs nsfs rw
106 30 0:4 net:[8] /srv/a\\040b\\134c rw - nsfs nsfs rw
107 30 0:5 net:[99] /srv/no-namespace rw - tmpfs tmpfs rw
108 30 0:4 net:[x] /srv/damaged rw - nsfs nsfs rw
109 net:[5] torn"""


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Processes 1 (here), 20 and 21, 30, 40 (gone meanwhile)."""
    for pid, inode in (("self", 1), ("1", 1), ("20", 2), ("21", 2), ("30", 3)):
        (tmp_path / pid / "ns").mkdir(parents=True)
        (tmp_path / pid / "ns/net").symlink_to(f"net:[{inode}]")
    (tmp_path / "40").mkdir()
    for name in ("self/mountinfo", "1/mountinfo"):
        (tmp_path / name).write_text(MOUNTS)
    return Host(str(tmp_path), "/sys")


def test_processes_and_mounts_are_joined(host: Host) -> None:
    assert namespace_list.others(host) == [
        Namespace(2, ["red", "/run/docker/netns/1a2b"], [20, 21]),
        Namespace(3, [], [30]),
        Namespace(8, ["/srv/a b\\c"], []),
        Namespace(7, ["blue"], []),
    ]


def test_the_own_one_is_no_other(host: Host) -> None:
    assert namespace_list.own(host) == 1
    assert 1 not in {each.inode for each in namespace_list.others(host)}


def test_time_is_bounded(host: Host) -> None:
    assert sum(map(len, namespace_list.inhabited(host, time.monotonic() - 1).found.values())) == 1


def test_without_privilege_the_files_tell_namespaces_apart(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files below /proc/PID/net of one namespace are the same, and everybody may read them."""
    (tmp_path / "net").mkdir()
    (tmp_path / "net/dev").touch()
    for pid, first in (("1", "net/dev"), ("20", None), ("21", "20/net/dev"), ("30", None)):
        (tmp_path / pid / "net").mkdir()
        if first is None:
            (tmp_path / pid / "net/dev").touch()
        else:
            os.link(tmp_path / first, tmp_path / pid / "net/dev")
    real = os.readlink

    def readlink(path: str, **options: Any) -> str:
        if str(path).endswith("/ns/net") and "/self/" not in str(path):
            raise PermissionError(errno.EACCES, "no")
        return real(path, **options)

    monkeypatch.setattr(os, "readlink", readlink)
    (tmp_path / "self/mountinfo").unlink()
    (tmp_path / "1/mountinfo").unlink()
    assert namespace_list.others(host) == [Namespace(None, [], [20, 21]), Namespace(None, [], [30])]
    assert Neighbour(host, 30).net("snmp") == f"{tmp_path}/30/net/snmp"


@given(st.text(alphabet=" \n-net:[]0123456789nsfs/\\ab", max_size=200))
def test_any_mountinfo_is_read(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    root = tmp_path_factory.mktemp("proc")
    (root / "1").mkdir()
    (root / "1/mountinfo").write_text(text)
    for inode, names in namespace_list.mounted(Host(str(root), "/sys")).items():
        assert inode >= 0 and names


def test_this_machine() -> None:
    host = Host()
    assert namespace_list.own(host) == os.stat("/proc/self/ns/net").st_ino
    assert os.getpid() in namespace_list.inhabited(host).found[namespace_list.own(host) or 0]
