# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What ``netns: all`` costs for each namespace, beside the host's own alone.

    python tests/bench/namespaces.py --namespaces 100

Makes namespaces with a cable and a listener each (root), runs the collectors of the module as whole processes in turns,
prints medians, the cost of one namespace as a share of a run without them, and leaves with 1 where the goal is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
if __name__ == "__main__":
    sys.path[0] = os.path.join(ROOT, ".collections")

from ansible_collections.nettriage.linux.tests.lab import netlab  # noqa: E402

# One namespace, as a share of a whole run that looks into the own one only. Half of it is the kernel's own walk over
# the connections of all namespaces, which a namespace without any socket is spared.
GOAL = 0.10
_COLLECT = """
import json, sys
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.load(sys.stdin)
print(len(health(open_target(params, True), params)["ansible_facts"]["nettriage"]))
"""
_LISTEN = """
import os, socket, sys
kept = []
for path in sys.argv[1:]:
    descriptor = os.open(path, os.O_RDONLY)
    os.setns(descriptor, os.CLONE_NEWNET)
    os.close(descriptor)
    kept.append(socket.create_server(("0.0.0.0", 80)))
print("ready", flush=True)
sys.stdin.read()
"""


def run(netns: str | None) -> tuple[float, int]:
    """CPU time of one run, whatever else the machine does, and the size of what it found."""
    params = {"netns": netns, "procfs": "/proc", "sysfs": "/sys", "interval": 0, "top": 10}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(
        [sys.executable, "-c", _COLLECT],
        input=json.dumps({**params, "gather_subset": ["all"], "as_json": True}),
        env=netlab.environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, int(done.stdout)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--namespaces", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    if netlab.missing() is not None or not hasattr(os, "setns"):
        print("namespaces: left out, it takes root, the tools of the lab and Python 3.12")
        return 0
    netlab.sweep()
    with netlab.Lab() as lab:
        hub = lab.namespace("hub")
        made = [lab.namespace(f"n{number}") for number in range(options.namespaces)]
        for each in made:
            lab.connect(each, hub)
        listening = subprocess.Popen(
            [sys.executable, "-c", _LISTEN, *(each.path for each in made)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            assert listening.stdout is not None
            listening.stdout.readline()
            taken: dict[str | None, list[tuple[float, int]]] = {None: [], "all": []}
            for __ in range(options.rounds):
                for netns, rows in taken.items():
                    rows.append(run(netns))
        finally:
            listening.kill()
            listening.wait()
    own, every = (statistics.median(seconds for seconds, __ in rows) for rows in taken.values())
    share = (every - own) / options.namespaces / own
    print(f"{options.namespaces} namespaces, CPU time of whole processes, medians of {options.rounds} interleaved runs")
    for netns, rows in taken.items():
        seconds = statistics.median(each for each, __ in rows)
        print(f"netns {netns or 'own':4} {seconds * 1000:7.1f} ms   {rows[-1][1] / 1024:6.1f} KiB of JSON")
    print(f"one namespace: {(every - own) / options.namespaces * 1000:.2f} ms, {share:.3f} of a run (goal {GOAL})")
    return 1 if share > GOAL else 0


if __name__ == "__main__":
    sys.exit(main())
