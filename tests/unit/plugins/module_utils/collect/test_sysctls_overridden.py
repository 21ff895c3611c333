# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

from pathlib import Path
from typing import Any, Dict

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sysctls, sysctls_namespaces
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import dropin

OURS = "etc/sysctl.d/90-nettriage.conf"
Row = Dict[str, Any]


@pytest.fixture(autouse=True)
def elsewhere(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """No namespace is looked at; the keys that were asked for."""
    asked: list[list[str]] = []

    def differing(host: Host, keys: Any) -> sysctls_namespaces.Differing:
        asked.append(sorted(keys))
        return sysctls_namespaces.Differing([], [])

    monkeypatch.setattr(sysctls_namespaces, "differing", differing)
    monkeypatch.setattr(sysctls, "_first_namespace", lambda host: True)
    return asked


class Tree:
    """A file system with its ``/etc``, on the kernel of this machine."""

    def __init__(self, root: Path) -> None:
        self.root = root
        (root / "etc").mkdir()

    def write(self, path: str, text: str) -> None:
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        (self.root / path).write_text(text)

    def facts(self, top: int = 10, netns: str | None = None) -> dict[str, Any]:
        host = Host("/proc", "/sys", str(self.root / "etc"), netns)
        return sysctls.facts(host, None, sysctls.sample(host), Window(None, top))

    def rows(self) -> list[Row]:
        found: list[Row] = self.facts()["overridden"]
        return found


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


def systemd(tree: Tree) -> None:
    (tree.root / "run/systemd/system").mkdir(parents=True)


def test_without_a_file_of_ours_nothing_is_looked_at(tree: Tree, elsewhere: list[list[str]]) -> None:
    tree.write("etc/sysctl.d/99-other.conf", "net.core.somaxconn = 128\n")
    found = tree.facts()
    assert (found["overridden"], found["overridden_total"], found["namespaces"]) == ([], 0, [])
    assert elsewhere == []


def test_nobody_sets_ours(tree: Tree, elsewhere: list[list[str]]) -> None:
    tree.write(OURS, "net.core.somaxconn = 8192\nnet.ipv4.tcp_tw_reuse = 1\n")
    tree.write("etc/sysctl.d/10-before.conf", "net.core.somaxconn = 128\n")
    tree.write("etc/sysctl.d/99-same.conf", "net/ipv4/tcp_tw_reuse=1\n")
    assert tree.rows() == []
    assert elsewhere == [["net.core.somaxconn", "net.ipv4.tcp_tw_reuse"]]


def test_a_later_file_is_named_once_though_two_tools_read_it(tree: Tree) -> None:
    systemd(tree)
    tree.write(OURS, "net.core.somaxconn = 8192\n")
    tree.write("usr/lib/sysctl.d/99-hard.conf", "# hardening\nnet/core/somaxconn=128\n")
    assert tree.rows() == [
        {
            "key": "net.core.somaxconn",
            "value": "8192",
            "file": "/usr/lib/sysctl.d/99-hard.conf",
            "line": 2,
            "other_value": "128",
            "by": "systemd-sysctl",
            "at_boot": True,
        }
    ]


def test_whether_sysctl_conf_counts_at_boot(tree: Tree) -> None:
    tree.write(OURS, "net.core.somaxconn = 8192\n")
    tree.write("etc/sysctl.conf", "net.core.somaxconn = 128\n")
    tree.write("usr/sbin/sysctl", "")
    assert [(row["by"], row["at_boot"]) for row in tree.rows()] == [("procps", True)]
    systemd(tree)
    assert [(row["by"], row["at_boot"]) for row in tree.rows()] == [("procps", False)]


def test_who_comes_late_is_named_and_boot_comes_first(tree: Tree) -> None:
    systemd(tree)
    tree.write(OURS, "net.core.somaxconn = 8192\nnet.ipv4.tcp_tw_reuse = 1\n")
    tree.write("etc/sysctl.conf", "net.core.somaxconn = 128\n")
    tree.write("etc/rc.local", "#!/bin/sh\nsysctl -w net.ipv4.tcp_tw_reuse=0\n")
    rows = tree.rows()
    assert [(row["key"], row["file"], row["line"], row["other_value"], row["by"], row["at_boot"]) for row in rows] == [
        ("net.ipv4.tcp_tw_reuse", "/etc/rc.local", 2, None, "rc.local", True),
        ("net.core.somaxconn", "/etc/sysctl.conf", 1, "128", "procps", False),
    ]
    assert tree.facts(top=1)["overridden"] == rows[:1]
    assert tree.facts(top=1)["overridden_total"] == 2


def test_a_file_of_ours_with_another_name_is_known_by_how_it_begins(tree: Tree) -> None:
    assert dropin.header("X").startswith(sysctls.OWN_MARK)
    tree.write("etc/sysctl.d/50-net.conf", dropin.header("X") + "net.core.somaxconn = 8192\n")
    tree.write("etc/sysctl.d/60-other.conf", "net.core.somaxconn = 128\n")
    assert [row["file"] for row in tree.rows()] == ["/etc/sysctl.d/60-other.conf"]


def test_of_two_files_of_ours_the_later_one_counts(tree: Tree) -> None:
    tree.write("etc/sysctl.d/50-net.conf", dropin.header("X") + "net.core.somaxconn = 1024\n")
    tree.write(OURS, "net.core.somaxconn = 8192\n")
    assert tree.rows() == []


def test_hostile_bytes_become_valid_text(tree: Tree) -> None:
    (tree.root / "etc/sysctl.d").mkdir()
    (tree.root / OURS).write_bytes(b"net.ipv4.conf.\xff.rp_filter = 1\n= \n\0\n[x\nnet.core.somaxconn = \xfe\n")
    (tree.root / "etc/sysctl.d/99-\udcff.conf").write_bytes(b"net.ipv4.conf.\xff.rp_filter = \xfd\n")
    found = tree.rows()
    assert [row["other_value"] for row in found] == ["\ufffd"]
    assert str(found).encode("utf-8")


def test_another_namespace_and_recorded_files_tell_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    tree.write(OURS, "net.core.somaxconn = 8192\n")
    tree.write("etc/sysctl.d/99-z.conf", "net.core.somaxconn = 128\n")
    found = tree.facts(netns="pid:1")
    assert (found["overridden"], found["overridden_total"], found["namespaces"]) == (None, None, None)
    monkeypatch.setattr(sysctls, "_first_namespace", lambda host: False)
    assert tree.facts()["overridden"] is None
    tree.write("proc/sys/net/core/somaxconn", "128\n")
    recorded = Host(str(tree.root / "proc"), "/sys")
    assert sysctls.facts(recorded, None, sysctls.sample(recorded), Window(None, 5))["overridden"] is None


def test_what_cannot_be_asked_costs_only_itself(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(host: Host, keys: Any) -> sysctls_namespaces.Differing:
        raise BlockingIOError(11, "Resource temporarily unavailable")

    monkeypatch.setattr(sysctls_namespaces, "differing", fails)
    tree.write(OURS, "net.core.somaxconn = 8192\n")
    tree.write("etc/sysctl.d/99-z.conf", "net.core.somaxconn = 128\n")
    found = tree.facts()
    assert found["overridden_total"] == 1
    assert found["namespaces"] is None and found["namespaces_total"] is None
    assert found["limited"] == ["namespaces: Resource temporarily unavailable"]
