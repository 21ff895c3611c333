# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""path_probe over paths that are clean, slow and lossy, beside mtr."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace
from ansible_collections.nettriage.linux.tests.lab.probing import Chain, judged, nothing_left, probe

_METHODS = ("icmp", "udp", "tcp")
_DELAY_MS = 15.0  # each way
_NO_ERRORS = ("icmp type time-exceeded drop", "icmpv6 type time-exceeded drop")


def _mtr(namespace: Namespace, address: str, cycles: int, *options: str) -> list[dict[str, Any]]:
    """What ``mtr`` reports: loss is a share."""
    report = namespace.run("mtr", "-rn", "-G", "1", "-c", str(cycles), *options, address).splitlines()[2:]
    rows = [line.replace("|--", " ").split() for line in report]
    return [
        {"address": row[1], "loss": float(row[2].rstrip("%")) / 100, "avg_ms": float(row[5]), "best_ms": float(row[6])}
        for row in rows
    ]


def _addresses(path: dict[str, Any]) -> list[list[str]]:
    return [hop["addresses"] for hop in path["hops"]]


@pytest.mark.parametrize("method", _METHODS)
def test_a_long_path_beside_mtr(lab: Lab, method: str) -> None:
    chain = Chain(lab, "client", "ra", "rb", "server", delay_ms={1: _DELAY_MS})
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    found = probe(chain.client, "path", *chain.targets, method=method, cycles=3)
    nothing_left(chain.client)
    options = {"icmp": [], "udp": ["-u"], "tcp": ["-T", "-P", "443"]}[method]
    for ipv6, path in enumerate(found["paths"]):
        assert path["reached"] and path["loss"] == 0 and path["sent"] == path["cycles"] == 3
        assert path["method"] == method and path["why"] is path["loss_from_hop"] is None
        assert _addresses(path) == [[chain.address(hop, bool(ipv6))] for hop in (1, 2, 3)]
        assert (path["latency_from_hop"], path["latency_from_address"]) == (2, chain.address(2, bool(ipv6)))
        assert path["latency_step_ms"] == pytest.approx(2 * _DELAY_MS, abs=10)
        shown = _mtr(chain.client, path["address"], 3, *options)
        assert [row["address"] for row in shown] == [hop["addresses"][0] for hop in path["hops"]]
        for row, hop in zip(shown, path["hops"]):
            assert hop["loss"] == 0 and hop["best_ms"] == pytest.approx(row["best_ms"], abs=5)
            assert hop["best_ms"] <= hop["median_ms"] <= hop["worst_ms"]
    assert judged("path", found).findings == []


def test_without_privilege(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "server", delay_ms={1: _DELAY_MS})
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    for method, used in (("auto", "udp"), ("tcp", "tcp")):
        found = probe(chain.client, "path", *chain.targets, method=method, cycles=2, nobody=True)
        assert len(found["limited"]) == 1
        for ipv6, path in enumerate(found["paths"]):
            assert (path["method"], path["loss"], path["reached"]) == (used, 0, True)
            assert _addresses(path) == [[chain.address(hop, bool(ipv6))] for hop in (1, 2)]
            assert path["rtt_ms"]["best"] == pytest.approx(2 * _DELAY_MS, abs=10)
    with pytest.raises(LabError, match="method icmp: needs CAP_NET_RAW"):
        probe(chain.client, "path", *chain.targets, method="icmp", nobody=True)
    chain.client.sysctl("net.ipv4.ping_group_range", "0 65534")
    found = probe(chain.client, "path", *chain.targets, cycles=2, nobody=True)
    assert found["limited"] == []
    assert [(path["method"], path["loss"], len(path["hops"])) for path in found["paths"]] == [("icmp", 0, 2)] * 2


@pytest.mark.parametrize("method", _METHODS)
def test_a_lossy_hop(lab: Lab, method: str) -> None:
    """The router rb drops on the way; everything from the next hop on loses, ra loses nothing."""
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    # Every third of the probes to rc and the server, which come one after the other.
    near = chain.links[1].interfaces[1]
    for family in ("ipv4", "ipv6"):
        drop = f"iifname {near} meta nfproto {family} numgen inc mod 3 == 0 drop"
        chain.filter(2, "forward", "tcp flags & rst == rst accept", drop)
    found = probe(chain.client, "path", *chain.targets, method=method, cycles=7)
    for ipv6, path in enumerate(found["paths"]):
        assert path["reached"] and 0.1 < path["loss"] < 0.9
        assert path["hops"][0]["loss"] == path["hops"][1]["loss"] == 0
        assert (path["loss_from_hop"], path["loss_from_address"]) == (3, chain.address(3, bool(ipv6)))
        assert path["lost"] == path["sent"] - path["received"]
    audit = judged("path", found)
    for ipv6, target in enumerate(chain.targets):
        assert audit.names("path.loss", target, chain.address(3, bool(ipv6)))["severity"] == "critical"
    if method == "icmp":
        shown = _mtr(chain.client, chain.targets[0], 7)
        assert shown[1]["loss"] == 0 < shown[3]["loss"]


@pytest.mark.parametrize("method", _METHODS)
def test_routers_that_answer_no_probes_or_few_lose_nothing(lab: Lab, method: str) -> None:
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    chain.filter(1, "output", *_NO_ERRORS)
    few = "limit rate over 10/minute burst 1 packets drop"
    chain.filter(3, "output", f"icmp type time-exceeded {few}", f"icmpv6 type time-exceeded {few}")
    found = probe(chain.client, "path", *chain.targets, method=method, cycles=5)
    for path in found["paths"]:
        assert path["loss"] == 0 and path["loss_from_hop"] is None
        filtering, plain, limited, server = path["hops"]
        assert filtering["filters_probes"] and filtering["loss"] == 1 and filtering["addresses"] == []
        assert limited["rate_limited"] and 0 < limited["loss"] < 1
        for row in (plain, server):
            assert row["loss"] == 0 and not row["filters_probes"] and not row["rate_limited"]
    assert judged("path", found).findings == []


def test_probes_in_a_hurry_do_not_make_routers_look_lossy(lab: Lab) -> None:
    """Linux sends a peer six ICMP errors at once and then one a second."""
    chain = Chain(lab, "client", "ra", "rb", "server")
    found = probe(chain.client, "path", *chain.targets, method="icmp", cycles=30, interval=0.1)
    for path in found["paths"]:
        assert path["sent"] == 30 and path["loss"] == 0
        assert [hop["loss"] for hop in path["hops"]] == [0, 0, 0]
        assert all(3 <= hop["sent"] <= 6 for hop in path["hops"][:-1])
    # With UDP the target's own answers are such errors.
    found = probe(chain.client, "path", *chain.targets, method="udp", cycles=8, interval=0.1)
    assert [(path["loss"], path["interval_s"]) for path in found["paths"]] == [(0, 1.05)] * 2


@pytest.mark.parametrize("method", _METHODS)
def test_all_probes_of_a_path_are_one_flow(lab: Lab, method: str) -> None:
    """Between ra and rb there are two ways, taken by flow: mtr's UDP probes see both, ours only one."""
    chain = Chain(lab, "client", "ra", "rb", "server")
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    near, far = chain.hosts[1], chain.hosts[2]
    second = lab.connect(near, far)
    near.sysctl("net.ipv4.fib_multipath_hash_policy", 1)
    far.sysctl("net.ipv4.icmp_errors_use_inbound_ifaddr", 1)
    network = chain.links[2].addresses[0].rpartition(".")[0]
    ways = [f"nexthop via {link.addresses[1]}" for link in (chain.links[1], second)]
    near.ip(f"route replace {network}.0/24 {' '.join(ways)}")
    target = chain.targets[0]
    seen = set()
    for __ in range(6 if method == "udp" else 1):
        (path,) = probe(chain.client, "path", target, method=method, cycles=3)["paths"]
        assert path["loss"] == 0 and len(path["hops"]) == 3
        assert len(path["hops"][1]["addresses"]) == 1
        seen.add(path["hops"][1]["addresses"][0])
    if method == "udp":  # another run is another flow, and there are two ways indeed
        for __ in range(20):
            if len(seen) == 2:
                break
            seen.add(_mtr(chain.client, target, 1, "-u")[1]["address"])
        assert seen == {chain.links[1].addresses[1], second.addresses[1]}


def test_a_way_back_that_is_another_one(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    detour = lab.connect(chain.hosts[3], chain.hosts[1])
    for host in (chain.hosts[1], chain.hosts[3]):
        for key in ("all", "default"):
            host.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
    Chain.route(chain.hosts[3], chain.links[0], detour, 1)
    chain.settle()
    for path in probe(chain.client, "path", *chain.targets, cycles=3)["paths"]:
        assert path["loss"] == 0 and len(path["hops"]) == 4


def test_targets_that_cannot_be_reached(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    chain.filter(1, "forward", f"ip daddr {chain.address(2)} reject with icmp admin-prohibited")
    chain.filter(4, "input", "meta l4proto { icmp, udp } drop")
    absent = chain.links[2].addresses[0].rpartition(".")[0] + ".77"  # nobody has this address
    targets = [chain.address(2), absent, chain.targets[0], chain.address(1), "10.255.0.1", "no-such-host.invalid"]
    found = probe(chain.client, "path", *targets, method="icmp", cycles=5)
    prohibited, nobody, silent, fine, routeless, nameless = found["paths"]
    assert [path["reached"] for path in found["paths"]] == [False, False, False, True, False, False]
    assert (prohibited["refused_by"], prohibited["refusal"]) == (chain.address(1), "prohibited by a filter")
    assert (nobody["refused_by"], nobody["refusal"]) == (chain.address(2), "host unreachable")
    assert silent["why"] == f"nothing answers behind hop 3 ({chain.address(3)})" and silent["loss"] is None
    assert fine["loss"] == 0
    assert routeless["cycles"] == 0 and "unreachable" in routeless["why"]
    assert nameless["address"] is None and nameless["why"].startswith("no-such-host.invalid: ")
    audit = judged("path", found)
    assert audit.names("path.unreachable", absent, chain.address(2))["severity"] == "warning"
    assert audit.names("path.unreachable", chain.targets[0])["severity"] == "info"
    audit.names("path.unreachable", "no-such-host.invalid")
    assert len(audit.all("path.unreachable")) == 5
    audit.silent("path.loss", "path.latency")


def test_packets_that_go_round_in_a_circle(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    Chain.route(chain.hosts[2], chain.links[3], chain.links[1], 0)
    for path in probe(chain.client, "path", *chain.targets, cycles=1, max_hops=9)["paths"]:
        assert not path["reached"] and "circle" in path["why"] and len(path["hops"]) <= 9


def test_latency_that_has_to_be_told(lab: Lab) -> None:
    chain = Chain(lab, "client", "ra", "rb", "server", delay_ms={2: 260})
    chain.hosts[2].ip("route flush cache")
    found = probe(chain.client, "path", *chain.targets, cycles=3)
    audit = judged("path", found)
    for ipv6, target in enumerate(chain.targets):
        finding = audit.names("path.latency", target, chain.address(3, bool(ipv6)))
        assert finding["severity"] == "warning" and finding["evidence"]["latency_from_hop"] == 3
    audit.silent("path.loss")


@pytest.mark.parametrize("method", _METHODS)
def test_the_time_limit_is_kept(lab: Lab, method: str) -> None:
    chain = Chain(lab, "client", "ra", "rb", "server")
    found = probe(chain.client, "path", *chain.targets, method=method, cycles=1000, time_limit=2)
    assert found["took_s"] < 4
    for path in found["paths"]:
        assert path["loss"] == 0 and 1 <= path["cycles"] < 10
        assert path["why"].endswith("of 1000 at the time limit of 2 s")
    nothing_left(chain.client)
