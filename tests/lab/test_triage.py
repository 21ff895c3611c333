# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real playbook ``triage`` on real faults: it names the layer and the end, and finds nothing where all is well."""

from __future__ import annotations

import json
import pathlib
import re
from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab import triaging
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, Link, Namespace, command, wait_until
from ansible_collections.nettriage.linux.tests.lab.probing import TOO_BIG
from ansible_collections.nettriage.linux.tests.lab.services import etc_of

PORT = 8080
PORTS = 60
QUICK: dict[str, Any] = {"triage_interval": 2, "triage_cycles": 16}
SLOW_MS = 1500


class Star:
    """A router in the middle, and hosts around it, each on a cable of its own with a default route to the router."""

    def __init__(self, lab: Lab) -> None:
        self.lab = lab
        self.router = lab.namespace("router")
        self.router.sysctl("net.ipv4.ip_forward", 1)
        self.links: dict[Namespace, Link] = {}

    def host(self, label: str) -> Namespace:
        made = self.lab.namespace(label)
        self.links[made] = self.lab.connect(made, self.router)
        made.ip(f"route add default via {self.links[made].addresses[1]}")
        return made

    def serving(self, label: str, command: str = "nginx") -> Namespace:
        made = self.host(label)
        made.start("backend", command, "serve", f"0.0.0.0:{PORT}")
        return made

    def address(self, host: Namespace) -> str:
        return self.links[host].addresses[0]

    def hosts(self) -> dict[Namespace, list[str]]:
        """The inventory: everyone with the address by which others reach it."""
        return {host: [link.addresses[0]] for host, link in self.links.items()}


def state(pair: dict[str, Any]) -> dict[str, str]:
    """What is said of each layer."""
    return {layer["name"]: layer["state"] for layer in pair["layers"]}


def stops_at(pair: dict[str, Any], layer: str) -> None:
    """That layer is broken, those below are not, those above are not judged."""
    assert pair["verdict"] == "broken" and pair["layer"] == layer, json.dumps(pair, indent=1)
    names = ["1/2", "3", "4", "7"]
    at = names.index(layer)
    states = state(pair)
    assert states[layer] == "broken"
    assert "broken" not in [states[name] for name in names[:at]]
    assert {states[name] for name in names[at + 1 :]} <= {"not judged"}


@pytest.fixture(scope="module")
def destinations(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """One source, and a destination for each fault of the other end and of the way: one run of the playbook."""
    with Lab() as lab:
        star = Star(lab)
        shop = star.host("shop")
        for label in ("fine", "walled", "narrow", "lossy"):
            star.serving(label)
        star.host("closed")
        star.host("inward").start("backend", "redis", "serve", f"127.0.0.1:{PORT}")
        full = star.host("reports")
        listener = full.start("listener", "report-server", f"0.0.0.0:{PORT}", 4)
        idle = star.host("idle")
        reader = idle.start("backend", "archived", "hold", f"0.0.0.0:{PORT}")
        by_label = {host.label: host for host in star.links}
        rules = [
            f"ip daddr {star.address(by_label['walled'])} tcp dport {PORT} drop",
            f"ip daddr {star.address(by_label['lossy'])} numgen random mod 10 < 4 drop",
        ]
        star.router.filter("forward", "\n        ".join(rules))
        narrow = by_label["narrow"]
        for host, interface in zip((narrow, star.router), star.links[narrow].interfaces):
            host.ip(f"link set {interface} mtu 1300")
        star.router.filter("output", TOO_BIG[0])
        shop.start("dialer", "checkout-api", 12, 1, f"{star.address(full)}:{PORT}")
        shop.start("sender", "rsync", 1, 65536, 20, f"{star.address(idle)}:{PORT}")
        # The faults stand: an oracle beside each that could be missing.
        assert any(line.split()[1] == "5" for line in full.ss(f"-tl sport = :{PORT}"))
        wait_until(lambda: int(idle.ss(f"-t state established sport = :{PORT}")[0].split()[0]) > 65536, "unread bytes")
        run = triaging.run(
            "triage",
            tmp_path_factory.mktemp("destinations"),
            star.hosts(),
            triage_source="shop",
            triage_destination="all,!shop",
            triage_port=PORT,
            triage_lines=400,
            **QUICK,
        )
        yield run, listener.pid, reader.pid


def test_a_listener_that_never_accepts(destinations: Any) -> None:
    """It looks like a filter from the source; the queue of the destination tells that it is the process."""
    run, pid, __ = destinations
    pair = run.pair("shop", "reports")
    stops_at(pair, "4")
    assert pair["culprit"] == "destination" and pair["finding"] == "triage.not_accepting"
    assert f"report-server[{pid}] does not accept()" in pair["sentence"]
    assert pair["evidence"]["source"]["connect"] == "filtered"
    assert pair["evidence"]["source"]["syn_retransmits_of_host"] > 0
    assert pair["evidence"]["destination"]["accept_queue"] == 5
    assert pair["evidence"]["destination"]["dropped"] > 0
    assert pair["where"] == "reports" and pair["command"].endswith(f"ss -ltnp sport = :{PORT}")


def test_a_firewall_in_between(destinations: Any) -> None:
    """The same from the source, but the destination's queue is empty: it is the path."""
    pair = destinations[0].pair("shop", "walled")
    stops_at(pair, "4")
    assert pair["culprit"] == "path" and pair["finding"] == "triage.filtered"
    assert pair["evidence"]["destination"]["accept_queue"] == 0
    assert pair["evidence"]["destination"]["listener"][0]["command"] == "nginx"


def test_a_port_on_which_nobody_listens(destinations: Any) -> None:
    pair = destinations[0].pair("shop", "closed")
    stops_at(pair, "4")
    assert (pair["culprit"], pair["finding"]) == ("destination", "triage.refused")
    assert "nobody listens" in pair["sentence"]


def test_a_service_that_listens_on_the_loopback_only(destinations: Any) -> None:
    pair = destinations[0].pair("shop", "inward")
    stops_at(pair, "4")
    assert (pair["culprit"], pair["finding"]) == ("destination", "triage.refused")
    assert "redis" in pair["sentence"] and "127.0.0.1" in pair["sentence"]


def test_a_black_hole_on_the_router(destinations: Any) -> None:
    """Layer 3: the port is open and is not judged any more."""
    pair = destinations[0].pair("shop", "narrow")
    stops_at(pair, "3")
    assert (pair["culprit"], pair["finding"]) == ("path", "triage.black_hole")
    assert pair["evidence"]["source"]["path_mtu"] == 1300
    assert pair["evidence"]["destination"]["interface_mtu"] == 1300


def test_a_lossy_path(destinations: Any) -> None:
    pair = destinations[0].pair("shop", "lossy")
    stops_at(pair, "3")
    assert (pair["culprit"], pair["finding"]) == ("path", "triage.loss")
    assert pair["evidence"]["source"]["lost"] >= 2


def test_a_process_that_does_not_read(destinations: Any) -> None:
    """What waits in the send queue of the one is what the other does not read."""
    run, __, pid = destinations
    pair = run.pair("shop", "idle")
    stops_at(pair, "4")
    assert (pair["culprit"], pair["finding"]) == ("destination", "triage.slow_reader")
    assert f"archived[{pid}] does not read" in pair["sentence"]
    assert pair["evidence"]["source"]["send_queue_bytes"] > 0
    assert pair["evidence"]["destination"]["unread_bytes"] > 65536


def test_a_pair_that_is_well(destinations: Any) -> None:
    """The healthy twin of all of them: the network is not at fault."""
    pair = destinations[0].pair("shop", "fine")
    assert pair["verdict"] == "healthy", json.dumps(pair, indent=1)
    assert state(pair) == {"1/2": "ok", "3": "ok", "4": "ok", "7": "not judged"}
    assert "not at fault" in pair["sentence"]


def test_what_is_shown_and_written(destinations: Any) -> None:
    """The worst first, in 80 columns; the Markdown names the same."""
    run, pid, __ = destinations
    assert run.shown.startswith("8 pairs: 7 broken, 1 healthy")
    assert f"report-server[{pid}]doesnotaccept()" in "".join(run.shown.split())
    written = (run.directory / "triage.md").read_text()
    assert "fine" in written and f"report-server\\[{pid}\\]" in written


def test_the_readme_shows_what_it_looks_like(destinations: Any) -> None:
    """Only the digits, and so the places of the line breaks, differ from run to run."""
    readme = (pathlib.Path(__file__).parents[2] / "README.md").read_text()
    (sample,) = re.findall(r"<!-- triage sample -->\n```text\n(.*?)```", readme, re.DOTALL)
    shown = re.sub(r"ip netns exec \S+ ", "", destinations[0].shown)
    assert _words(sample) in _words(shown)


def _words(text: str) -> str:
    return re.sub(r"[\d.,]+", "#", "".join(text.split()))


def test_faults_of_the_source(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Links that are down, and ports that are used up, are the source's; for others the destination is well."""
    star = Star(lab)
    __, off, unplugged, greedy = (star.host(label) for label in ("well", "off", "unplugged", "greedy"))
    store = star.serving("store")
    greedy.sysctl("net.ipv4.ip_local_port_range", f"40001 {40000 + PORTS}")
    greedy.sysctl("net.ipv4.tcp_tw_reuse", 0)
    actor = greedy.start("client", "checkout-api", "hold", PORTS + 1, f"{star.address(store)}:{PORT}")
    off.ip(f"link set {star.links[off].interfaces[0]} down")
    star.router.ip(f"link set {star.links[unplugged].interfaces[1]} down")
    wait_until(lambda: "NO-CARRIER" in unplugged.ip(f"link show {star.links[unplugged].interfaces[0]}"), "no carrier")
    run = triaging.run(
        "triage",
        tmp_path,
        star.hosts(),
        triage_source=["well", "off", "unplugged", "greedy"],
        triage_destination="store",
        triage_port=PORT,
        **QUICK,
    )
    for label, host in (("off", off), ("unplugged", unplugged)):
        pair = run.pair(label)
        stops_at(pair, "1/2")
        assert (pair["culprit"], pair["finding"]) == ("source", "triage.link_down")
        assert star.links[host].interfaces[0] in pair["sentence"]
    pair = run.pair("greedy")
    stops_at(pair, "4")
    assert (pair["culprit"], pair["finding"]) == ("source", "triage.ports_exhausted")
    assert f"checkout-api[{actor.pid}]" in pair["sentence"] and f"{PORTS} of {PORTS}" in pair["sentence"]
    assert run.pair("well")["verdict"] == "healthy"


@pytest.mark.parametrize("phase", ["tls", "first_byte"])
def test_a_slow_service(lab: Lab, tmp_path: pathlib.Path, phase: str) -> None:
    """Layer 7: the path and the port are well, and the phase of the request tells who takes the time."""
    client, server, link = lab.pair()
    spec: dict[str, Any] = {f"{phase}_ms": SLOW_MS}
    if phase == "tls":
        spec.update(certificate=str(tmp_path / "made.pem"), key=str(tmp_path / "made.key"))
        made = ("req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "90", "-subj", "/CN=lab")
        command("openssl", *made, "-keyout", spec["key"], "-out", spec["certificate"])
    server.start("webserver", "shopd", f"0.0.0.0:{PORT}", json.dumps(spec))
    run = triaging.run(
        "triage",
        tmp_path,
        {client: [link.addresses[0]], server: [link.addresses[1]]},
        triage_source="client",
        triage_destination="server",
        triage_port=PORT,
        triage_url=f"{'https' if phase == 'tls' else 'http'}://{link.addresses[1]}:{PORT}/",
        triage_validate_certs=False,
        **QUICK,
    )
    pair = run.pair()
    assert pair["layer"] == "7" and pair["culprit"] == "service", json.dumps(pair, indent=1)
    assert pair["finding"] == "http.slow_phase"
    assert pair["evidence"]["source"]["slowest"]["phase"] == phase
    assert state(pair)["3"] == state(pair)["4"] == "ok"


def test_without_a_port_the_destination_is_looked_at_too(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Who are given as a list are taken as the pattern that it is for a play."""
    client, server, link = lab.pair()
    hosts = {client: [link.addresses[0]], server: [link.addresses[1]]}
    ends: dict[str, Any] = {"triage_source": ["client"], "triage_destination": ["server"]}
    run = triaging.run("triage", tmp_path, hosts, triage_fail_on="suspicious", **ends, **QUICK)
    pair = run.pair()
    assert state(pair) == {"1/2": "ok", "3": "ok", "4": "not judged", "7": "not judged"}
    assert f"{link.interfaces[1]} of server is up" in json.dumps(pair) and "not looked at" not in json.dumps(pair)


def test_a_wrong_option_is_no_verdict(lab: Lab, tmp_path: pathlib.Path) -> None:
    """What is wrong with every host is the option, and the play fails with its name."""
    client, server, link = lab.pair()
    hosts = {client: [link.addresses[0]], server: [link.addresses[1]]}
    with pytest.raises(AssertionError, match=r"port: 70000 is not accepted"):
        triaging.run(
            "triage", tmp_path, hosts, triage_source="client", triage_destination="server", triage_port=70000, **QUICK
        )


def test_a_destination_outside_of_the_inventory(lab: Lab, tmp_path: pathlib.Path) -> None:
    """Only the source is asked, and it is said what could not be seen; a name that nobody knows is the names' fault."""
    star = Star(lab)
    shop, other = star.host("shop"), star.host("other")
    address = star.address(other)
    nobody = star.links[other].addresses[0].rpartition(".")[0] + ".77"
    with etc_of(shop, resolv_conf="nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"):
        run = triaging.run(
            "triage",
            tmp_path,
            {shop: [star.address(shop)]},
            triage_source="shop",
            triage_destination=f"{address},{nobody},db.nowhere.lab",
            triage_port=PORT,
            triage_fail_on="broken",
            fails="fail_on=broken: of 3 pairs, 3 broken",
            **QUICK,
        )
    refused = run.pair("shop", address)
    assert (refused["culprit"], refused["finding"]) == ("destination", "triage.refused")
    assert refused["unseen"] == [f"{address} was not looked at: it is not in the inventory"]
    gone = run.pair("shop", nobody)
    stops_at(gone, "3")
    assert gone["culprit"] == "path"
    unknown = run.pair("shop", "db.nowhere.lab")
    assert (unknown["culprit"], unknown["finding"], unknown["layer"]) == ("names", "triage.name", "7")
