# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast sockets find their owners, beside ``ss -tanp``.

    python tests/bench/owners.py --processes 2000

Builds a network namespace with processes of ten descriptors each, two of them connections (root), runs the contenders
in turns, prints medians and ratios of CPU time, and leaves with 1 where the goal is missed.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys

import sockets as bench  # type: ignore[import-not-found]  # the bench beside this one

DESCRIPTORS = 10
CONNECTIONS = 2
SS = "ss -H -tanp >/dev/null"
# The whole subset: every connection's owner, listeners, destinations, quality.
SUBSET = bench.SUBSET
# Only whose the sockets are, as ss -tanp tells it: a process of its own.
OWNERS = (
    bench.PRELUDE
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
owners = Owners(host, census.owned, {one.inode for one in listeners}, {})
print(sockets_tables.processes(None, sample, 10, owners), sockets_tables.Destinations(None, sample).rows(10, owners))
"""
)


def make(processes: int) -> None:
    """Start the processes in this namespace and keep them until standard input ends."""
    import socket

    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    listener = socket.create_server(("127.0.0.1", bench.PORT), backlog=64)
    accepted: list[socket.socket] = []
    for number in range(processes):
        if not os.fork():
            address = listener.getsockname()
            os.closerange(3, hard)
            files = [os.open("/dev/null", os.O_RDONLY) for __ in range(DESCRIPTORS - CONNECTIONS - 3)]
            clients = [socket.create_connection(address) for __ in range(CONNECTIONS)]
            if number % 4 == 0:  # not every process has its descriptors without a gap
                os.close(files[0])
            sys.stdin.read()
            os._exit(len(clients) - CONNECTIONS)
        accepted += [listener.accept()[0] for __ in range(CONNECTIONS)]
    print("ready", flush=True)
    sys.stdin.read()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--processes", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--make", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.make:
        make(options.make)
        return 0
    with bench.namespace([sys.executable, __file__, "--make", str(options.processes)]):
        print(f"{options.processes} processes, {options.processes * DESCRIPTORS} descriptors; CPU time")
        medians = bench.interleaved(
            {
                "owners": bench.program([*bench.PYTHON, OWNERS]),
                "whole subset": bench.program([*bench.PYTHON, SUBSET]),
                "ss -H -tanp": bench.program(["sh", "-c", SS]),
            },
            options.rounds,
        )
    return 0 if bench.Goal("owners to ss -H -tanp", medians["owners"] / medians["ss -H -tanp"], 0.62).show() else 1


if __name__ == "__main__":
    sys.exit(main())
