# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab itself: it removes what it made, in every case."""

from __future__ import annotations

import os
import signal
import subprocess
import sys

import pytest

from ansible_collections.nettriage.linux.tests.lab import netlab
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, wait_until

_ABANDONED = """
import os, signal
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab
lab = Lab()
host = lab.namespace("lost")
actor = host.start("listener", "lost", "127.0.0.1:80", 8)
print(host.name, actor.pid, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _exists(name: str) -> bool:
    return os.path.exists(os.path.join("/run/netns", name))


def test_a_failing_test_leaves_nothing() -> None:
    """Processes and namespaces are gone after an error within the lab."""
    pids, names = [], []
    with pytest.raises(LabError, match="bad"), Lab() as lab:
        client, server, link = lab.pair()
        names = [client.name, server.name]
        pids = [server.start("listener", "listener", f"{link.addresses[1]}:80", 8).pid]
        client.ip("address add bad dev lo")
    assert names and not any(map(_exists, names))
    assert pids and not any(map(_alive, pids))


def test_what_a_killed_run_left_is_swept() -> None:
    """Its actors end with it; its namespace is removed by the next run, a living run's is not."""
    done = subprocess.run(
        [sys.executable, "-c", _ABANDONED],
        capture_output=True,
        text=True,
        check=False,
        env=netlab.environment(),
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    name, pid = done.stdout.split()
    wait_until(lambda: not _alive(int(pid)), "the actor ends with the process that started it")
    with Lab() as lab:
        mine = lab.namespace("mine").name
        netlab.sweep()
        assert not _exists(name)
        assert _exists(mine)
    assert not _exists(mine)


def test_an_actor_that_fails_says_why(lab: Lab) -> None:
    """The message of a failing actor reaches the test."""
    host = lab.namespace("host")
    with pytest.raises(LabError, match="Cannot assign requested address"):
        host.start("listener", "listener", "192.0.2.1:80", 8)


def test_the_lab_leaves_the_host_alone(lab: Lab) -> None:
    """Entering a namespace is over with the block, and its sysctls are its own."""
    host = lab.namespace("host")
    here = os.readlink("/proc/thread-self/ns/net")
    with open("/proc/sys/net/core/somaxconn") as file:
        before = file.read()
    with host.entered():
        assert os.readlink("/proc/thread-self/ns/net") != here
    assert host.sysctl("net.core.somaxconn", 77) == "77"
    assert os.readlink("/proc/thread-self/ns/net") == here
    with open("/proc/sys/net/core/somaxconn") as file:
        assert file.read() == before
