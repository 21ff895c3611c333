# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long the controller takes from the facts of a fleet to its report, step by step, and how large the files get.

Usage: python tests/bench/report.py [HOSTS]   (2000 by default), with the root above ansible_collections on PYTHONPATH.
Goal: 2,000 hosts in at most 10 ms of processor time each, with all forms of the report and a former one to compare
with; report.html at most 10 MB, report.md at most 1 MB.
"""

from __future__ import annotations

import json
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, TypeVar

from ansible_collections.nettriage.linux.plugins.plugin_utils.audit import Judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, join
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.changes import former
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.joining import joined
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import files
from ansible_collections.nettriage.linux.tests.bench.findings import busy_host

GOAL_MS = 10.0
GOAL_BYTES = {"report.html": 10_000_000, "report.md": 1_000_000}
_T = TypeVar("_T")


def texts(hosts: int) -> Iterator[str]:
    """The facts of each host: all of them busy, each with ten others of the fleet as its destinations."""

    def address(number: int) -> str:
        return f"10.{number // 250}.{number % 250}.1"

    for number in range(hosts):
        facts = busy_host()
        for interface in facts["nic"]["interfaces"]:
            interface["addresses"] = []
        facts["nic"]["interfaces"][0]["addresses"] = [f"{address(number)}/16"]
        for step, row in enumerate(facts["sockets"]["tcp"]["destinations"]):
            row.update(source=address(number), address=address((number + step + 1) % hosts), port=8000 + step)
        yield json.dumps(facts, separators=(",", ":"))


def timed(name: str, hosts: int, make: Callable[[], _T]) -> tuple[_T, float]:
    """What *make* returns, and its processor time in seconds."""
    started = time.process_time()
    made = make()
    seconds = time.process_time() - started
    print(f"{name:<22} {seconds:8.2f} s  {seconds * 1000 / hosts:8.2f} ms a host")
    return made, seconds


def report(given: list[str], directory: str) -> float:
    """Everything that the action plugin does once it has the results, in processor seconds."""
    judge, count = Judge(max(1, 4000 // len(given))), len(given)

    def judged() -> list[Any]:
        return [
            judge.host(f"host{number:05}", {"ansible_facts": {"nettriage": text}}, {}, [], ["web", "db"][number % 2 :])
            for number, text in enumerate(given)
        ]

    hosts, spent = timed("facts to findings", count, judged)
    before, seconds = timed("report before", count, lambda: former(os.path.join(directory, "report.json")))
    spent += seconds
    view, seconds = timed("fleet view", count, lambda: joined(hosts, {}, judge.limits({}, []), before))
    spent += seconds
    fleet: Fleet = join(hosts, "2024-01-01T00:00:00Z", "bench", view)
    for form, made in files.FORMATS.items():
        spent += timed(made[0], count, partial(files.write, fleet, "Bench", directory, [form]))[1]
    print(f"{view.dependencies.total} dependencies, {view.findings_total} findings of several hosts")
    return spent


def main(hosts: int) -> int:
    given = list(texts(hosts))
    print(f"{hosts} hosts, {len(given[0]) / 1024:.0f} KB of facts each")
    with tempfile.TemporaryDirectory() as directory:
        report(given, directory)
        print("and again, with a report before:")
        spent = report(given, directory)
        sizes = {name: os.path.getsize(os.path.join(directory, name)) for name in sorted(os.listdir(directory))}
    print(", ".join(f"{name} {size / 1e6:.1f} MB" for name, size in sizes.items()))
    print(f"at most {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MB resident")
    print(f"all together {spent * 1000 / hosts:.2f} ms a host   goal {GOAL_MS:.0f} ms")
    small = all(sizes[name] <= most for name, most in GOAL_BYTES.items())
    return 0 if small and spent * 1000 / hosts <= GOAL_MS else 1


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 2000))
