# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""All network namespaces of this machine in one audit: ``netns: all``.

The namespaces of other tests that run at the same time are seen too, so nothing here counts them.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.tests.lab import demo
from ansible_collections.nettriage.linux.tests.lab.auditing import Audit, audits
from ansible_collections.nettriage.linux.tests.lab.netlab import (
    ACTORS,
    Actor,
    Lab,
    command,
    says,
    wait_until,
)

pytestmark = pytest.mark.host_wide
_NOBODY = 65534
_LEAKED = 60
# Room for the namespaces of others.
_PARAMS: dict[str, Any] = {
    "netns": "all",
    "procfs": "/proc",
    "sysfs": "/sys",
    "interval": 1.0,
    "top": 60,
    "gather_subset": ["all"],
    "as_json": False,
}
_RUN = """
import heapq, ipaddress, json, os, subprocess, sys  # the interpreter may lie where nobody else may read
from ansible_collections.nettriage.linux.plugins.module_utils.collect import everywhere, flows, sockets_connections
from ansible_collections.nettriage.linux.plugins.module_utils.collect.health import health
from ansible_collections.nettriage.linux.plugins.module_utils.target import open_target
given = json.load(sys.stdin)
for path in ("proc_sockets", "netdev_files", "route_files"):
    __import__("ansible_collections.nettriage.linux.plugins.module_utils.kernel." + path)
host = open_target(given["params"], True)
if given["user"]:
    os.setgroups([])
    os.setgid(given["user"])
    os.setuid(given["user"])
sleep = everywhere.time.sleep
def meanwhile(seconds):
    for argv in given["meanwhile"]:
        subprocess.run(argv, check=True)
    sleep(seconds)
everywhere.time.sleep = meanwhile
before = os.readlink("/proc/self/ns/net")
facts = health(host, given["params"])["ansible_facts"]["nettriage"]
json.dump({"facts": facts, "came_back": os.readlink("/proc/self/ns/net") == before}, sys.stdout)
"""


def everywhere(*meanwhile: list[str], user: int = 0, **options: Any) -> Audit:
    """Audit all namespaces.

    :param meanwhile: commands to run between the two samples.
    :param user: who does it; 0 is root.
    """
    given = {"params": {**_PARAMS, **options}, "meanwhile": meanwhile, "user": user}
    said = says(_RUN, given, 120)
    assert said["came_back"]
    return Audit(said["facts"], evaluate(said["facts"]))


def row(seen: Audit, name: str) -> dict[str, Any]:
    """What the facts say of one namespace."""
    (found,) = (each for each in seen.facts["namespaces"]["list"] if each["name"] == name)
    assert isinstance(found, dict)
    return found


def of(seen: Audit, name: str) -> list[dict[str, Any]]:
    """The findings about one namespace."""
    return [each for each in seen.findings if (each.get("namespace") or {}).get("name") == name]


@pytest.fixture(scope="module")
def fleet() -> Iterator[demo.Fleet]:
    """The fleet of ``make demo``: six hosts, five of them with a fault."""
    with Lab() as lab:
        yield demo.Fleet(lab)


def test_each_namespace_is_judged_as_if_it_were_audited_alone(fleet: demo.Fleet) -> None:
    hosts = fleet.hosts
    seen = everywhere()
    alone = dict(zip(hosts, audits(*hosts.values())))
    for label, namespace in hosts.items():
        # What was seen by chance in one of two different seconds is nobody's fault.
        wanted = {each["id"] for each in alone[label].findings if each["severity"] != "info"}
        assert {each["id"] for each in of(seen, namespace.name) if each["severity"] != "info"} == wanted, label
    assert of(seen, hosts["intranet"].name) == [] or alone["intranet"].findings
    for label, finding_id, culprit in (
        ("checkout", "tcp.ephemeral_ports", "8443"),
        ("billing", "tcp.close_wait_leak", "invoice-worker"),
        ("web", "tcp.accept_queue", "report-server"),
        ("uploads", "tcp.retransmits", "873"),
        ("storage", "nic.link_down", "to-core-"),
    ):
        name = hosts[label].name
        (finding,) = (each for each in of(seen, name) if each["id"] == finding_id and culprit in str(each))
        assert name in finding["subject"] and finding["title"].startswith(f"In namespace {name}: ")
        assert finding["command"].startswith(f"ip netns exec {name} ")
        own = next(each for each in alone[label].all(finding_id) if culprit in str(each))
        assert set(finding["evidence"]) == set(own["evidence"])
        said = finding["title"].partition(f"{name}: ")[2]
        assert re.sub(r"[\d.,]+", "#", said) == re.sub(r"[\d.,]+", "#", own["title"])
    of_the_machine = [each for each in seen.findings if not each.get("namespace")]
    assert {each["id"] for each in of_the_machine if "nt-lab-" in str(each)} <= {"sysctl.container_differs"}


def test_what_all_namespaces_share_is_judged_once(fleet: demo.Fleet) -> None:
    seen = everywhere(interval=0)
    names = {namespace.name for namespace in fleet.hosts.values()}
    rows = [each for each in seen.facts["namespaces"]["list"] if each["name"] in names]
    assert len(rows) == len(names)
    for each in rows:
        assert "softnet" not in each["tcp"] and "memory_ratio" not in each["tcp"].get("derived", {})
        assert "usage" not in each["routes"]["neighbours"].get("ipv4", {})
    checkout = row(seen, fleet.hosts["checkout"].name)
    assert checkout["sysctl"]["differing"]["net.ipv4.ip_local_port_range"] == [40001, 40000 + demo.CAPACITY]
    differs = {each["netns"]: each for each in seen.facts["sysctl"]["namespaces"]}
    assert seen.facts["sysctl"]["namespaces_total"] >= 1
    assert all(set(each["differing"]) for each in differs.values())
    seen.one("sysctl.container_differs")


def test_a_namespace_without_a_name_is_found_by_its_process(lab: Lab) -> None:
    """And one that nothing but a mount holds; and what ends while it is looked at is said to have ended."""
    holder = Actor(
        ["unshare", "--net", sys.executable, "-S", "-m", f"{ACTORS}.listener", "deafserver", "0.0.0.0:9090", "4"],
        "listener without a namespace's name",
    )
    lab.own(holder)
    holder.hear()
    inside = ["nsenter", "--net", "--target", str(holder.pid)]
    command(*inside, "ip", "link", "set", "lo", "up")
    dialer = Actor([*inside, sys.executable, "-S", "-m", f"{ACTORS}.dialer", "dialer", "9", "1", "127.0.0.1:9090"], "x")
    lab.own(dialer)
    dialer.hear()
    wait_until(lambda: "5" in command(*inside, "ss", "-Hltn").split()[1], "the accept queue is full")

    bare = lab.namespace("bare")
    ends = lab.namespace("ends")
    seen = everywhere(["ip", "netns", "del", ends.name])
    name = f"pid:{holder.pid}"
    found = row(seen, name)
    assert (found["pid"], found["command"], found["names"]) == (holder.pid, "deafserver", [])
    (finding,) = (each for each in of(seen, name) if each["id"] == "tcp.accept_queue")
    assert "deafserver" in finding["title"] and str(holder.pid) in finding["title"]
    assert finding["command"].startswith(f"nsenter --net --target {holder.pid} ")
    assert finding["namespace"]["command"] == "deafserver"
    assert row(seen, bare.name)["pid"] is None and row(seen, bare.name)["sockets"]["tcp"] == {"total": 0}
    assert of(seen, bare.name) == []
    assert ends.name not in {each["name"] for each in seen.facts["namespaces"]["list"]}
    assert any("vanished" in each and ends.name in each for each in seen.facts["namespaces"]["limited"])


def test_a_mount_elsewhere_holds_a_namespace(lab: Lab, tmp_path: Path) -> None:
    made = lab.namespace("held")
    place = tmp_path / "name with space"
    place.touch()
    subprocess.run(["mount", "--bind", made.path, str(place)], check=True)
    try:
        command("ip", "netns", "del", made.name)
        seen = everywhere(interval=0, gather_subset=["sockets", "tcp"])
        assert row(seen, str(place))["sockets"]["tcp"] == {"total": 0}
    finally:
        subprocess.run(["umount", str(place)], check=True)


def test_without_privilege_the_counters_are_known_and_the_rest_is_said(lab: Lab) -> None:
    client, server, link = lab.pair()
    server.start("backend", "leaver", "leave", "0.0.0.0:8001")
    leaky = client.start("client", "leaky-app", "hold", _LEAKED, f"{link.addresses[1]}:8001")
    seen = everywhere(user=_NOBODY)
    found = seen.facts["namespaces"]
    assert len([sentence for sentence in found["limited"] if "CAP_SYS_ADMIN" in sentence]) == 1
    (hidden,) = (each for each in found["list"] if each["pid"] == leaky.pid)
    assert hidden["in_full"] is False and hidden["inode"] is None and hidden["command"] == "leaky-app"
    assert hidden["tcp"]["sockstat"]["TCP"]["inuse"] >= _LEAKED
    assert "sockets" not in hidden and "nic" not in hidden


def test_the_playbook_reports_them(fleet: demo.Fleet, tmp_path: Path) -> None:
    """By the role's option, with the namespace in the report and on the terminal."""
    connection = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable}
    inventory = json.dumps({"all": {"hosts": {"machine": {"audit_netns": "all", "audit_top": 60}}, "vars": connection}})
    done = demo.playbook(inventory, str(tmp_path), capture=True)
    assert done.returncode == 0, done.stdout + done.stderr
    host = json.loads((tmp_path / "report.json").read_text())["hosts"]["machine"]
    name = fleet.hosts["billing"].name
    (finding,) = (
        each for each in host["findings"] if (each.get("namespace") or {}).get("name") == name and "tcp." in each["id"]
    )
    assert "invoice-worker" in finding["title"] and name in finding["subject"]
    assert host["verdict"] == "critical"
    assert "invoice-worker" in done.stdout
