# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's trace tells of real faults, and that nothing of the trace is left.

Events are those of the whole machine, so whatever else runs on it is among them: what is looked for is told by its
addresses or by how much of it there is.
"""

from __future__ import annotations

import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import time
from functools import partial
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab.netlab import (
    Lab,
    LabError,
    Namespace,
    command,
    environment,
    wait_until,
)

pytestmark = pytest.mark.host_wide
_NOBODY = 65534
_ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
_TIMEOUT_S = 90.0
_PROGRAM = f"""
import json, os, sys
import ctypes, socket  # the interpreter may lie where nobody else may read
from ansible_collections.nettriage.linux.plugins.module_utils.probe import drop_trace
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
params = json.loads(sys.argv[1])
host = open_target(params)
if params["nobody"]:
    os.setgroups([])
    os.setgid({_NOBODY})
    os.setuid({_NOBODY})
json.dump(drop_trace.drop_trace(host, params), sys.stdout)
"""
_MOUNT = 'mount -t tracefs nettriage-lab /sys/kernel/tracing && exec "$@"'
_COUNTING = """
table inet lab {
    counter gone { }
    chain input {
        type filter hook input priority 0;
        udp dport 7701 counter name gone drop
    }
}
"""
_TOPICS = ["drops", "retransmits", "resets", "connections"]
# What else runs on the machine drops packets as well, more or less of them at each attempt.
_QUIET_ATTEMPTS = 6


def _heed() -> None:
    """What the test run ignores, as one in the background does, its children would ignore as well."""
    for each in _ENDING:
        signal.signal(each, signal.SIG_DFL)


class Watch:
    """A run of the module's code in a process of its own.

    :ivar pid: its number.
    """

    def __init__(
        self, tracefs: pathlib.Path, namespace: Namespace | None, mounted: bool = False, **options: Any
    ) -> None:
        self._tracefs = tracefs
        params = {
            **{"procfs": "/proc", "sysfs": "/sys", "netns": namespace.name if namespace else None, "nobody": False},
            **{"duration": 1.5, "events": _TOPICS, "top": 200, **options},
        }
        wrapper = ["unshare", "--mount", "sh", "-c", _MOUNT, "sh"] if mounted else []
        self._process = subprocess.Popen(
            [*wrapper, sys.executable, "-c", _PROGRAM, json.dumps(params)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(),
            preexec_fn=_heed,
        )
        self.pid = self._process.pid

    def instances(self) -> list[pathlib.Path]:
        """What it has below ``instances``."""
        return sorted((self._tracefs / "instances").glob(f"nettriage-{self.pid}-*"))

    def begun(self) -> Watch:
        """The same, once all of its events are written."""
        wait_until(lambda: self._process.poll() is not None or self._enabled(), "the trace has begun", _TIMEOUT_S)
        if self._process.returncode:
            raise LabError(self._said()[1])
        return self

    def _enabled(self) -> bool:
        # The last one that is switched on.
        files = list((self._tracefs / "instances").glob(f"nettriage-{self.pid}-*-tcp/events/sock/*_state/enable"))
        return [file.read_text()[:1] for file in files] == ["1"]

    def result(self) -> dict[str, Any]:
        """What it returned, at its end. :raises LabError: it failed, or left an instance."""
        out, error = self._said()
        if self._process.returncode:
            raise LabError(error)
        left = self.instances()
        if left:
            raise LabError(f"left behind: {left}")
        found: dict[str, Any] = json.loads(out)
        return found

    def ended(self) -> int:
        """How it ended."""
        self._said()
        return self._process.returncode

    def _said(self) -> tuple[str, str]:
        out, error = self._process.communicate(timeout=_TIMEOUT_S)
        return out.decode(), error.decode()

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate(timeout=_TIMEOUT_S)


@pytest.fixture(scope="module")
def tracefs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[pathlib.Path]:
    """tracefs where nobody looks for it, so that what others make of it can be seen."""
    path = tmp_path_factory.mktemp("tracing")
    command("mount", "-t", "tracefs", "nettriage-lab", str(path))
    try:
        yield path
    finally:
        command("umount", str(path))


def row(found: dict[str, Any], reason: str, protocol: str = "ipv4") -> dict[str, Any]:
    (one,) = (each for each in found["drops"]["reasons"] if (each["reason"], each["protocol"]) == (reason, protocol))
    assert isinstance(one, dict)
    return one


def findings(found: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {finding["id"]: finding for finding in evaluate({"drops": found})}


def to(rows: list[dict[str, Any]], address: str, port: int) -> list[dict[str, Any]]:
    return [each for each in rows if (each["address"], each["port"]) == (address, port)]


def test_reasons_functions_and_a_quiet_twin(lab: Lab, tracefs: pathlib.Path) -> None:
    client, server, link = lab.pair()
    address = link.addresses[1]
    client.ip("address add 10.99.0.1/32 dev lo")
    server.ip(f"route add 10.99.0.1/32 via {link.addresses[0]}")
    server.start("receiver", "reader", "hear", f"{address}:7700", 0)

    def quiet() -> set[str]:
        """What is found while nothing is wrong, and not without the lab's traffic."""
        others = set(findings(Watch(tracefs, server, duration=0.5).result()))
        sender = client.start("datagrams", "sender", 20, 64, "10.99.0.1", f"{address}:7700")
        found = set(findings(Watch(tracefs, server, duration=0.5).result()))
        sender.stop()
        return found - others

    assert any(quiet() == set() for __ in range(_QUIET_ATTEMPTS))

    server.run("nft", "-f", "-", stdin=_COUNTING)
    # The route back goes elsewhere now.
    server.ip("route del 10.99.0.1/32")
    server.ip("route add 10.99.0.1/32 dev lo")
    server.sysctl("net.ipv4.conf.all.rp_filter", 1)
    client.start("datagrams", "filtered", 20, 64, "0.0.0.0", f"{address}:7701")
    client.start("datagrams", "unwanted", 20, 64, "0.0.0.0", f"{address}:7702")
    client.start("datagrams", "forged", 20, 64, "10.99.0.1", f"{address}:7700")
    found = Watch(tracefs, server).result()
    assert found["available"] and found["duration_s"] == pytest.approx(1.5, abs=1.0)
    dropped = row(found, "NETFILTER_DROP")
    assert dropped["count"] >= 40 and "nft_do_chain" in {place["function"] for place in dropped["locations"]}
    assert _counter(server, "gone") >= 40
    unwanted = row(found, "NO_SOCKET")
    assert unwanted["count"] >= 40 and any("udp" in place["function"] for place in unwanted["locations"])
    assert row(found, "IP_RPFILTER")["count"] >= 40
    assert server.counter("UdpNoPorts") >= 40 <= server.counter("TcpExtIPReversePathFilter")
    said = findings(found)
    for rule, reason in (
        ("drop.netfilter", "NETFILTER_DROP"),
        ("drop.no_socket", "NO_SOCKET"),
        ("drop.reverse_path", "IP_RPFILTER"),
    ):
        assert said[rule]["evidence"]["reason"] == reason and said[rule]["evidence"]["places"]
    assert any("all network namespaces" in sentence for sentence in found["limited"])


def _counter(namespace: Namespace, name: str) -> int:
    listed = json.loads(namespace.run("nft", "--json", "list", "counter", "inet", "lab", name))["nftables"]
    (counter,) = (each["counter"] for each in listed if "counter" in each)
    return int(counter["packets"])


def test_a_full_accept_queue(lab: Lab, tracefs: pathlib.Path) -> None:
    """Many handshakes are under way when the queue becomes full: their last step is dropped."""
    client, server = lab.namespace("client"), lab.namespace("server")
    address = lab.line(client, server, 20).addresses[1]
    wait_until(partial(_answers, client, address), "a neighbour that answers")
    server.start("listener", "deafserver", f"{address}:9090", 32)
    # A queue with a backlog of 32 takes 33, and as many handshakes begin as long as it is not full.
    client.start("dialer", "first", 32, 0, f"{address}:9090")
    wait_until(lambda: server.ss("-lt sport = :9090")[0].split()[1] == "32", "nearly all of the queue")
    watch = Watch(tracefs, server, duration=2.5).begun()
    client.start("dialer", "second", 32, 0, f"{address}:9090")
    found = watch.result()
    assert server.counter("TcpExtListenOverflows") > 0
    assert row(found, "TCP_LISTEN_OVERFLOW")["count"] >= 10
    assert "drop.accept_queue" in findings(found)


def _answers(client: Namespace, address: str) -> bool:
    try:
        client.run("ping", "-c1", "-W1", address)
    except LabError:
        return False
    return True


def test_retransmits_name_their_destination(lab: Lab, tracefs: pathlib.Path) -> None:
    client, server, link = lab.pair()
    address = link.addresses[1]
    server.start("backend", "server", "serve", "0.0.0.0:9000", "0.0.0.0:9001")
    server.filter("input", "tcp dport 9000 meta length > 200 drop\n        tcp dport 9002 drop")
    client.start("transfer", "stuck", 1 << 20, f"{address}:9000", ready=False)
    client.start("dialer", "knocking", 2, 1, f"{address}:9002")
    wait_until(lambda: client.counter("TcpRetransSegs") > 0, "the first retransmission")
    client.start("transfer", "healthy", 1 << 16, f"{address}:9001")
    before = client.counter("TcpRetransSegs")
    found = Watch(tracefs, client, duration=2.5).result()
    after = client.counter("TcpRetransSegs")
    destinations = found["retransmits"]["destinations"]
    (stuck,) = to(destinations, address, 9000)
    assert stuck["state"] == "established" and stuck["local_address"] == link.addresses[0]
    assert stuck["local_port"] is None and stuck["count"] >= 1
    (unanswered,) = to(destinations, address, 9002)
    assert unanswered["state"] == "syn_sent" and unanswered["count"] >= 1
    assert stuck["count"] + unanswered["count"] <= after - before
    assert to(destinations, address, 9001) == []


@pytest.mark.parametrize("ipv6", [False, True])
def test_connections_and_resets_by_process(lab: Lab, tracefs: pathlib.Path, ipv6: bool) -> None:
    client, server, link = lab.pair()
    address = (link.addresses6 if ipv6 else link.addresses)[1]
    shown = f"[{address}]" if ipv6 else address
    backend = server.start("backend", "goodserver", "serve", f"{'[::]' if ipv6 else '0.0.0.0'}:8080")
    watch = Watch(tracefs, server, duration=3.0).begun()
    good = client.start("client", "visitor", "close", 20, f"{shown}:8080")
    failing = client.start("dialer", "refused", 12, 0, f"{shown}:8081")
    found = watch.result()

    connections = found["connections"]
    assert connections["total"] == connections["outbound"] + connections["inbound"]
    rows = {each["command"]: each for each in connections["processes"]}
    visitor, refused, accepting = rows["visitor"], rows["refused"], rows["goodserver"]
    assert (visitor["pid"], visitor["outbound"], visitor["failed"]) == (good.pid, 20, 0)
    assert visitor["destinations"] == [{"address": address, "port": 8080, "count": 20, "failed": 0}]
    assert (refused["pid"], refused["outbound"], refused["failed"]) == (failing.pid, 12, 12)
    assert (accepting["pid"], accepting["inbound"]) == (backend.pid, 20)
    assert accepting["listeners"] == [{"address": address, "port": 8080, "count": 20}]

    resets = found["resets"]
    (theirs,) = to(resets["peers"], address, 8081)
    assert (theirs["received"], theirs["sent"]) == (12, 0)
    (ours,) = (each for each in resets["peers"] if (each["local_address"], each["local_port"]) == (address, 8081))
    assert (ours["sent"], ours["port"]) == (12, None)
    assert server.counter("TcpOutRsts") == 12
    (unwanted,) = (each for each in resets["reasons"] if each["reason"] == "NO_SOCKET")
    assert unwanted["count"] >= 12
    said = [each for each in evaluate({"drops": found}) if each["id"] == "tcp.connects_fail"]
    (finding,) = (each for each in said if each["subject"] == f"{shown}:8081")
    assert finding["evidence"]["process"]["pid"] == failing.pid
    assert not any(f"{shown}:8080" == each["subject"] for each in said)


def test_clients_that_live_for_a_moment_only(lab: Lab, tracefs: pathlib.Path, tmp_path: pathlib.Path) -> None:
    host = lab.namespace("host")
    host.start("backend", "server", "serve", "127.0.0.1:8080")
    shell = shutil.copy("/bin/bash", tmp_path / "shortlived")
    watch = Watch(tracefs, host, duration=3.0).begun()
    host.run("sh", "-c", f"for n in 1 2 3 4 5 6 7 8 9 10; do {shell} -c 'exec 3<>/dev/tcp/127.0.0.1/8080'; done")
    processes = watch.result()["connections"]["processes"]
    (client,) = (each for each in processes if each["command"] == "shortlived")
    assert (client["outbound"], client["processes"], client["failed"]) == (10, 10, 0)
    assert isinstance(client["pid"], int)


def test_a_reader_that_is_too_slow_loses_and_counts(lab: Lab, tracefs: pathlib.Path) -> None:
    """More drops than the buffers hold while the reader stands still: none of them is missing in the sum."""
    host = lab.namespace("host")
    host.filter("input", "udp dport 7703 drop")
    watch = Watch(tracefs, host, duration=2.0).begun()
    many = 150_000
    os.kill(watch.pid, signal.SIGSTOP)
    try:
        with host.entered():
            flood = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with flood:
            flood.connect(("127.0.0.1", 7703))
            for __ in range(many):
                flood.send(b"n")
    finally:
        os.kill(watch.pid, signal.SIGCONT)
    found = watch.result()
    assert found["drops"]["lost"] > 0
    assert found["drops"]["total"] + found["drops"]["lost"] >= many
    assert found["events_lost"] >= found["drops"]["lost"]
    assert any("came faster" in sentence for sentence in found["limited"])


@pytest.mark.parametrize("number", _ENDING)
def test_a_run_that_is_told_to_end_leaves_nothing(tracefs: pathlib.Path, number: int) -> None:
    watch = Watch(tracefs, None, duration=60.0).begun()
    assert len(watch.instances()) == 2
    os.kill(watch.pid, number)
    assert watch.ended() == -number
    assert watch.instances() == []


def test_what_a_killed_run_left_is_swept_by_the_next_one(tracefs: pathlib.Path) -> None:
    alive = Watch(tracefs, None, duration=60.0).begun()
    killed = Watch(tracefs, None, duration=60.0).begun()
    killed.stop()
    assert len(killed.instances()) == 2
    assert Watch(tracefs, None, duration=0.1).result()["available"]
    assert killed.instances() == []
    assert len(alive.instances()) == 2
    os.kill(alive.pid, signal.SIGTERM)
    alive.ended()


def test_where_it_is_mounted_it_is_used_and_elsewhere_no_mount_is_left(tracefs: pathlib.Path) -> None:
    before = _mounts()
    assert len(before) >= 1
    for mounted in (True, False):
        assert Watch(tracefs, None, mounted, duration=0.1).result()["available"]
    assert _mounts() == before


def _mounts() -> list[str]:
    lines = pathlib.Path("/proc/self/mounts").read_text().splitlines()
    return [line for line in lines if line.split()[2] == "tracefs"]


@pytest.mark.parametrize("mounted", [True, False])
def test_without_privilege_it_says_so(tracefs: pathlib.Path, mounted: bool) -> None:
    found = Watch(tracefs, None, mounted, nobody=True).result()
    assert set(found) == {"available", "why", "limited"} and found["available"] is False
    assert "needs root with CAP_SYS_ADMIN" in found["why"] and "\n" not in found["why"]
    assert evaluate({"drops": found}) == []


def test_the_time_is_kept(tracefs: pathlib.Path) -> None:
    started = time.monotonic()
    found = Watch(tracefs, None, duration=0.3, events=["drops"]).result()
    assert 0.3 <= found["duration_s"] <= time.monotonic() - started
    assert found["retransmits"] is found["resets"] is found["connections"] is None
