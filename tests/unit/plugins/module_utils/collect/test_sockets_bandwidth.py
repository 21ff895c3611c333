# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who carries how much: sums by peer, process and interface."""

from __future__ import annotations

import contextlib
import os
import pathlib
import socket
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets_bandwidth
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_bandwidth import Bandwidth, Flow
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import Census, Ports
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_owners import Owners
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host

PORTS = Ports(40000, 40999, "", 1000, 1024)
ME, ME6 = "10.0.0.1", "2001:db8::1"
MEGABIT = 125_000


def flow(local: str, port: int, peer: str, peer_port: int, inode: int, received: int = 0, acked: int = 0) -> Flow:
    family = diag.AF_INET6 if ":" in local else diag.AF_INET
    source, destination = (socket.inet_pton(family, text).ljust(16, b"\0") for text in (local, peer))
    return Flow(family, source, diag.raw_port(port), destination, diag.raw_port(peer_port), inode, received, acked)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    for pid, command, inodes in ((50, "rsync", (5, 6)), (60, "httpd", (7, 8))):
        (tmp_path / str(pid) / "fd").mkdir(parents=True)
        (tmp_path / str(pid) / "comm").write_text(command + "\n")
        (tmp_path / str(pid) / "cgroup").write_text("0::/system.slice/app.service\n")
        for number, inode in enumerate(inodes):
            os.symlink(f"socket:[{inode}]", tmp_path / str(pid) / "fd" / str(number))
    return Host(str(tmp_path), str(tmp_path))


class Kernel:
    """Addresses and routes as the kernel would tell them."""

    def __init__(self, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
        self.looked_up: list[str] = []
        self.names = {1: "lo", 2: "eth0", 3: "bond0"}

        @contextlib.contextmanager
        def open_route() -> Iterator[Any]:
            yield None

        texts = {1: ("127.0.0.1/8", "192.0.2.80/32"), 2: (f"{ME}/24", "10.0.0.9/24"), 3: (f"{ME6}/64",)}
        made = [rtnetlink.Address(index, text) for index, each in texts.items() for text in each]
        monkeypatch.setattr(rtnetlink, "open_route", open_route)
        monkeypatch.setattr(rtnetlink, "addresses", lambda link: (made, True))
        monkeypatch.setattr(rtnetlink, "way", self.way)
        monkeypatch.setattr(socket, "if_indextoname", self.names.__getitem__)
        monkeypatch.setattr(host, "live", True)

    def way(self, link: Any, destination: str) -> Any:
        self.looked_up.append(destination)
        if destination == "203.0.113.7":
            raise Unavailable("no route")
        return rtnetlink.Way(2, None, None, None, "main")


def facts(host: Host, flows: list[Flow], listening: tuple[int, ...] = (), top: int = 10) -> dict[str, Any]:
    bandwidth = Bandwidth(host, flows, Census(PORTS, set(listening)), Window(2.0, top))
    return bandwidth.facts(Owners(host, bandwidth.inodes, (), {}))


def test_sums_by_process_and_destination(host: Host) -> None:
    found = facts(
        host,
        [
            flow(ME, 40001, "10.0.0.2", 873, 5, acked=20 * MEGABIT),
            flow(ME, 40002, "10.0.0.2", 873, 6, acked=6 * MEGABIT, received=2 * MEGABIT),
            flow(ME, 443, "10.0.0.3", 50000, 7, acked=40 * MEGABIT),
            flow(ME, 443, "10.0.0.3", 50001, 99, acked=2 * MEGABIT),
        ],
        listening=(443,),
    )
    assert (found["connections"], found["tx_mbps"], found["rx_mbps"]) == (4, 34.0, 1.0)
    assert found["destinations_total"] == 2
    inbound, outbound = found["destinations"]
    assert (inbound["address"], inbound["port"], inbound["listener_port"]) == ("10.0.0.3", None, 443)
    assert (inbound["connections"], inbound["tx_mbps"]) == (2, 21.0)
    assert (outbound["address"], outbound["port"], outbound["listener_port"]) == ("10.0.0.2", 873, None)
    assert [process["pid"] for process in outbound["processes"]] == [50]
    who = [(row["command"], row["connections"], row["tx_mbps"], row["rx_mbps"]) for row in found["processes"]]
    assert who == [("httpd", 1, 20.0, 0.0), ("rsync", 2, 13.0, 1.0), (None, 1, 1.0, 0.0)]
    # Recorded files do not tell the addresses of interfaces.
    assert [row["name"] for row in found["interfaces"]] == [None]


def test_the_interface_is_that_of_the_own_address(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(host, monkeypatch)
    found = facts(
        host,
        [
            flow(ME, 40001, "10.0.0.2", 873, 5, acked=9),
            flow(ME6, 40001, "2001:db8::2", 873, 6, acked=8),
            flow(ME, 40002, "10.0.0.9", 80, 7, acked=7),  # to this host itself
            flow("127.0.0.1", 40003, "127.0.0.53", 80, 7, acked=6),
            flow("192.0.2.80", 443, "198.51.100.7", 50000, 8, acked=5),  # an address for load balancing
            flow("192.0.2.80", 443, "198.51.100.7", 50001, 8, acked=4),
            flow("192.0.2.80", 443, "203.0.113.7", 50001, 8, acked=3),
        ],
    )
    rows = {row["name"]: row for row in found["interfaces"]}
    assert {name: row["connections"] for name, row in rows.items()} == {"eth0": 3, "bond0": 1, "lo": 2, None: 1}
    assert [each["command"] for each in rows["eth0"]["processes"]] == ["rsync", "httpd"]
    assert rows["eth0"]["flows"][0]["peer"] == "10.0.0.2:873"
    assert rows["bond0"]["flows"][0]["local"] == "[2001:db8::1]:40001"
    assert kernel.looked_up == ["198.51.100.7", "203.0.113.7"]


def test_everything_is_bounded(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    kernel = Kernel(host, monkeypatch)
    many = [flow("192.0.2.80", 443, f"198.51.{n // 250}.{n % 250}", 50000, n + 100, acked=n + 1) for n in range(500)]
    found = facts(host, many, top=4)
    assert (len(found["destinations"]), found["destinations_total"]) == (4, 500)
    assert found["destinations"][0]["address"] == "198.51.1.249"
    assert len(kernel.looked_up) == sockets_bandwidth._LOOKUPS
    assert all(len(row["flows"]) == sockets_bandwidth._BELOW for row in found["interfaces"])


def test_nothing_is_asked_where_nothing_moved(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    Kernel(host, monkeypatch)
    monkeypatch.setattr(rtnetlink, "addresses", lambda link: pytest.fail("asked"))
    found = facts(host, [])
    assert (found["connections"], found["tx_mbps"], found["processes"], found["interfaces"]) == (0, 0.0, [], [])
