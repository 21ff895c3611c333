# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sysctls
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
KERNELS = ("3.10", "4.18", "5.14", "6.18")


def values(host: Host) -> dict[str, Any]:
    found = sysctls.facts(host, None, sysctls.sample(host), Window(None, 5))
    assert found["limited"] == []
    kept: dict[str, Any] = found["values"]
    return kept


def recorded(kernel: str) -> Host:
    return Host(os.path.join(FIXTURES, kernel, "proc"), FIXTURES)


def test_every_key_stands_once_and_is_a_key() -> None:
    assert len(set(sysctls.KEYS)) == len(sysctls.KEYS)
    assert [sysctl.canonical(key) for key in sysctls.KEYS] == sysctls.KEYS


@pytest.mark.parametrize("kernel", KERNELS)
def test_each_value_has_the_type_of_its_key(kernel: str) -> None:
    found = values(recorded(kernel))
    assert set(found) == set(sysctls.KEYS)
    assert found["net.ipv4.tcp_rmem"] == [4096, 87380, 6291456]
    assert found["net.ipv4.ip_local_port_range"] == [32768, 60999]
    assert found["net.ipv4.ip_local_reserved_ports"] == "8080,9148"
    assert found["net.ipv4.tcp_congestion_control"] == "cubic"
    assert found["net.ipv4.tcp_available_congestion_control"] == ["reno", "cubic"]
    assert found["net.core.somaxconn"] == (4096 if kernel in ("5.14", "6.18") else 128)


def test_a_key_of_another_kernel_is_null() -> None:
    found = {kernel: values(recorded(kernel)) for kernel in KERNELS}
    assert [found[kernel]["net.ipv4.tcp_tw_recycle"] for kernel in KERNELS] == [0, None, None, None]
    assert [found[kernel]["net.ipv4.tcp_tw_reuse_delay"] for kernel in KERNELS] == [None, None, None, 1000]


@pytest.mark.parametrize(
    ("key", "text", "value"),
    [
        ("net.ipv4.ip_local_reserved_ports", "", ""),
        ("net.ipv4.ip_local_reserved_ports", "8080", "8080"),
        ("net.ipv4.tcp_available_congestion_control", "reno", ["reno"]),
        ("net.ipv4.tcp_notsent_lowat", "4294967295", 4294967295),
        ("net.ipv4.tcp_orphan_retries", "-1", -1),
        ("net.core.somaxconn", None, None),
    ],
)
def test_values(key: str, text: str | None, value: object) -> None:
    assert sysctls.parse(key, text) == value


def test_damage_and_a_forbidden_key_are_said_and_cost_only_themselves(tmp_path: Path) -> None:
    core = tmp_path / "sys/net/core"
    core.mkdir(parents=True)
    (core / "somaxconn").write_text("x\n")
    (core / "rmem_max").mkdir()
    (core / "wmem_max").write_text("212992\n")
    host = Host(str(tmp_path), FIXTURES)
    found = sysctls.facts(host, None, sysctls.sample(host), Window(None, 5))
    assert found["values"]["net.core.wmem_max"] == 212992
    assert found["values"]["net.core.somaxconn"] is None
    assert len(found["limited"]) == 2
    assert "net.core.somaxconn: its value has not the form that this key has" in found["limited"]


def test_without_any_key_it_is_unavailable(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="sys/net does not exist"):
        sysctls.sample(Host(str(tmp_path), FIXTURES))
