# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import meta
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.version import VERSION

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
GALAXY = os.path.join(os.path.dirname(__file__), "../../../../../galaxy.yml")


def facts(host: Host, seconds: float | None = None) -> dict[str, Any]:
    return meta.facts(host, None, meta.Sample(0.0), Window(seconds, 5))


@pytest.fixture
def live(tmp_path: Path) -> Path:
    (tmp_path / "self").mkdir()
    (tmp_path / "self/stat").touch()
    (tmp_path / "1").mkdir()
    (tmp_path / "self/status").write_text("Name:\tx\nCapEff:\t0000000000000000\n")
    return tmp_path


def test_the_version_is_that_of_galaxy() -> None:
    with open(GALAXY, encoding="utf-8") as file:
        assert f"\nversion: {VERSION}\n" in file.read()


@pytest.mark.parametrize(
    ("kernel", "release"), [("3.10", "3.10.0-1160.el7.x86_64"), ("5.14", "5.14.0-427.el9.x86_64"), ("6.18", "6.18.44")]
)
def test_a_recorded_host(kernel: str, release: str) -> None:
    found = facts(Host(os.path.join(FIXTURES, kernel, "proc"), FIXTURES))
    assert found["kernel"] == release
    assert found["cpus"] == (2 if kernel == "6.18" else 3)
    assert found["memory_bytes"] == 16266528 * 1024
    assert found["uptime_s"] == 1148713.71
    assert found["boot_id"] == "0b7e0b3c-4a0e-4c27-9a5e-0c4bb1f1f0aa"
    assert found["sampled_at"] == "1970-01-01T00:00:00Z"
    assert found["live"] is False and found["netns"] is None and found["container"] is None
    # Nobody's privileges matter for files.
    assert found["privileged"] is None
    assert set(found["capabilities"].values()) == {None}


def test_what_was_not_recorded_is_null(tmp_path: Path) -> None:
    found = facts(Host(str(tmp_path), FIXTURES))
    for name in ("kernel", "cpus", "memory_bytes", "uptime_s", "boot_id", "container"):
        assert found[name] is None


def test_the_kernel_is_known_from_version_too(tmp_path: Path) -> None:
    (tmp_path / "version").write_text("Linux version 4.18.0-553.el8 (x@y) #1 SMP\n")
    assert facts(Host(str(tmp_path), FIXTURES))["kernel"] == "4.18.0-553.el8"


@pytest.mark.parametrize("text", ["", "nan 1\n", "inf 1\n", "1e9 1\n", "x"])
def test_an_uptime_that_is_no_number_is_null(tmp_path: Path, text: str) -> None:
    (tmp_path / "uptime").write_text(text)
    assert facts(Host(str(tmp_path), FIXTURES))["uptime_s"] is None


def test_this_process() -> None:
    found = facts(Host())
    assert found["kernel"] == os.uname().release
    assert found["cpus"] >= 1 and found["memory_bytes"] > 0 and found["uptime_s"] > 0
    assert found["live"] is True
    assert isinstance(found["privileged"], bool)


@pytest.mark.parametrize(
    ("effective", "held", "privileged"),
    [
        ("0000000000000000", [], False),
        ("0000000000003000", ["net_admin", "net_raw"], False),
        ("0000000000081004", ["dac_read_search", "net_admin", "sys_ptrace"], True),
        ("000001ffffffffff", ["dac_read_search", "net_admin", "net_raw", "sys_ptrace", "sys_admin"], True),
    ],
)
def test_capabilities(live: Path, effective: str, held: list[str], privileged: bool) -> None:
    (live / "self/status").write_text(f"Name:\tx\nCapPrm:\t000001ffffffffff\nCapEff:\t{effective}\n")
    found = facts(Host(str(live), FIXTURES))
    assert [name for name, has in found["capabilities"].items() if has] == held
    assert found["privileged"] is privileged


@pytest.mark.parametrize(
    ("path", "content", "runtime"),
    [
        ("1/environ", "A=b\0container=lxc\0", "lxc"),
        ("1/environ", "container=\0", "other"),
        ("1/root/run/systemd/container", "systemd-nspawn\n", "systemd-nspawn"),
        ("1/root/.dockerenv", "", "docker"),
        ("1/root/run/.containerenv", "", "podman"),
        ("1/cgroup", "0::/kubepods/besteffort/pod1/abc\n", "kubernetes"),
        ("1/cgroup", "9:cpu:/docker/0123\n", "docker"),
        ("1/cgroup", "0::/machine.slice/libpod-0123.scope\n", "podman"),
        ("sys/kernel/osrelease", "5.15.90.1-microsoft-standard-WSL2\n", "wsl"),
        ("1/cgroup", "0::/init.scope\n", None),
    ],
)
def test_container(live: Path, path: str, content: str, runtime: str | None) -> None:
    (live / path).parent.mkdir(parents=True, exist_ok=True)
    (live / path).write_text(content)
    assert facts(Host(str(live), FIXTURES))["container"] == runtime


def test_the_interval_is_measured() -> None:
    found = gather(Host(), {"meta": meta}, 0.05, 5)["meta"]
    assert 0.05 <= found["interval_s"] < 5
    assert gather(Host(), {"meta": meta}, 0, 5)["meta"]["interval_s"] is None


def test_the_end_is_known_at_the_end() -> None:
    found = meta.closing(["tcp", "nic"], meta.start())
    assert found["subsets"] == ["tcp", "nic"]
    assert 0 <= found["duration_ms"] < 1000


def test_the_moment_is_utc() -> None:
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", gather(Host(), {"meta": meta}, 0, 5)["meta"]["sampled_at"])
