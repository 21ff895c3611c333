# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os
import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import cgroups
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

ID = "0123456789abcdef" * 4
POD = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod1234_5678.slice"


@pytest.mark.parametrize(
    ("path", "unit", "container"),
    [
        ("/", None, None),
        ("", None, None),
        ("/init.scope", "init.scope", None),
        ("/system.slice/nginx.service", "nginx.service", None),
        ("/system.slice/system-getty.slice/getty@tty1.service", "getty@tty1.service", None),
        ("/user.slice/user-1000.slice/session-3.scope", "session-3.scope", None),
        ("/user.slice/user-1000.slice/user@1000.service/app.slice/foo.service", "foo.service", None),
        ("/system.slice/_tasks.service", "tasks.service", None),
        (r"/system.slice/systemd-fsck@dev-disk-by\x2duuid.service", r"systemd-fsck@dev-disk-by\x2duuid.service", None),
        ("/system.slice/gone.service (deleted)", "gone.service", None),
        ("/../../system.slice/outside.service", "outside.service", None),
        (f"/system.slice/docker-{ID}.scope", f"docker-{ID}.scope", ID),
        (f"/docker/{ID}", None, ID),
        (f"/docker/{ID}/system.slice/inner.service", "inner.service", ID),
        (f"/machine.slice/libpod-{ID}.scope/container", f"libpod-{ID}.scope", ID),
        (f"/machine.slice/libpod-conmon-{ID}.scope", f"libpod-conmon-{ID}.scope", None),
        (f"{POD}/cri-containerd-{ID}.scope", f"cri-containerd-{ID}.scope", ID),
        (f"{POD}/crio-{ID}.scope", f"crio-{ID}.scope", ID),
        (f"{POD}/crio-conmon-{ID}.scope", f"crio-conmon-{ID}.scope", None),
        (f"/kubepods/besteffort/pod1234/{ID}", None, ID),
        (f"/system.slice/containerd.service/kubepods-pod1.slice:cri-containerd:{ID}", "containerd.service", ID),
        (f"/docker/{'f' * 64}/docker/{ID}", None, ID),
        ("/lxc.payload.web1/system.slice/ssh.service", "ssh.service", "web1"),
        ("/lxc/web2", None, "web2"),
        ("/lxc.payload/web3/init.scope", "init.scope", "web3"),
        (r"/machine.slice/machine-web\x2d4.scope", r"machine-web\x2d4.scope", "web-4"),
        ("/machine.slice/systemd-nspawn@web5.service/payload", "systemd-nspawn@web5.service", "web5"),
        ("/ecs/0123456789abcdef0123456789abcdef-1234567", None, "0123456789abcdef0123456789abcdef-1234567"),
        ("/foo/" + "x" + ID, None, None),
        ("/.service", None, None),
    ],
)
def test_a_path_names_unit_and_container(path: str, unit: str | None, container: str | None) -> None:
    assert cgroups.of_path(path) == (unit, container)


def test_the_unit_is_systemds_and_the_container_may_stand_in_any_hierarchy() -> None:
    text = f"12:memory:/docker/{ID}\n2:cpu:/other.service\n1:name=systemd:/system.slice/docker.service\n0::/\n"
    assert cgroups.of_text(text) == ("docker.service", ID)


def test_the_unified_hierarchy_goes_first() -> None:
    assert cgroups.of_text("1:name=systemd:/a.service\n0::/system.slice/b.service\n").unit == "b.service"


def test_a_path_may_hold_colons() -> None:
    assert cgroups.of_text(f"0::/kubepods-pod1.slice:cri-containerd:{ID}\n").container == ID


def test_groups_are_found_by_the_inode_of_their_directory(tmp_path: pathlib.Path) -> None:
    root = tmp_path / "fs" / "cgroup"
    (root / "system.slice" / "web.service").mkdir(parents=True)
    (root / "cgroup.controllers").write_text("")
    wanted = os.stat(root / "system.slice" / "web.service").st_ino
    assert cgroups.by_id(Host(str(tmp_path), str(tmp_path)), {wanted, 1}) == {wanted: ("web.service", None)}
    assert cgroups.by_id(Host(str(tmp_path), str(tmp_path)), set()) == {}


def test_without_the_unified_hierarchy_no_id_is_known(tmp_path: pathlib.Path) -> None:
    (tmp_path / "fs" / "cgroup" / "memory").mkdir(parents=True)
    assert cgroups.by_id(Host(str(tmp_path), str(tmp_path)), {5}) == {}


@given(st.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    unit, container = cgroups.of_text(text)
    assert unit is None or unit.endswith((".service", ".scope"))
    assert container is None or container


@pytest.mark.parametrize(
    ("text", "pod"),
    [
        (f"0::{POD}/cri-containerd-{ID}.scope\n", "1234-5678"),
        (f"0::/kubepods/besteffort/pod0a1b-2c3d/{ID}\n", "0a1b-2c3d"),
        (f"12:memory:/kubepods/pod0a1b/{ID}\n0::/system.slice/kubelet.service\n", "0a1b"),
        (f"0::/kubepods.slice/kubepods-pod0a_1b.slice/crio-{ID}.scope\n", "0a-1b"),
        (f"0::/machine.slice/libpod-{ID}.scope/container\n", None),
        ("0::/system.slice/podman.service\n", None),
        ("0::/kubepods.slice\n", None),
        ("0::/system.slice/tripod0.slice\n", None),
        ("", None),
    ],
)
def test_the_pod_of_a_process(text: str, pod: str | None) -> None:
    assert cgroups.pod_of_text(text) == pod
