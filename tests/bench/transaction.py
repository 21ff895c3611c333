# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a transaction of 20 keys costs, beside one ``ping`` task and beside a loop of the usual module over them.

    python tests/bench/transaction.py --hosts 20

Builds hosts that have a network namespace and an sshd each (root), and runs the playbooks in turns; every other turn
wants the former values again, so that each one changes something. The usual module is ansible.posix.sysctl: where that
collection is not found, the comparison with it is left out. All hosts are this machine: each has a drop-in and a state
directory of its own, and their own work is within the wall time. Leaves with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile

from ansible_collections.nettriage.linux.tests.bench.fleet.playbooks import PING, PLAY, Failed, Taken, run
from ansible_collections.nettriage.linux.tests.lab import netlab
from ansible_collections.nettriage.linux.tests.lab.targets import SSHD, Targets

# Each of these exists and can be written in a network namespace, and takes both values.
KEYS = {
    "net.core.somaxconn": (4096, 8192),
    "net.ipv4.ip_local_port_range": ("32768 60999", "15000 64999"),
    "net.ipv4.tcp_base_mss": (1024, 1100),
    "net.ipv4.tcp_dsack": (1, 0),
    "net.ipv4.tcp_ecn": (2, 1),
    "net.ipv4.tcp_fastopen": (1, 3),
    "net.ipv4.tcp_fin_timeout": (60, 30),
    "net.ipv4.tcp_keepalive_intvl": (75, 30),
    "net.ipv4.tcp_keepalive_probes": (9, 5),
    "net.ipv4.tcp_keepalive_time": (7200, 300),
    "net.ipv4.tcp_max_syn_backlog": (512, 4096),
    "net.ipv4.tcp_max_tw_buckets": (65536, 131072),
    "net.ipv4.tcp_mtu_probing": (0, 1),
    "net.ipv4.tcp_no_metrics_save": (0, 1),
    "net.ipv4.tcp_retries2": (15, 12),
    "net.ipv4.tcp_rmem": ("4096 131072 6291456", "4096 131072 16777216"),
    "net.ipv4.tcp_slow_start_after_idle": (1, 0),
    "net.ipv4.tcp_syn_retries": (6, 5),
    "net.ipv4.tcp_tw_reuse": (2, 1),
    "net.ipv4.tcp_wmem": ("4096 16384 4194304", "4096 65536 16777216"),
}
# Contender, what it is compared with, goal for the wall time.
GOALS = (("transaction", "ping", 1.2), ("transaction", "loop", 0.08), ("unchanged", "ping", 1.2))


def transaction(folder: str, turn: int) -> str:
    """One task."""
    values = "".join(f"          {key}: {pair[turn]}\n" for key, pair in KEYS.items())
    return (
        f"{PLAY}    - nettriage.linux.sysctl_transaction:\n"
        f"        file: {folder}/{{{{ inventory_hostname }}}}/sysctl.d/90-nettriage.conf\n"
        f"        state_dir: {folder}/{{{{ inventory_hostname }}}}/state\n"
        f"        settings:\n{values}"
    )


def loop(folder: str, turn: int) -> str:
    """One task for each key."""
    items = "".join(f'        - {{name: {key}, value: "{pair[turn]}"}}\n' for key, pair in KEYS.items())
    return (
        f"{PLAY}    - ansible.posix.sysctl:\n"
        f"        sysctl_file: {folder}/{{{{ inventory_hostname }}}}/sysctl.d/91-loop.conf\n"
        '        name: "{{ item.name }}"\n        value: "{{ item.value }}"\n        sysctl_set: true\n'
        f"        reload: false\n      loop:\n{items}"
    )


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--hosts", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forks", type=int, default=10)
    options = parser.parse_args()
    reason = netlab.missing() or (None if SSHD else "there is no sshd here: install openssh-server")
    if reason is not None:
        print(f"transaction: left out, {reason}")
        return 0
    netlab.sweep()
    try:
        with tempfile.TemporaryDirectory(prefix="nt-") as folder, netlab.Lab() as lab:
            targets = Targets(lab, folder, options.hosts)
            try:
                return measure(folder, targets, options)
            finally:
                targets.close()
    finally:
        netlab.sweep(own=True)


def measure(folder: str, targets: Targets, options: argparse.Namespace) -> int:
    """Run everything in turns and print what it took."""
    hosts = os.path.join(folder, "hosts.json")
    with open(hosts, "w", encoding="utf-8") as file:
        json.dump(targets.inventory(), file)
    for name in targets.hosts:
        os.makedirs(os.path.join(folder, name, "sysctl.d"))
    playbooks: dict[str, tuple[str, str]] = {}
    for name, texts in (
        ("ping", (PING, PING)),
        ("transaction", (transaction(folder, 1), transaction(folder, 0))),
        ("unchanged", (transaction(folder, 1), transaction(folder, 0))),
        ("loop", (loop(folder, 1), loop(folder, 0))),
    ):
        paths = [os.path.join(folder, f"{name}-{turn}.yml") for turn in (0, 1)]
        for path, text in zip(paths, texts, strict=True):
            with open(path, "w", encoding="ascii") as file:
                file.write(text)
        playbooks[name] = (paths[0], paths[1])
    run(folder, hosts, playbooks["ping"][0], options.forks, targets.within)  # opens the connections
    try:
        run(folder, hosts, playbooks["loop"][1], options.forks, targets.within)
    except Failed as error:
        if "ansible.posix" not in str(error):
            raise
        del playbooks["loop"]
        print("the loop is left out: the collection ansible.posix is not found")
    taken: dict[str, list[Taken]] = {name: [] for name in playbooks}
    for turn in range(options.rounds):
        for name, pair in playbooks.items():
            taken[name].append(run(folder, hosts, pair[turn % 2], options.forks, targets.within)[0])
    print(f"{options.hosts} hosts over ssh, {options.forks} forks, medians of {options.rounds} interleaved runs")
    medians = {name: Taken(*map(statistics.median, zip(*rows, strict=True))) for name, rows in taken.items()}
    for name, each in medians.items():
        print(f"{name:14} wall {each.wall:7.2f} s   controller CPU {each.controller:7.2f} s")
    missed = False
    for name, other, goal in GOALS:
        if other in medians:
            ratio = medians[name].wall / medians[other].wall
            missed |= ratio > goal
            print(f"{name} / {other}, wall: {ratio:.2f} (goal {goal}) {'missed' if ratio > goal else 'reached'}")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
