# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts together: both ends of one problem, who depends on whom, who differs from its peers, what has changed."""

from __future__ import annotations

import json
import pathlib
import sys
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Namespace, wait_until

BACKLOG = 8
DIALED = 30
PEERS = 4


class Shop:
    """A shop whose backend has stopped to accept, its healthy twin, and five shelves, one set up otherwise."""

    def __init__(self, lab: Lab) -> None:
        self.hosts: dict[str, Namespace] = {}
        client, server, address = self._pair(lab, "shop", "stock")
        self.deaf = server.start("listener", "stock-server", "0.0.0.0:9090", BACKLOG)
        client.start("dialer", "shop-app", DIALED, 2, f"{address}:9090")
        wait_until(lambda: client.counter("TcpExtTCPSynRetrans") > DIALED, "connection attempts that are not answered")
        client, server, address = self._pair(lab, "twin", "depot")
        server.start("backend", "depot-server", "serve", "0.0.0.0:9090")
        client.start("client", "twin-app", "hold", 3, f"{address}:9090")
        for number in range(PEERS + 1):
            shelf = self.hosts[f"shelf{number}"] = lab.namespace(f"shelf{number}")
        shelf.sysctl("net.ipv4.tcp_fin_timeout", 7)

    def _pair(self, lab: Lab, near: str, far: str) -> tuple[Namespace, Namespace, str]:
        """A client, a server, and the server's address for the client."""
        client, server, link = lab.pair(near, far)
        self.hosts.update({near: client, far: server})
        # What every Docker host has, with the same address on each.
        server.ip("link add docker0 type bridge")
        server.ip("address add 172.17.0.1/16 dev docker0")
        return client, server, link.addresses[1]

    def inventory(self) -> str:
        connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
        hosts = {name: {"audit_netns": host.name} for name, host in self.hosts.items()}
        shelves: dict[str, Any] = {name: {} for name in hosts if name.startswith("shelf")}
        return json.dumps({"all": {"hosts": hosts, "vars": connection, "children": {"shelves": {"hosts": shelves}}}})


@pytest.fixture(scope="module")
def shop(shared_lab: Lab) -> Shop:
    return Shop(shared_lab)


@pytest.fixture(scope="module")
def runs(shop: Shop, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[dict[str, Any]]]:
    """The report of the sick shop, and the next one, after the backend was stopped and a host left the inventory."""
    directory = tmp_path_factory.mktemp("report")
    found = [_audit(shop.inventory(), directory)]
    shop.deaf.stop()
    wait_until(lambda: not shop.hosts["stock"].ss("-lt sport = :9090"), "nobody listens any more")
    found.append(_audit(shop.inventory(), directory, "-l", "!shelf0"))
    yield found


def _audit(inventory: str, directory: pathlib.Path, *arguments: str) -> dict[str, Any]:
    done = demo.playbook(inventory, str(directory), *arguments, capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    written: dict[str, Any] = json.loads((directory / "report.json").read_text())
    return {**written, "terminal": done.stdout, "markdown": (directory / "report.md").read_text()}


def test_both_ends_are_one_finding(runs: list[dict[str, Any]], shop: Shop) -> None:
    """The client's unanswered SYNs and the server's full accept queue, with the program that does not accept."""
    report = runs[0]
    (finding,) = report["fleet"]["findings"]
    assert finding["id"] == "fleet.not_accepting" and finding["host"] == "stock"
    assert sorted(finding["hosts"]) == ["shop", "stock"]
    assert f"stock-server[{shop.deaf.pid}] on stock" in finding["title"]
    ends = {(part["end"], part["host"], part["id"]) for part in finding["parts"]}
    assert {("far", "stock", "tcp.accept_queue"), ("near", "shop", "tcp.syn_sent_stuck")} <= ends
    assert finding["evidence"]["accept_queue"] == BACKLOG + 1 and finding["evidence"]["syn_sent"] >= 10
    assert "twin" not in json.dumps(finding) and "depot" not in json.dumps(finding)
    assert "Several hosts, one problem" in report["terminal"] and "Several hosts, one problem" in report["markdown"]


def test_destinations_are_joined_to_listeners(runs: list[dict[str, Any]], shop: Shop) -> None:
    """As ss tells it on both ends."""
    rows = {(row["source"], row["target"]): row for row in runs[0]["fleet"]["dependencies"]["rows"]}
    assert set(rows) == {("shop", "stock"), ("twin", "depot")}
    healthy = rows["twin", "depot"]
    assert healthy["states"] == {"established": 3} and healthy["connections"] == 3
    assert len(shop.hosts["twin"].ss("-t state established dport = :9090")) == 3
    assert healthy["listener"]["processes"][0]["command"] == "depot-server"
    assert healthy["processes"][0]["command"] == "twin-app" and healthy["note"] is None
    assert rows["shop", "stock"]["states"]["syn_sent"] >= 10


def test_a_host_that_differs_from_its_peers_is_told(runs: list[dict[str, Any]]) -> None:
    (row,) = runs[0]["fleet"]["outliers"]
    assert (row["group"], row["key"], row["hosts"]) == ("shelves", "net.ipv4.tcp_fin_timeout", [f"shelf{PEERS}"])
    assert (row["value"], row["usual"], row["peers"], row["severity"]) == (7, 60, PEERS, "info")


def test_what_has_changed_is_told(runs: list[dict[str, Any]]) -> None:
    first, second = (run["fleet"]["changes"] for run in runs)
    assert first["since"] is None and "no report of a former run" in first["why"]
    assert second["since"] == runs[0]["generated"] and second["why"] is None
    assert {(row["host"], row["id"]) for row in second["gone"]} >= {("stock", "tcp.accept_queue")}
    assert {row["host"] for row in second["gone"] + second["new"]} <= {"shop", "stock"}
    assert second["vanished"] == ["shelf0"] and not second["appeared"]
    assert f"Since {runs[0]['generated']}" in runs[1]["terminal"]
