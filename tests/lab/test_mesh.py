# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbook ``mesh``: one bad host is one finding, whatever the number of its pairs."""

from __future__ import annotations

import functools
import json
import pathlib
from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab import triaging
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Link, Namespace, wait_until

QUICK: dict[str, Any] = {"mesh_cycles": 12, "mesh_probe_interval": 0.1, "mesh_time_limit": 15}


class Fabric:
    """Hosts on one router, with IPv4 and IPv6."""

    def __init__(self, lab: Lab, *labels: str) -> None:
        self.router = lab.namespace("router")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.router.sysctl("net.ipv6.conf.all.forwarding", 1)
        self.links: dict[Namespace, Link] = {}
        for label in labels:
            host = lab.namespace(label)
            link = self.links[host] = lab.connect(host, self.router)
            host.ip(f"route add default via {link.addresses[1]}")
            host.ip(f"-6 route add default via {link.addresses6[1]}")

    def __getitem__(self, label: str) -> Namespace:
        return next(host for host in self.links if host.label == label)

    def address(self, label: str) -> str:
        return self.links[self[label]].addresses[0]

    def inventory(self) -> dict[Namespace, list[str]]:
        return {host: [link.addresses[0], link.addresses6[0]] for host, link in self.links.items()}

    def settle(self, *labels: str) -> None:
        """Until each of *labels* reaches the next one in both families, so that the router knows all of them."""
        for one, other in zip(labels, (*labels[1:], labels[0])):
            for address in self.inventory()[self[other]]:
                wait_until(functools.partial(_answers, self[one], address), f"{one} to {address}")


def _answers(host: Namespace, address: str) -> bool:
    try:
        host.run("ping", "-c1", "-W1", address)
    except LabError:
        return False
    return True


def test_one_lossy_host_and_one_that_is_down(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Four hosts and a dead one: each of the two is named once, and the other pairs are well in both families."""
    fabric = Fabric(lab, "alpha", "beta", "gamma", "delta", "epsilon")
    fabric.settle("alpha", "beta", "gamma", "delta")
    for direction in ("daddr", "saddr"):
        fabric.router.filter(
            "forward",
            f"ip {direction} {fabric.address('delta')} numgen random mod 10 < 4 drop",
        )
    fabric["epsilon"].ip(f"link set {fabric.links[fabric['epsilon']].interfaces[0]} down")
    run = triaging.run(
        *("mesh", tmp_path, fabric.inventory()),
        fails="fail_on=critical: of 20 pairs, ",
        mesh_hosts="all",
        mesh_fail_on="critical",
        **QUICK,
    )
    report = run.report
    kinds = {culprit["kind"]: culprit for culprit in report["culprits"]}
    assert [name for culprit in report["culprits"] for name in culprit["subject"]].count("delta") == 1
    assert kinds["host"]["severity"] == "critical"
    bad = {(way["source"], way["destination"]) for way in report["ways"] if way["verdict"] != "ok"}
    assert all({"delta", "epsilon"} & set(pair) for pair in bad), bad
    well = [way for way in report["ways"] if {way["source"], way["destination"]} <= {"alpha", "beta", "gamma"}]
    assert {way["family"] for way in well} == {"ipv4", "ipv6"}
    assert {way["path_mtu"] for way in well} == {1500} and {way["loss"] for way in well} == {0}
    shown = " ".join(run.shown.split())
    assert "delta" in shown and "epsilon" in shown
    page = (run.directory / "mesh.html").read_text()
    assert all(host.label in page for host in fabric.links) and 'src="' not in page and "<link" not in page
    assert "epsilon" in (run.directory / "mesh.md").read_text()


@pytest.mark.parametrize("racks", [True, False])
def test_a_rack_that_is_cut_off(lab: Lab, tmp_path: pathlib.Path, racks: bool) -> None:
    """A group of the inventory explains all bad pairs; where there is none, they are told one by one."""
    fabric = Fabric(lab, "one", "two", "three", "four")
    fabric.settle("one", "two", "three", "four")
    left = ", ".join(fabric.address(label) for label in ("one", "two"))
    right = ", ".join(fabric.address(label) for label in ("three", "four"))
    fabric.router.filter("forward", f"ip saddr {{ {left} }} ip daddr {{ {right} }} drop")
    groups: dict[str, Any] = {"rack1": ["one", "two"], "rack2": ["three", "four"]} if racks else {}
    addresses = {host: found[:1] for host, found in fabric.inventory().items()}
    run = triaging.run("mesh", tmp_path, addresses, groups=groups, mesh_hosts="all", **QUICK)
    culprits = run.report["culprits"]
    if racks:
        (culprit,) = culprits
        assert culprit["kind"] == "group" and culprit["subject"] == ["rack1"], json.dumps(culprits)
        assert len(culprit["pairs"]) == 8
    else:
        assert {culprit["kind"] for culprit in culprits} == {"pair"} and len(culprits) == 4


def test_a_group_that_is_well(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Nobody is blamed; with a limit each host looks at as many as it is looked at from."""
    fabric = Fabric(lab, "one", "two", "three", "four")
    fabric.settle("one", "two", "three", "four")
    run = triaging.run(
        "mesh", tmp_path, fabric.inventory(), mesh_hosts="all", mesh_peers=2, mesh_fail_on="warning", **QUICK
    )
    assert run.report["culprits"] == [] and run.report["verdicts"]["ok"] == run.report["pairs"] == 8
    assert run.report["pairs_possible"] == 12
    for end in ("source", "destination"):
        counted = [way[end] for way in run.report["ways"]]
        assert {counted.count(name) for name in ("one", "two", "three", "four")} == {4}
