# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Transactions on the real kernel, each in namespaces of its own."""

from __future__ import annotations

import os
import pathlib
import random
import subprocess
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.tune import persistence, undo
from ansible_collections.nettriage.linux.plugins.module_utils.tune.run import Refused
from ansible_collections.nettriage.linux.tests.lab import private
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab
from ansible_collections.nettriage.linux.tests.lab.private import everything, get, on_a_private_host, run
from ansible_collections.nettriage.linux.tests.unit.plugins.module_utils.tune.killing import killed, steps

SETTINGS: dict[str, Any] = {
    "net.core.somaxconn": 8192,
    "net.ipv4.tcp_rmem": [4096, 131072, 16777216],
    "net.ipv4.ip_local_reserved_ports": "8080,9000-9005",
    "net.ipv4.ip_local_port_range": "15000 64999",
    "net.ipv4.tcp_congestion_control": "reno",
    "net.ipv4.ip_forward": 1,
    "net/ipv4/conf/lo/rp_filter": 1,
    "net.netfilter.nf_conntrack_tcp_timeout_established": 86400,
}


def _known(settings: dict[str, Any]) -> dict[str, Any]:
    """Those that this kernel has."""
    return {key: value for key, value in settings.items() if os.path.exists(f"/proc/sys/{key.replace('.', '/')}")}


def test_made_read_back_repeated_and_given_back() -> None:
    def test() -> None:
        before = everything()
        made = run(_known(SETTINGS))
        assert made["changed"]
        assert get("net.ipv4.tcp_rmem") == "4096 131072 16777216"
        assert get("net.ipv4.ip_local_reserved_ports") == "8080,9000-9005"
        assert get("net.ipv4.tcp_congestion_control") == "reno"
        assert not run(_known(SETTINGS))["changed"]
        run(state="rolled_back")
        # Forwarding sets keys of every interface: they are back as well.
        assert everything() == before

    on_a_private_host(test)


def test_killed_at_every_step() -> None:
    def test() -> None:
        before = everything()
        deaths = 0
        for step, after in steps():
            if not killed(step, after, lambda: run(_known(SETTINGS))):
                break
            deaths += 1
            run(state="rolled_back")
            assert everything() == before, (step, after)
        assert deaths > 50

    on_a_private_host(test)


def test_a_list_of_ports_longer_than_a_page() -> None:
    ports = ",".join(str(port) for port in range(1001, 60000, 2))

    def test() -> None:
        run({"net.ipv4.ip_local_reserved_ports": ports})
        assert (
            get("net.ipv4.ip_local_reserved_ports") == ports == sysctl.read(Host(), "net.ipv4.ip_local_reserved_ports")
        )
        assert not run({"net.ipv4.ip_local_reserved_ports": "1003,59999"})["changed"]
        run({"net.ipv4.ip_local_reserved_ports": "1002"})
        assert get("net.ipv4.ip_local_reserved_ports").startswith("1001-1003,1005,")
        run(state="rolled_back")
        assert get("net.ipv4.ip_local_reserved_ports") == ports
        run(state="rolled_back")
        assert get("net.ipv4.ip_local_reserved_ports") == ""

    on_a_private_host(test)


def test_a_value_that_this_kernel_rejects_after_others_were_written() -> None:
    # Kernels before 5.17 have no such key; those that have it take 0 and 1.
    wanted = {"net.core.somaxconn": 8192, "net.ipv4.tcp_plb_enabled": 7}

    def test() -> None:
        before, said = everything(), "taken"
        try:
            run(wanted)
        except Refused as error:
            said = str(error)
        assert said == "net.ipv4.tcp_plb_enabled: the kernel rejects '7': Invalid argument; everything is undone"
        assert everything() == before

    if not os.path.exists("/proc/sys/net/ipv4/tcp_plb_enabled"):
        pytest.skip("this kernel has no key that takes 0 and 1 only and is unknown to the rules")
    on_a_private_host(test)


def test_each_key_is_asked_whether_it_exists_and_can_be_written() -> None:
    def test() -> None:
        for check in (True, False):
            with pytest.raises(Refused) as refused:
                run(
                    {"net.core.rmem_max": 99999999, "net.core.netdev_max_backlog": 5000, "net.core.somaxconn": 9}, check
                )
            assert "net.core.rmem_max: cannot be written: permission denied" in str(refused.value)
            assert "net.core.netdev_max_backlog: does not exist in this network namespace" in str(refused.value)
            with pytest.raises(Refused, match="'cubicle' is not offered here; there are: "):
                run({"net.ipv4.tcp_congestion_control": "cubicle"}, check)
        assert get("net.core.somaxconn") != "9"

    on_a_private_host(test)


def test_proc_sys_that_is_read_only_from_the_start_or_suddenly() -> None:
    def test() -> None:
        private.mount("--bind", "/proc/sys", "/proc/sys")
        private.mount("-o", "remount,bind,ro", "/proc/sys")
        for check in (True, False):
            with pytest.raises(Refused, match=r"^net\.core\.somaxconn: cannot be written: Read-only file system$"):
                run({"net.core.somaxconn": 8192}, check)
        private.mount("-o", "remount,bind,rw", "/proc/sys")
        before = everything()
        real = undo.write_value

        def last_write(path: str, text: str) -> None:
            real(path, text)
            if text == "8192\n":
                private.mount("-o", "remount,bind,ro", "/proc/sys")

        undo.write_value = last_write
        wanted = {"net.core.somaxconn": 8192, "net.ipv4.tcp_tw_reuse": 1}
        with pytest.raises(
            Refused, match=r"tcp_tw_reuse: the kernel rejects '1': Read-only file system; .*not be undone"
        ):
            run(wanted)
        assert get("net.core.somaxconn") == "8192"
        private.mount("-o", "remount,bind,rw", "/proc/sys")
        run(state="rolled_back")
        assert everything() == before

    on_a_private_host(test)


@pytest.mark.parametrize("directory", ["/etc/sysctl.d", private.STATE])
def test_a_disk_that_is_full(directory: str) -> None:
    def test() -> None:
        os.makedirs(directory, exist_ok=True)
        private.mount("-t", "tmpfs", "-o", "size=64k,mode=700", "none", directory)
        run({"net.core.somaxconn": 5000})
        before = everything()
        with open(f"{directory}/full", "wb", buffering=0) as file, pytest.raises(OSError, match="No space"):
            while True:
                file.write(bytes(4096))
        before = {path: text for path, text in before.items() if not path.endswith("/full")}
        with pytest.raises(Refused, match="No space left on device"):
            run({"net.core.somaxconn": 8192})
        assert {path: text for path, text in everything().items() if not path.endswith("/full")} == before
        os.unlink(f"{directory}/full")
        assert run({"net.core.somaxconn": 8192})["changed"]

    on_a_private_host(test)


def test_a_namespace_by_its_name(lab: Lab, tmp_path: pathlib.Path) -> None:
    host = lab.namespace("a")
    here = get("net.core.somaxconn")

    state = str(tmp_path / "state")
    child = os.fork()
    if child == 0:
        code = 1
        try:
            made = run({"net.core.somaxconn": 777}, netns=host.name, state_dir=state)
            setting = made["settings"]["net.core.somaxconn"]
            assert setting["persisted"] is False and "network namespace" in setting["why"]
            code = 0
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert host.sysctl("net.core.somaxconn") == "777" and get("net.core.somaxconn") == here
    assert not os.path.exists(private.FILE)
    assert not run(state="rolled_back", state_dir=state)["changed"]  # the host's own has none
    identity = undo.State(state).ids()[-1]
    undone = run(state="rolled_back", state_dir=state, transaction=identity)  # from outside, by its id
    assert undone["settings"]["net.core.somaxconn"]["before"] == "777"
    assert host.sysctl("net.core.somaxconn") != "777" and get("net.core.somaxconn") == here


_KEYS = ("net.ipv4.tcp_fin_timeout", "net.ipv4.conf.lo.rp_filter", "net.ipv4.conf.all.rp_filter")
_FORMS = (
    "net.ipv4.tcp_fin_timeout = {}",
    "net/ipv4/tcp_fin_timeout={}",
    "-net.ipv4.tcp_fin_timeout={}",
    "-net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_fin_[t]imeout = {}",
    "net.ipv4.conf.lo.rp_filter={} # a remark",
    "net.ipv4.conf.*.rp_filter = {}",
    "net/ipv4/conf/l?/rp_filter={}",
    "-net.ipv4.conf.lo.rp_filter",
    "net.ipv4.*.rp_filter = {}",
    "net.ipv4.conf.all.rp_filter\t=\t{}",
    "# net.ipv4.tcp_fin_timeout = {}",
    "  ; net.ipv4.tcp_fin_timeout = {}",
    "rubbish {}",
    "",
)


def _scatter(chance: random.Random) -> None:
    """Random files with random lines where the tools look, some of them masking others."""
    directories = [d for d in persistence.DIRECTORIES if os.path.isdir(d) and not os.path.islink(os.path.dirname(d))]
    for directory in directories:
        for name in os.listdir(directory):
            os.unlink(f"{directory}/{name}")
    for __ in range(chance.randint(1, 6)):
        path = f"{chance.choice(directories)}/{chance.choice(['10-a', '20-b', '9-c', 'Z', 'a', '.h'])}.conf"
        if os.path.lexists(path):
            continue
        if chance.random() < 0.15:
            os.symlink("/dev/null", path)
            continue
        # 1 and 2 are in range for all three keys.
        lines = [chance.choice(_FORMS).format(chance.randint(1, 2)) for __ in range(chance.randint(0, 5))]
        private.write(path, "\n".join(lines))


@pytest.mark.parametrize(
    ("by", "command"),
    [
        (persistence.PROCPS, ["sysctl", "--system"]),
        (persistence.SYSTEMD, ["/lib/systemd/systemd-sysctl"]),
    ],
)
def test_who_wins_at_boot_is_who_wins_when_the_tool_is_run(by: str, command: list[str]) -> None:
    if not any(os.access(os.path.join(path, command[0]), os.X_OK) for path in os.get_exec_path()):
        pytest.skip(f"{command[0]} is not installed")
    seed = 20260301

    def test() -> None:
        chance = random.Random(seed)
        decided = 0
        for turn in range(150):
            _scatter(chance)
            for key in _KEYS:
                undo.write_value(f"/proc/sys/{key.replace('.', '/')}", "0\n")
            subprocess.run(command, check=False, capture_output=True)
            boot = persistence.Boot()
            for key in _KEYS:
                winner = boot.winner(key, by)
                expected = "0" if winner is None or winner.value is None else winner.value.split()[0]
                decided += expected != "0"
                assert get(key) == expected, (turn, key, winner)
        assert decided > 100

    on_a_private_host(test)


def test_an_override_is_found_and_can_be_forbidden() -> None:
    def test() -> None:
        private.write("/etc/sysctl.d/99-hardening.conf", "net.core.somaxconn = 128\n")
        would = run({"net.core.somaxconn": 8192}, check=True)
        line = {"file": "/etc/sysctl.d/99-hardening.conf", "line": 1, "value": "128", "by": "systemd-sysctl"}
        found = would["settings"]["net.core.somaxconn"]["overridden_by"]
        assert {**found, "by": "systemd-sysctl"} == line
        for check in (True, False):
            with pytest.raises(Refused, match=r"would lose at the next boot to /etc/sysctl\.d/99-hardening\.conf:1"):
                run({"net.core.somaxconn": 8192}, check, fail_on_overridden=True)
        assert get("net.core.somaxconn") != "8192" and not os.path.exists(private.FILE)
        assert run({"net.core.somaxconn": 8192})["settings"]["net.core.somaxconn"]["overridden_by"] == found
        # The file that is written does what it says, under both tools.
        os.unlink("/etc/sysctl.d/99-hardening.conf")
        undo.write_value("/proc/sys/net/core/somaxconn", "7\n")
        subprocess.run(["sysctl", "--system"], check=True, capture_output=True)
        assert get("net.core.somaxconn") == "8192"

    on_a_private_host(test)


def test_no_two_namespaces_are_taken_for_one() -> None:
    """The kernel gives inodes of namespaces again, as soon as a container has been restarted."""
    ids = []
    for __ in range(30):
        reading, writing = os.pipe()

        def test(writing: int = writing) -> None:
            os.write(writing, repr(undo.namespace_id()).encode())

        on_a_private_host(test)
        os.close(writing)
        with os.fdopen(reading) as pipe:
            ids.append(pipe.read())
    assert len(set(ids)) == len(ids)
