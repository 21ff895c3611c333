# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The playbooks that are compared, and what one run of them takes."""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import time
from collections.abc import Sequence
from typing import NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
GUIDES = (
    "ss -s",
    "ss -tan | awk 'NR>1 {print $1}' | sort | uniq -c",
    "ss -tan state time-wait | awk '{print $4}' | sort | uniq -c | sort -rn | head",
    "ss -ltn",
    "ss -tanp state close-wait",
    "ss -tin",
    "nstat -az",
    "ip -s link",
    "ip addr",
    "ip route",
    "ip neigh",
    "cat /proc/net/softnet_stat",
    "cat /proc/sys/net/netfilter/nf_conntrack_count || true",
    "sysctl net.ipv4.ip_local_port_range net.core.somaxconn net.ipv4.tcp_tw_reuse || true",
    "cat /etc/resolv.conf",
)
PLAY = """
- hosts: all
  gather_facts: false
  tasks:
"""
PING = PLAY + "    - ansible.builtin.ping:\n"
HEALTH = PLAY + "    - nettriage.linux.health_facts:\n        as_json: true\n"
# Two ways to a change: a second sample holds a fork for the interval, the counters of the last run hold none.
SAMPLE = HEALTH + "        interval: 1\n"
BASELINE = HEALTH + "        baseline: {folder}/baseline\n"
SHELL = PLAY + "".join(f"    - ansible.builtin.shell: {command!r}\n" for command in GUIDES)


class Taken(NamedTuple):
    """Seconds that a run took.

    :ivar controller: CPU time of ansible-playbook and its children.
    :ivar targets: CPU time of the rest of the machine meanwhile: the hosts, and whatever else is going on.
    """

    wall: float
    controller: float
    targets: float


class Failed(Exception):
    """A playbook that did not end as wanted; the message is what it said."""


def run(
    folder: str, inventory: str, playbook: str, forks: int, within: Sequence[str] = (), fails: bool = False
) -> tuple[Taken, str]:
    """What one run took, and what it said.

    :param within: what starts it, such as ``ip netns exec``.
    :param fails: hosts may be unreachable.
    :raises Failed: it ended with an error.
    """
    before, busy, started = resource.getrusage(resource.RUSAGE_CHILDREN), _busy_s(), time.perf_counter()
    done = subprocess.run(
        [*within, os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", inventory, playbook],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": os.pathsep.join(
                (os.path.join(ROOT, ".collections"), os.environ.get("ANSIBLE_COLLECTIONS_PATH", ""))
            ).rstrip(os.pathsep),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": str(forks),
            "LC_ALL": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    controller = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    if not fails and (done.returncode or "unreachable=1" in done.stdout):
        raise Failed(f"{playbook} ended with {done.returncode}:\n{done.stdout[:4000]}")
    return Taken(wall, controller, max(0.0, _busy_s() - busy - controller)), done.stdout


def _busy_s() -> float:
    """CPU time that all processors have worked since boot (proc_stat(5)): all but idle, iowait and steal."""
    with open("/proc/stat", encoding="ascii") as file:
        ticks = [int(field) for field in file.readline().split()[1:8]]
    return (sum(ticks) - ticks[3] - ticks[4]) / os.sysconf("SC_CLK_TCK")
