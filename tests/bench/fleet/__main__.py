# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the audit of a fleet costs, beside one ``ping`` task and beside the field guides' commands.

    python tests/bench/fleet --hosts 1 20 100 200
    python tests/bench/fleet --hosts 100 --sick

Builds hosts that have a network namespace, an address and an sshd each (root), and a controller with a cable to all
of them. Runs the playbooks in turns with the ansible-playbook of this Python's environment, prints medians and ratios,
and leaves with 1 where a goal is missed. With ``--sick`` one host in twenty is dead, one in twenty slow and one dies
in the middle of its task; then the audit has to end in bounded time with every host in the report.

All hosts are this machine, so their own work is within the wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile

from ansible_collections.nettriage.linux.tests.bench.fleet.playbooks import (
    BASELINE,
    HEALTH,
    PING,
    SAMPLE,
    SHELL,
    Failed,
    Taken,
    run,
)
from ansible_collections.nettriage.linux.tests.lab import netlab
from ansible_collections.nettriage.linux.tests.lab.targets import MOST, SSHD, Targets

AUDIT = "nettriage.linux.audit"
# Contender, what it is compared with, and the goals for each of the figures.
GOALS: tuple[tuple[str, str, dict[str, float]], ...] = (
    ("health_facts", "ping", {"wall": 1.2, "controller": 1.2}),
    ("baseline", "ping", {"wall": 1.3, "controller": 1.3}),
    ("audit", "ping", {"wall": 1.4, "controller": 1.4}),
    ("audit", "guides", {"wall": 0.10, "controller": 0.11, "targets": 0.08}),
)
SLOW_S = 5
# How long the audit waits for a host.
TIMEOUT_S = 20
# How much longer than with hosts that are well, apart from the waiting: one run beside another on a busy machine.
MARGIN = 1.5


def well(targets: Targets, folder: str, number: int, options: argparse.Namespace) -> bool:
    """Compare the playbooks on *number* hosts; whether all goals are reached."""
    inventory = _written(
        folder, "hosts.json", json.dumps(targets.inventory(list(targets.hosts)[:number], audit_interval=0))
    )
    playbooks = {"audit": AUDIT}
    contenders = {"ping": PING, "health_facts": HEALTH, "baseline": BASELINE, "interval": SAMPLE, "guides": SHELL}
    for name, text in contenders.items():
        playbooks[name] = _written(folder, f"{name}.yml", text.replace("{folder}", folder))
    if options.no_guides:
        del playbooks["guides"]
    rows: dict[str, list[Taken]] = {name: [] for name in playbooks}
    run(folder, inventory, playbooks["ping"], options.forks, targets.within)  # opens the connections
    for __ in range(options.rounds):
        for name, playbook in playbooks.items():
            rows[name].append(run(folder, inventory, playbook, options.forks, targets.within)[0])
    medians = {name: Taken(*map(statistics.median, zip(*taken, strict=True))) for name, taken in rows.items()}
    print(f"{number} hosts over ssh, {options.forks} forks, medians of {options.rounds} interleaved runs")
    for name, taken in medians.items():
        per_host = ", ".join(f"{field} {1000 * value / number:.0f}" for field, value in taken._asdict().items())
        print(f"  {name:14} wall {taken.wall:6.2f} s   ms a host: {per_host}")
    reached = True
    for name, other, goals in GOALS:
        for field, goal in goals.items() if other in medians else ():
            ratio = getattr(medians[name], field) / getattr(medians[other], field)
            reached &= ratio <= goal
            print(f"  {name} / {other}, {field}: {ratio:.2f} (goal {goal}) {'reached' if ratio <= goal else 'MISSED'}")
    return reached


def sick(targets: Targets, folder: str, number: int, options: argparse.Namespace) -> bool:
    """Audit *number* hosts, then with some of them in trouble; whether that ended in time with all in the report."""
    names = list(targets.hosts)[:number]
    inventory = _written(folder, "hosts.json", json.dumps(targets.inventory(names, audit_timeout=TIMEOUT_S)))
    healthy = run(folder, inventory, AUDIT, options.forks, targets.within)[0].wall
    each = max(1, number // 20)
    dead, slow, dying = names[:each], names[each : 2 * each], names[2 * each]
    for name in dead:
        targets.dead(name)
    for name in slow:
        targets.slow(name, SLOW_S)
    targets.dies(dying)
    inventory = _written(folder, "hosts.json", json.dumps(targets.inventory(names, audit_timeout=TIMEOUT_S)))
    taken, said = run(folder, inventory, AUDIT, options.forks, targets.within, fails=True)
    with open(os.path.join(folder, "nettriage-report", "report.json"), encoding="utf-8") as file:
        hosts = json.load(file)["hosts"]
    unseen = sorted(name for name, row in hosts.items() if row["verdict"] == "unreachable")
    # Who is waited for takes a turn in a fork.
    waited = TIMEOUT_S * -(-(len(dead) + 1) // options.forks) + SLOW_S * -(-len(slow) // options.forks)
    bound = MARGIN * healthy + waited
    print(f"{number} hosts, {len(dead)} dead, {len(slow)} slow, one dying: {taken.wall:.1f} s (bound {bound:.1f} s)")
    print(f"  all of them well: {healthy:.1f} s")
    print(f"  in the report {len(hosts)}, not seen {', '.join(unseen)}")
    good = len(hosts) == number and unseen == sorted([*dead, dying]) and taken.wall <= bound
    if not good:
        print(said[-4000:])
    return good


def _written(folder: str, name: str, text: str) -> str:
    path = os.path.join(folder, name)
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)
    return path


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python tests/bench/fleet", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--hosts", type=int, nargs="+", default=[20])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--forks", type=int, default=10)
    parser.add_argument("--sick", action="store_true", help="hosts that are dead, slow or dying")
    parser.add_argument("--no-guides", action="store_true", help="leave out the guides' commands, which take longest")
    options = parser.parse_args()
    if not all(3 <= number <= MOST or (number >= 1 and not options.sick) for number in options.hosts):
        parser.error(f"--hosts takes numbers from 1 to {MOST}, with --sick from 3 on")
    reason = netlab.missing() or (None if SSHD else "there is no sshd here: install openssh-server")
    if reason is not None:
        print(f"fleet: left out, {reason}")
        return 0
    netlab.sweep()
    try:
        with tempfile.TemporaryDirectory(prefix="nt-") as folder, netlab.Lab() as lab:
            targets = Targets(lab, folder, max(options.hosts))
            try:
                measure = sick if options.sick else well
                reached = [measure(targets, folder, number, options) for number in options.hosts]
                return 0 if all(reached) else 1
            finally:
                targets.close()
    except Failed as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 2
    finally:
        netlab.sweep(own=True)


if __name__ == "__main__":
    sys.exit(main())
