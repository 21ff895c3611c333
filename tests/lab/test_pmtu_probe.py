# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""pmtu_probe over paths that are clean, narrow and black holes, beside ping and tracepath."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace
from ansible_collections.nettriage.linux.tests.lab.probing import (
    ERRORS,
    TOO_BIG,
    Chain,
    judged,
    nothing_left,
    probe,
)

_MTU = 1400
_METHODS = ("udp", "icmp", "tcp")


def _chain(lab: Lab) -> Chain:
    chain = Chain(lab, "client", "ra", "rb", "rc", "server")
    chain.server.start("backend", "web", "serve", "0.0.0.0:443")
    chain.server.start("backend", "web6", "serve", f"[{chain.targets[1]}]:443")
    return chain


def _ping(namespace: Namespace, address: str, size: int) -> bool:
    """Whether a packet of *size* bytes comes back."""
    headers = 48 if ":" in address else 28
    try:
        namespace.run("ping", "-n", "-c2", "-i0.2", "-W1", "-M", "do", "-s", str(size - headers), address)
    except LabError:
        return False
    return True


def _tracepath(namespace: Namespace, address: str) -> int:
    """The path MTU that tracepath finds."""
    lines = namespace.run("tracepath", "-n", "-m", "6", address).splitlines()
    return int(next(line for line in lines if "Resume:" in line).split("pmtu")[1].split()[0])


def _hop(chain: Chain, number: int, ipv6: bool, mtu: int = _MTU) -> dict[str, Any]:
    return {
        "number": number,
        "address": chain.address(number, ipv6),
        "next_address": chain.address(number + 1, ipv6),
        "mtu": mtu,
    }


@pytest.mark.parametrize("method", _METHODS)
def test_a_clean_path(lab: Lab, method: str) -> None:
    chain = _chain(lab)
    found = probe(chain.client, "pmtu", *chain.targets, method=method)
    for path in found["paths"]:
        assert (path["verdict"], path["path_mtu"], path["interface_mtu"]) == ("clean", 1500, 1500)
        assert path["why"] is path["hop"] is path["cached_mtu"] is path["mss_advice"]["clamp"] is None
        assert path["method"] == method and path["probes_sent"] <= 3
        assert _tracepath(chain.client, path["address"]) == 1500
    assert judged("pmtu", found).findings == []
    assert found["took_s"] < 5
    nothing_left(chain.client)


@pytest.mark.parametrize("method", _METHODS)
def test_a_narrow_path_that_says_so(lab: Lab, method: str) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    for address in chain.targets:
        assert _ping(chain.client, address, _MTU) and not _ping(chain.client, address, _MTU + 1)
        assert _tracepath(chain.client, address) == _MTU
    chain.forget()
    found = probe(chain.client, "pmtu", *chain.targets, method=method)
    for ipv6, path in enumerate(found["paths"]):
        assert (path["verdict"], path["path_mtu"], path["method"]) == ("reduced", _MTU, method)
        assert path["hop"] == _hop(chain, 2, bool(ipv6))
        assert path["mss_advice"]["tcp4"] == _MTU - 40 and path["mss_advice"]["tcp6"] == _MTU - 60
        assert path["cached_mtu"] is None
    audit = judged("pmtu", found)
    for ipv6, target in enumerate(chain.targets):
        assert audit.names("path.mtu_reduced", target, chain.address(2, bool(ipv6)))["severity"] == "info"
    audit.silent("path.mtu_black_hole")
    # By now the kernel has learnt it, as ip-route(8) shows.
    again = probe(chain.client, "pmtu", *chain.targets, method=method)
    for path in again["paths"]:
        assert f"mtu {_MTU}" in chain.client.run("ip", "route", "get", path["address"])
        assert (path["cached_mtu"], path["path_mtu"], path["verdict"]) == (_MTU, _MTU, "reduced")


@pytest.mark.parametrize("method", _METHODS)
def test_a_black_hole(lab: Lab, method: str) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    chain.filter(2, "output", *TOO_BIG)
    for address in chain.targets:
        assert _ping(chain.client, address, _MTU) and not _ping(chain.client, address, _MTU + 1)
    found = probe(chain.client, "pmtu", *chain.targets, method=method)
    for ipv6, path in enumerate(found["paths"]):
        assert (path["verdict"], path["path_mtu"], path["method"]) == ("black_hole", _MTU, method)
        assert path["hop"] == _hop(chain, 2, bool(ipv6))
    audit = judged("pmtu", found)
    for ipv6, target in enumerate(chain.targets):
        finding = audit.names("path.mtu_black_hole", target, chain.address(2, bool(ipv6)))
        assert finding["severity"] == "critical" and finding["remedies"] == ["mtu_probing"]
    audit.silent("path.mtu_reduced")
    nothing_left(chain.client)


def test_the_advised_rule_heals_it(lab: Lab) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    chain.filter(2, "output", *TOO_BIG)
    sick = probe(chain.client, "pmtu", *chain.targets, method="icmp")
    chain.hosts[2].run("nft", "add table inet filter")
    chain.hosts[2].run("nft", "add chain inet filter forward { type filter hook forward priority 0; }")
    for path in sick["paths"]:
        chain.hosts[2].run(*path["mss_advice"]["clamp"].split())
    for path in probe(chain.client, "pmtu", *chain.targets, method="tcp")["paths"]:
        assert (path["verdict"], path["path_mtu"]) == ("reduced", _MTU) and "announces an MSS" in path["why"]


def test_without_privilege(lab: Lab) -> None:
    chain = _chain(lab)
    chain.narrow(1, _MTU)
    clean = probe(chain.client, "pmtu", chain.links[0].addresses[1], nobody=True)
    assert clean["paths"][0]["verdict"] == "clean" and "CAP_NET_RAW" in clean["limited"][0]
    reduced = probe(chain.client, "pmtu", *chain.targets, nobody=True)
    chain.filter(1, "output", *TOO_BIG)
    hole = probe(chain.client, "pmtu", *chain.targets, nobody=True)
    for result, verdict in ((reduced, "reduced"), (hole, "black_hole")):
        for ipv6, path in enumerate(result["paths"]):
            assert (path["verdict"], path["path_mtu"]) == (verdict, _MTU)
            assert path["hop"] == _hop(chain, 1, bool(ipv6))
    with pytest.raises(LabError, match=r"method icmp: needs CAP_NET_RAW.*ping_group_range"):
        probe(chain.client, "pmtu", *chain.targets, nobody=True, method="icmp")
    # A ping socket needs no privilege.
    chain.client.sysctl("net.ipv4.ping_group_range", "0 65534")
    for path in probe(chain.client, "pmtu", *chain.targets, nobody=True, method="icmp")["paths"]:
        assert (path["verdict"], path["path_mtu"], path["method"]) == ("black_hole", _MTU, "icmp")


def test_a_black_hole_before_a_server_that_answers_no_udp(lab: Lab) -> None:
    chain = _chain(lab)
    chain.narrow(1, _MTU)
    chain.filter(1, "output", *TOO_BIG)
    chain.filter(4, "input", "meta l4proto udp drop")
    for path in probe(chain.client, "pmtu", *chain.targets)["paths"]:
        assert (path["verdict"], path["path_mtu"], path["method"]) == ("black_hole", _MTU, "icmp")
    # Nor echo requests: now only the routers behind the narrow link tell.
    chain.filter(4, "output", *ERRORS)
    found = probe(chain.client, "pmtu", *chain.targets)
    for ipv6, path in enumerate(found["paths"]):
        assert (path["verdict"], path["path_mtu"], path["reached"]) == ("black_hole", _MTU, False)
        assert path["hop"] == _hop(chain, 1, bool(ipv6))
        assert f"as far as hop 3 ({chain.address(3, bool(ipv6))})" in path["why"]
    judged("pmtu", found).names("path.mtu_black_hole", chain.targets[0])


def test_a_silent_server_on_a_clean_path_is_no_black_hole(lab: Lab) -> None:
    chain = _chain(lab)
    chain.filter(4, "input", "meta l4proto udp drop")
    chain.filter(4, "output", *ERRORS)
    found = probe(chain.client, "pmtu", *chain.targets)
    for path in found["paths"]:
        assert (path["verdict"], path["path_mtu"], path["reached"]) == ("unreachable", 1500, False)
        assert "packets of 1500 bytes come as far as hop 3" in path["why"]
    assert judged("pmtu", found).findings == []


def test_routers_that_say_nothing_at_all(lab: Lab) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    for hop in (1, 2, 3):
        chain.filter(hop, "output", *ERRORS)
    for path in probe(chain.client, "pmtu", *chain.targets)["paths"]:
        assert (path["verdict"], path["path_mtu"], path["reached"]) == ("black_hole", _MTU, True)
        assert path["hop"] is None and "behind" not in path["why"]
    # Where no ICMP gets through, TCP still tells.
    chain.filter(2, "forward", "meta l4proto { icmp, udp } drop", "icmpv6 type echo-request drop")
    for path in probe(chain.client, "pmtu", *chain.targets, method="tcp")["paths"]:
        assert (path["verdict"], path["path_mtu"]) == ("black_hole", _MTU)


def test_a_way_back_that_is_another_one(lab: Lab) -> None:
    """Towards the server it is narrow, and the router there says so by the way back, over other routers."""
    chain = _chain(lab)
    detour = lab.connect(chain.hosts[3], chain.hosts[1])
    for host in (chain.hosts[1], chain.hosts[3]):
        for key in ("all", "default"):
            host.sysctl(f"net.ipv4.conf.{key}.rp_filter", 0)
    Chain.route(chain.hosts[3], chain.links[0], detour, 1)
    chain.settle()
    chain.narrow(2, _MTU)
    for ipv6, path in enumerate(probe(chain.client, "pmtu", *chain.targets)["paths"]):
        assert (path["verdict"], path["path_mtu"]) == ("reduced", _MTU)
        assert (path["hop"]["number"], path["hop"]["address"]) == (2, chain.address(2, bool(ipv6)))


def test_a_peer_with_a_smaller_interface(lab: Lab) -> None:
    chain = _chain(lab)
    chain.server.ip(f"link set {chain.links[-1].interfaces[1]} mtu 1300")
    for send_data in (True, False):
        for path in probe(chain.client, "pmtu", *chain.targets, method="tcp", send_data=send_data)["paths"]:
            assert (path["verdict"], path["path_mtu"]) == ("reduced", 1300) and "announces an MSS" in path["why"]
    nothing_left(chain.client)


def test_a_lossy_path_is_measured_to_the_byte(lab: Lab) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    chain.filter(2, "output", *TOO_BIG)
    chain.filter(3, "forward", "numgen random mod 100 < 10 drop")
    for path in probe(chain.client, "pmtu", *chain.targets, method="icmp")["paths"]:
        assert (path["verdict"], path["path_mtu"]) == ("black_hole", _MTU)


def test_targets_that_cannot_be_reached(lab: Lab) -> None:
    chain = _chain(lab)
    Chain.route(chain.hosts[2], chain.links[3], chain.links[1], 0)  # in a circle
    nowhere = chain.links[2].addresses[0].rpartition(".")[0] + ".77"  # nobody has this address
    found = probe(chain.client, "pmtu", chain.targets[0], nowhere, "10.255.0.1", "no-such-host.invalid")
    circle, absent, routeless, nameless = found["paths"]
    assert {path["verdict"] for path in found["paths"]} == {"unreachable"}
    assert "circle" in circle["why"]
    assert absent["why"] == f"{chain.address(2)} says: host unreachable"
    assert routeless["why"].startswith("no route to 10.255.0.1")
    assert nameless["why"].startswith("no-such-host.invalid: ") and nameless["address"] is None
    chain.client.ip("route add unreachable 10.254.0.0/16")
    (closed,) = probe(chain.client, "pmtu", "10.254.0.1", method="tcp")["paths"]
    assert closed["verdict"] == "unreachable"
    (refused,) = probe(chain.client, "pmtu", chain.address(1), method="tcp", port=81)["paths"]
    assert "port 81: connection refused" in refused["why"]


@pytest.mark.parametrize("method", _METHODS)
def test_the_time_limit_is_kept(lab: Lab, method: str) -> None:
    chain = _chain(lab)
    chain.narrow(2, _MTU)
    chain.filter(2, "output", *TOO_BIG)
    found = probe(chain.client, "pmtu", *chain.targets, method=method, time_limit=2, probes=10)
    assert found["took_s"] < 4
    for path in found["paths"]:
        assert path["verdict"] in ("black_hole", None) and "time limit of 2 s" in path["why"]
    nothing_left(chain.client)
