# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host


@pytest.fixture
def host(tmp_path: Path) -> Host:
    core = tmp_path / "proc/sys/net/core"
    core.mkdir(parents=True)
    (core / "somaxconn").write_text("4096\n")
    (core / "rmem").write_text("4096\t131072\t6291456\n")
    return Host(str(tmp_path / "proc"), str(tmp_path))


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("net.core.somaxconn", "net/core/somaxconn"),
        ("net/core/somaxconn", "net/core/somaxconn"),
        ("net/ipv4/conf/bond0.101/rp_filter", "net/ipv4/conf/bond0.101/rp_filter"),
        ("net.ipv4.conf.bond0/101.rp_filter", "net/ipv4/conf/bond0.101/rp_filter"),
    ],
)
def test_the_first_separator_decides(key: str, path: str) -> None:
    assert sysctl.relative_path(key) == path


def test_spellings_of_one_key_are_equal() -> None:
    assert (
        sysctl.canonical("net/ipv4/conf/bond0.101/rp_filter")
        == sysctl.canonical("net.ipv4.conf.bond0/101.rp_filter")
        == "net.ipv4.conf.bond0/101.rp_filter"
    )


@pytest.mark.parametrize(
    "key",
    ["", "somaxconn", "net..core", ".net.core", "net.core.", "/net/core", "net/../../etc/passwd", "net/./x", "a.b\0"],
)
def test_what_is_no_key_is_refused(key: str) -> None:
    with pytest.raises(BadOption, match=r"^key: .* is not accepted; give a key such as"):
        sysctl.relative_path(key)


@given(st.text(alphabet="ab./", max_size=12))
def test_a_key_never_leads_out_of_proc_sys(key: str) -> None:
    try:
        path = sysctl.relative_path(key)
    except BadOption:
        return
    assert os.path.normpath(path) == path
    assert not path.startswith(("/", ".."))
    assert sysctl.relative_path(sysctl.canonical(key)) == path


def test_a_value_has_single_spaces(host: Host) -> None:
    assert sysctl.read(host, "net.core.rmem") == "4096 131072 6291456"


def test_an_absent_key_is_none(host: Host) -> None:
    assert sysctl.read(host, "net.core.nope") is None
    assert sysctl.read(host, "net.core.somaxconn.nope") is None
    assert not sysctl.exists(host, "net.core.nope")
    assert sysctl.exists(host, "net.core.somaxconn")


def test_a_directory_is_no_key(host: Host) -> None:
    assert not sysctl.exists(host, "net.core")
    with pytest.raises(Unavailable):
        sysctl.read(host, "net.core")


def test_recorded_files_cannot_be_written(host: Host) -> None:
    assert "recorded" in (sysctl.not_writable(host, "net.core.somaxconn") or "")


@pytest.mark.skipif(not os.path.exists("/proc/sys/kernel/version"), reason="no procfs")
def test_the_kernel_is_asked_whether_a_key_can_be_written() -> None:
    """kernel.version is read-only for everyone, root included."""
    assert sysctl.not_writable(Host(), "kernel.version") == "kernel.version: permission denied"


@pytest.mark.skipif(not os.path.exists("/proc/sys/net"), reason="no procfs")
def test_an_absent_key_cannot_be_written() -> None:
    assert sysctl.not_writable(Host(), "net.nope") == "net.nope: does not exist on this kernel"
