# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast sockets are summed up, beside ss and beside the pipelines that people type.

    python tests/bench/sockets.py --sockets 60000            # TIME_WAIT only
    python tests/bench/sockets.py --sockets 60000 --mixed    # half of them established
    python tests/bench/sockets.py --sockets 500000 --flat    # cost of a socket, from 10000 on

Builds a network namespace with real sockets on its loopback (root), runs the contenders in turns, prints medians and
ratios, and leaves with 1 where a goal is missed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import resource
import statistics
import subprocess
import sys
from typing import Callable, Iterator, NamedTuple

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
COLLECTIONS = os.path.join(ROOT, ".collections")
sys.path.insert(0, COLLECTIONS)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import namespaces  # noqa: E402
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host  # noqa: E402

# No environment, no site: the libraries beside the interpreter are all that is needed.
PYTHON = (sys.executable, "-I", "-S", "-c")
PORT = 81
# One destination has at most this many local ports.
PER_DESTINATION = 25_000
PER_PROCESS = 8_000

PRELUDE = f"""
import sys
sys.path.insert(0, {COLLECTIONS!r})
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
"""
# What the guides' pipelines show: states, destinations and listen queues, nobody named. A process of its own.
SUMMARY = (
    PRELUDE
    + """
from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_sample, sockets_tables
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import Census, read_ports
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
host = Host()
source, __ = sockets_sample.open_source(host)
ports, listeners = read_ports(host), sockets_sample.listening(source)
census = Census(ports, {one.port for one in listeners})
interrupted = sockets_sample.count(source, census, sockets_sample.expected(host))
sample = sockets_sample.Sample("netlink", interrupted, [], ports, listeners, census, [], None, None, {})
nobody = Owners(host, (), (), {})
print(
    sockets_tables.states(sample),
    sockets_tables.Destinations(None, sample).rows(10, nobody),
    sockets_tables.Listeners(None, sample, 10).rows(nobody),
)
if len(sys.argv) > 1:
    print(open("/proc/self/status").read().split("VmHWM:")[1].split()[0], file=sys.stderr)
"""
)
# The whole subset with owners and quality.
SUBSET = (
    PRELUDE
    + """
import json
from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
host = Host()
json.dump(sockets.facts(host, None, sockets.sample(host), Window(None, 10)), sys.stdout)
"""
)
# tcp_info of every established connection, asked for and made into quality; seconds of it.
QUALITY = (
    PRELUDE
    + """
import time
from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_quality, sockets_sample
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag
host = Host()
sample = sockets_sample.take(host)
started = time.process_time()
details = []
sockets_sample.look_at_some(details, 1 << sock_diag.ESTABLISHED, sockets_sample.DETAILS, 10**9)
sockets_quality.Quality(host, sample._replace(details=details), None, Window(None, 10))
print(time.process_time() - started)
"""
)
SS = "ss -H -tan >/dev/null"
SS_INFO = "ss -tani >/dev/null"
GUIDES = """
ss -tan | awk 'NR>1 {print $1}' | sort | uniq -c | sort -rn >/dev/null
ss -tan state time-wait | awk '{print $4}' | awk -F: '{print $1}' | sort | uniq -c | sort -rn | head -10 >/dev/null
ss -ltn >/dev/null
"""


class Goal(NamedTuple):
    """What a ratio or a figure must not exceed."""

    what: str
    value: float
    limit: float

    def show(self) -> bool:
        held = self.value <= self.limit
        print(f"{'ok    ' if held else 'MISSED'} {self.what}: {self.value:.2f} (goal {self.limit:.2f})")
        return held


@contextlib.contextmanager
def namespace(argv: list[str]) -> Iterator[None]:
    """This process in a namespace in which *argv* made what is measured and keeps it until the end."""
    name = f"nt-bench-{os.getpid()}"
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    subprocess.run(["ip", "netns", "add", name], check=True)
    try:
        namespaces.enter(Host(), name)
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
        # It and its children leave when their standard input ends.
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as maker:
            assert maker.stdout is not None
            if maker.stdout.readline() != b"ready\n":
                raise SystemExit("the sockets could not be made")
            yield
    finally:
        namespaces.switch(home, Host())
        os.close(home)
        subprocess.run(["ip", "netns", "del", name], check=True)


def sockets(time_wait: int, pairs: int) -> contextlib.AbstractContextManager[None]:
    """This process in a namespace with so many TIME_WAIT and pairs of established sockets."""
    return namespace([sys.executable, __file__, "--make", f"{time_wait},{pairs}"])


def make(time_wait: int, pairs: int) -> None:
    """Make the sockets in this namespace and keep them until standard input ends."""
    import socket

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    for key, value in (("ip_local_port_range", "1024 65535"), ("tcp_max_tw_buckets", "2000000"), ("tcp_tw_reuse", "0")):
        with open(f"/proc/sys/net/ipv4/{key}", "w") as file:
            file.write(value)
    listener = socket.create_server(("0.0.0.0", PORT), backlog=64)

    def pair(number: int) -> tuple[socket.socket, socket.socket]:
        high, low = divmod(number // PER_DESTINATION, 250)
        client = socket.create_connection((f"127.1.{high}.{low + 1}", PORT))
        return client, listener.accept()[0]

    made = 0
    while made < pairs:
        share = min(PER_PROCESS, pairs - made)
        ready, tell = os.pipe()
        if not os.fork():
            kept = [pair(made + number) for number in range(share)]
            os.write(tell, b"%d" % len(kept))
            sys.stdin.read()
            os._exit(0)
        os.read(ready, 8)
        made += share
    for number in range(time_wait):
        client, server = pair(pairs + PER_DESTINATION + number)
        client.close()
        server.close()
    print("ready", flush=True)
    sys.stdin.read()


def cost(argv: list[str]) -> float:
    """The CPU seconds of a program and all that it starts: the machine may be busy with other things."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(argv, check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime


def said(argv: list[str]) -> float:
    """The figure that a program prints."""
    return float(subprocess.run(argv, check=True, stdout=subprocess.PIPE).stdout)


def interleaved(contenders: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of each contender, all of them run in turns; prints them in milliseconds."""
    taken: dict[str, list[float]] = {name: [] for name in contenders}
    for run in contenders.values():
        run()  # warm
    for __ in range(rounds):
        for name, run in contenders.items():
            taken[name].append(run())
    medians = {name: statistics.median(values) for name, values in taken.items()}
    for name, value in medians.items():
        print(f"{value * 1000:9.1f} ms  {name}")
    return medians


def program(argv: list[str]) -> Callable[[], float]:
    """A contender that runs *argv*."""
    return lambda: cost(argv)


def resident(code: str) -> int:
    """The peak resident memory in bytes of a Python program, which prints it in KiB on standard error."""
    argv = [*PYTHON, code, "memory"]
    return 1024 * int(subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE).stderr)


def compare(total: int, mixed: bool, rounds: int) -> list[Goal]:
    """The summary and the quality beside ss and the guides' pipelines."""
    pairs = total // 4 if mixed else 0
    large = total >= 200_000
    print(f"{total} sockets: {total - 2 * pairs} TIME_WAIT, {2 * pairs} established; CPU time")
    contenders = {
        "summary": program([*PYTHON, SUMMARY]),
        "whole subset with owners and quality": program([*PYTHON, SUBSET]),
        "ss -H -tan": program(["sh", "-c", SS]),
        "guides' pipelines": program(["sh", "-c", GUIDES]),
    }
    if mixed:
        contenders["tcp_info in process"] = lambda: said([*PYTHON, QUALITY])
        contenders["ss -tani"] = program(["sh", "-c", SS_INFO])
    with sockets(total - 2 * pairs, pairs):
        medians = interleaved(contenders, rounds)
    summary = medians["summary"]
    limit = 0.5 if mixed else 0.2 if large else 0.3
    goals = [Goal("summary to the guides' pipelines", summary / medians["guides' pipelines"], limit)]
    if mixed:
        goals.append(Goal("tcp_info in process to ss -tani", medians["tcp_info in process"] / medians["ss -tani"], 0.4))
    else:
        goals.append(Goal("summary to ss -H -tan", summary / medians["ss -H -tan"], 0.55 if large else 0.75))
    return goals


def flat(total: int, rounds: int) -> list[Goal]:
    """What one socket costs on a host with few and on one with many."""
    costs, memory = [], 0
    idle = resident("import sys" + SUMMARY[SUMMARY.index("\nif len") :])
    for count in (0, 10_000, total):
        with sockets(count, 0):
            print(f"{count} sockets; CPU time")
            costs.append(interleaved({"summary": program([*PYTHON, SUMMARY])}, rounds)["summary"])
            memory = resident(SUMMARY)
    few, many = (costs[1] - costs[0]) / 10_000, (costs[2] - costs[0]) / total
    print(f"{few * 1e6:.2f} us a socket at 10000, {many * 1e6:.2f} us at {total}")
    print(f"{memory / 1e6:.1f} MB resident, {idle / 1e6:.1f} MB of them the bare interpreter")
    return [
        Goal("cost of a socket, many to few", many / few, 1.2),
        Goal("MB above the interpreter", (memory - idle) / 1e6, 12.0),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sockets", type=int, default=60_000)
    parser.add_argument("--mixed", action="store_true", help="half of them established")
    parser.add_argument("--flat", action="store_true", help="compare the cost of one socket with that at 10000")
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--make", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(*map(int, options.make.split(",")))
        return 0
    if options.flat:
        goals = flat(options.sockets, options.rounds)
    else:
        goals = compare(options.sockets, options.mixed, options.rounds)
    missed = [goal for goal in goals if not goal.show()]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
