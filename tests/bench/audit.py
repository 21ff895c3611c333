# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit of a fleet costs, beside one ``ping`` task and beside the field guides' commands.

    python tests/bench/audit.py --hosts 20

Starts an sshd of its own on loopback (root), gives it as many hosts as are asked for, runs the playbooks in turns with
the ansible-playbook of this Python's environment, prints medians and ratios of wall and controller CPU time, and leaves
with 1 where a goal is missed. All hosts are this machine, so their own work is within the wall time.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from typing import Iterator

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
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
_SSHD = shutil.which("sshd", path="/usr/sbin:/sbin:/usr/bin")
_PLAY = """
- hosts: all
  gather_facts: false
  tasks:
"""
PING = _PLAY + "    - ansible.builtin.ping:\n"
HEALTH = _PLAY + "    - nettriage.linux.health_facts:\n        as_json: true\n"
SHELL = _PLAY + "".join(f"    - ansible.builtin.shell: {command!r}\n" for command in GUIDES)
# Contender, what it is compared with, goal for wall and for CPU time.
GOALS = (
    ("health_facts", "ping", 1.2, 1.2),
    ("audit", "ping", 1.4, 1.4),
    ("audit", "guides", 0.10, 0.11),
)


@contextlib.contextmanager
def sshd(folder: str) -> Iterator[int]:
    """A server for this user alone, on a free port of loopback."""
    for name in ("host", "user"):
        key = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", os.path.join(folder, name)]
        subprocess.run(key, check=True, stdin=subprocess.DEVNULL)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
    settings = {
        "ListenAddress": f"127.0.0.1:{port}",
        "HostKey": os.path.join(folder, "host"),
        "AuthorizedKeysFile": os.path.join(folder, "user.pub"),
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PermitRootLogin": "prohibit-password",
        "MaxStartups": "500",
    }
    config = os.path.join(folder, "sshd_config")
    with open(config, "w", encoding="ascii") as file:
        file.writelines(f"{name} {value}\n" for name, value in settings.items())
    os.makedirs("/run/sshd", exist_ok=True)
    server = subprocess.Popen([_SSHD or "sshd", "-D", "-f", config])
    try:
        end = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                if server.poll() is not None or time.monotonic() > end:
                    raise SystemExit("audit: sshd does not start") from None
        yield port
    finally:
        server.terminate()
        server.wait()


def inventory(folder: str, hosts: int, port: int) -> str:
    """Hosts that differ by their loopback address only, each with a connection of its own."""
    path = os.path.join(folder, "hosts.ini")
    with open(path, "w", encoding="ascii") as file:
        file.writelines(f"host{number:03d} ansible_host=127.0.0.1\n" for number in range(hosts))
        file.write("[all:vars]\n")
        file.write(f"ansible_port={port}\nansible_python_interpreter={sys.executable}\n")
        file.write(f"ansible_ssh_private_key_file={os.path.join(folder, 'user')}\n")
        common = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        file.write(f"ansible_ssh_common_args='{common}'\n")
        # One connection a host, as if each were a machine of its own.
        file.write(f"ansible_control_path='{folder}/{{{{ inventory_hostname }}}}.ssh'\n")
    return path


def run(folder: str, hosts: str, playbook: str, forks: int) -> tuple[float, float]:
    """Wall and CPU time of one run; what the targets do is the server's, not counted as CPU time."""
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(
        [os.path.join(os.path.dirname(sys.executable), "ansible-playbook"), "-i", hosts, playbook],
        cwd=folder,
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": os.path.join(ROOT, ".collections"),
            "ANSIBLE_PIPELINING": "1",
            "ANSIBLE_FORKS": str(forks),
            "ANSIBLE_HOST_KEY_CHECKING": "0",
            "LC_ALL": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    wall, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode or "unreachable=1" in done.stdout:
        raise SystemExit(f"audit: {playbook} ended with {done.returncode}:\n{done.stdout[:4000]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forks", type=int, default=10)
    options = parser.parse_args()
    if _SSHD is None:
        print("audit: left out, there is no sshd here")
        return 0
    with tempfile.TemporaryDirectory(prefix="nt-") as folder, sshd(folder) as port:
        hosts = inventory(folder, options.hosts, port)
        playbooks = {"audit": "nettriage.linux.audit"}
        for name, text in (("ping", PING), ("health_facts", HEALTH), ("guides", SHELL)):
            playbooks[name] = os.path.join(folder, f"{name}.yml")
            with open(playbooks[name], "w", encoding="ascii") as file:
                file.write(text)
        with open(hosts, "a", encoding="ascii") as file:
            file.write("audit_interval=0\n")
        taken: dict[str, list[tuple[float, float]]] = {name: [] for name in playbooks}
        run(folder, hosts, playbooks["ping"], options.forks)  # opens the connections
        for __ in range(options.rounds):
            for name, playbook in playbooks.items():
                taken[name].append(run(folder, hosts, playbook, options.forks))
    print(f"{options.hosts} hosts over ssh, {options.forks} forks, medians of {options.rounds} interleaved runs")
    medians = {
        name: tuple(statistics.median(column) for column in zip(*rows, strict=True)) for name, rows in taken.items()
    }
    for name, (wall, cpu) in medians.items():
        print(f"{name:14} wall {wall:7.2f} s   controller CPU {cpu:7.2f} s")
    missed = False
    for name, other, *goals in GOALS:
        for kind, mine, theirs, goal in zip(("wall", "CPU"), medians[name], medians[other], goals, strict=True):
            ratio = mine / theirs
            missed |= ratio > goal
            print(f"{name} / {other}, {kind}: {ratio:.2f} (goal {goal}) {'missed' if ratio > goal else 'reached'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
