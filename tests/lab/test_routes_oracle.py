# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset routes against ip and sysctl in the same namespace at the same time."""

from __future__ import annotations

import json
import socket
import subprocess
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import routes
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import cpu_table
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace, wait_until

GATEWAYS = 40


@pytest.fixture(scope="module")
def world(shared_lab: Lab) -> Namespace:
    """A namespace with every kind of default route, rule and neighbour that can be had without a driver."""
    made = shared_lab.namespace("routes")
    made.ip("link add wan0 type veth peer name far0")
    for name in ("wan0", "far0"):
        made.ip(f"link set {name} up")
    made.ip("address add 192.0.2.2/24 dev wan0")
    made.ip("address add 2001:db8::2/64 dev wan0 nodad")
    made.ip("route add default via 192.0.2.1 dev wan0 metric 100 src 192.0.2.2")
    made.ip(
        "route add default table 200 nexthop via 192.0.2.1 dev wan0 weight 1 nexthop via 192.0.2.3 dev wan0 weight 3"
    )
    made.ip("route add default via inet6 2001:db8::9 dev wan0 metric 900")
    made.ip("route add default via 2001:db8::1 dev wan0 metric 50")
    made.ip("route add unreachable default metric 4000")
    made.ip("route add blackhole 10.66.0.0/16")
    made.ip("route add 198.51.100.0/24 via 192.0.2.7 dev wan0 mtu 1300")
    made.ip("rule add from 10.9.0.0/24 table 200 priority 100")
    made.ip("rule add fwmark 7 iif far0 table 200 priority 200")
    made.ip("rule add to 10.77.0.0/16 priority 300 prohibit")
    for number in range(GATEWAYS):
        made.ip(f"neigh add 192.0.2.{100 + number} lladdr 02:00:00:00:00:{number:02x} dev wan0 nud stale")
    made.ip("neigh add 192.0.2.1 lladdr 02:00:00:00:01:00 dev wan0 nud permanent")
    made.ip("neigh add 2001:db8::1 lladdr 02:00:00:00:01:01 dev wan0 nud reachable")
    return made


def sample(namespace: Namespace) -> routes.Sample:
    with namespace.entered():
        return routes.sample(Host())


def facts(namespace: Namespace, top: int = 100) -> dict[str, Any]:
    now = sample(namespace)
    return routes.facts(Host(), None, now, Window(None, top))


def ip(namespace: Namespace, arguments: str) -> Any:
    return json.loads(namespace.run("ip", "-j", *arguments.split()) or "[]")


def test_default_routes_as_ip_shows_them(world: Namespace) -> None:
    theirs = set()
    for family, option in (("ipv4", "-4"), ("ipv6", "-6")):
        for each in ip(world, f"{option} route show table all default"):
            if each.get("type", "unicast") != "unicast":
                continue
            for hop in each.get("nexthops", [each]):
                gateway = hop.get("gateway") or hop.get("via", {}).get("host")
                key = family, gateway, hop["dev"], each.get("metric", 0), each.get("prefsrc"), each.get("table", "main")
                theirs.add(key)
    keys = ("family", "gateway", "interface", "metric", "source", "table")
    ours = facts(world)
    assert {tuple(row[key] for key in keys) for row in ours["default"]} == theirs
    assert ours["default_total"] == len(theirs) == 5
    assert ours["limited"] == []


def test_as_many_routes_as_ip_shows(world: Namespace) -> None:
    counts = facts(world)["counts"]
    for family, option in (("ipv4", "-4"), ("ipv6", "-6")):
        theirs = [each for each in ip(world, f"{option} route show table all") if each.get("table") != "local"]
        assert counts[family] == len(theirs)


def test_rules_as_ip_shows_them(world: Namespace) -> None:
    ours = facts(world)
    for family, option in (("ipv4", "-4"), ("ipv6", "-6")):
        theirs = ip(world, f"{option} rule")
        mine = [row for row in ours["rules"] if row["family"] == family]
        assert [row["priority"] for row in mine] == [each["priority"] for each in theirs]
        for row, each in zip(mine, theirs):
            source = each["src"] + (f"/{each['srclen']}" if "srclen" in each else "")
            to = each.get("dst", "all") + (f"/{each['dstlen']}" if "dstlen" in each else "")
            assert (row["from"], row["to"]) == (source, to)
            assert row["table"] == each.get("table")
            assert row["action"] == each.get("action", "lookup")
            assert row["mark"] == (int(each["fwmark"], 16) if "fwmark" in each else None)
            assert row["in_interface"] == each.get("iif")


def test_neighbours_as_ip_shows_them(world: Namespace) -> None:
    found: dict[str, Any] = {}

    def quiet() -> bool:
        before = ip(world, "neigh")
        found.update(ours=facts(world)["neighbours"], theirs=before)
        return bool(before == ip(world, "neigh"))

    wait_until(quiet, "neighbours that stand still")
    for family, colon in (("ipv4", False), ("ipv6", True)):
        states: dict[str, int] = {}
        for each in found["theirs"]:
            if (":" in each["dst"]) == colon:
                state = each["state"][0].lower()
                states[state] = states.get(state, 0) + 1
        assert found["ours"][family]["states"] == states
        assert found["ours"][family]["total"] == sum(states.values())
    (row,) = found["ours"]["interfaces"]
    assert (row["name"], row["total"], row["has_default_route"]) == ("wan0", len(found["theirs"]), True)


def test_the_gateway_s_own_state(world: Namespace) -> None:
    states = {row["gateway"]: row["gateway_state"] for row in facts(world)["default"]}
    assert states["192.0.2.1"] == "permanent"
    assert states["192.0.2.3"] is None
    assert states["2001:db8::1"] in ("reachable", "stale", "delay")


def test_neighbours_that_do_not_answer(lab: Lab) -> None:
    made = lab.namespace("silent")
    made.ip("link add wan0 type veth peer name far0")
    made.ip("link set far0 up")
    made.ip("link set wan0 up")
    made.ip("address add 192.0.2.2/24 dev wan0")
    made.ip("route add default via 192.0.2.1 dev wan0")
    # The gateway is asked last: it must be among the examples all the same.
    with made.entered(), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
        for number in (*range(50, 60), 1):
            datagrams.sendto(b"?", (f"192.0.2.{number}", 9))
    found: dict[str, Any] = {}

    def failed() -> bool:
        found.update(facts(made))
        return bool(found["neighbours"]["ipv4"]["states"].get("failed") == 11)

    wait_until(failed, "eleven neighbours that failed")
    (row,) = found["neighbours"]["interfaces"]
    assert (row["name"], row["failed"], row["failing_share"], row["has_default_route"]) == ("wan0", 11, 1.0, True)
    assert row["examples"][0] == "192.0.2.1"
    assert len(row["examples"]) == 3
    assert found["default"][0]["gateway_state"] == "failed"


@pytest.mark.parametrize(
    "destination", ["203.0.113.5", "198.51.100.9", "192.0.2.44", "127.0.0.1", "2001:db8:1::1", "::1"]
)
def test_the_way_as_ip_route_get_shows_it(world: Namespace, destination: str) -> None:
    (theirs,) = ip(world, f"route get {destination}")
    with world.entered():
        ours = routes.route_get(Host(), destination)
    assert (ours["interface"], ours["gateway"], ours["source"]) == (
        theirs["dev"], theirs.get("gateway"), theirs["prefsrc"],
    )  # fmt: skip
    assert ours["error"] is None
    mtu = next((metric["mtu"] for metric in theirs.get("metrics", []) if "mtu" in metric), None)
    (link,) = ip(world, f"link show dev {theirs['dev']}")
    assert ours["mtu"] == (mtu or link["mtu"])


@pytest.mark.parametrize("destination", ["10.66.0.1", "10.77.0.1"])
def test_a_way_that_leads_nowhere(world: Namespace, destination: str) -> None:
    with pytest.raises(LabError):
        world.ip(f"route get {destination}")
    with world.entered():
        ours = routes.route_get(Host(), destination)
    assert ours["interface"] is None
    assert ours["error"]


def test_a_learnt_path_mtu_is_the_way_s(lab: Lab) -> None:
    left, router, __, link = lab.routed()
    outer = next(each["ifname"] for each in ip(router, "link") if each["ifname"].startswith("to-server"))
    router.ip(f"link set {outer} mtu 1300")
    target = link.addresses[1]
    with left.entered():
        assert routes.route_get(Host(), target)["mtu"] == 1500
    subprocess.run(
        ["ip", "netns", "exec", left.name, "ping", "-q", "-c", "1", "-w", "1", "-M", "do", "-s", "1400", target],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )
    with left.entered():
        assert routes.route_get(Host(), target)["mtu"] == 1300
        assert routes.sample(Host()).routes.counts[socket.AF_INET] == len(ip(left, "-4 route")), "no cached one counts"


def test_nexthop_objects(lab: Lab) -> None:
    """With nexthop_compat_mode=0 a route shows the number of its nexthop group only."""
    made = lab.namespace("nexthops")
    made.ip("link add wan0 type veth peer name far0")
    made.ip("link set far0 up")
    made.ip("link set wan0 up")
    made.ip("address add 192.0.2.2/24 dev wan0")
    made.ip("nexthop add id 1 via 192.0.2.1 dev wan0")
    made.ip("nexthop add id 2 via 192.0.2.3 dev wan0")
    made.ip("nexthop add id 7 group 1/2")
    made.ip("route add default nhid 7 metric 5")
    made.ip("route add default nhid 1 metric 6")
    rows = []
    for compatible in (1, 0):
        made.sysctl("net.ipv4.nexthop_compat_mode", compatible)
        rows.append([(row["gateway"], row["interface"], row["metric"]) for row in facts(made)["default"]])
    assert rows[0] == rows[1] == [("192.0.2.1", "wan0", 5), ("192.0.2.3", "wan0", 5), ("192.0.2.1", "wan0", 6)]


def test_a_default_route_without_carrier_is_not_usable(lab: Lab) -> None:
    made = lab.namespace("unplugged")
    made.ip("link add wan0 type veth peer name far0")
    made.ip("link set far0 up")
    made.ip("link set wan0 up")
    made.ip("address add 192.0.2.2/24 dev wan0")
    made.ip("route add default via 192.0.2.1 dev wan0")
    assert [row["usable"] for row in facts(made)["default"]] == [True]
    made.ip("link set far0 down")
    wait_until(lambda: [row["usable"] for row in facts(made)["default"]] == [False], "a link without carrier")


def test_reverse_path_filters_as_sysctl_shows_them(world: Namespace) -> None:
    world.sysctl("net.ipv4.conf.all.rp_filter", 1)
    world.sysctl("net.ipv4.conf.wan0.rp_filter", 2)
    world.sysctl("net.ipv4.conf.far0.rp_filter", 0)
    ours = {row["interface"]: row for row in facts(world)["rp_filter"]}
    assert set(ours) == {"lo", "wan0", "far0"}
    for name, row in ours.items():
        assert row["value"] == int(world.sysctl(f"net.ipv4.conf.{name}.rp_filter"))
        assert row["all"] == 1
    assert [ours[name]["effective"] for name in ("wan0", "far0")] == [2, 1]


def test_the_kernel_s_tables_are_told_in_a_namespace_too(world: Namespace) -> None:
    """Their sysctls and /proc/net/stat exist in the first namespace only; netlink tells them everywhere."""
    found = facts(world)["neighbours"]
    for family, version, file in (("ipv4", "ipv4", "arp_cache"), ("ipv6", "ipv6", "ndisc_cache")):
        for number in (1, 2, 3):
            value = read_text(f"/proc/sys/net/{version}/neigh/default/gc_thresh{number}")
            assert found[family][f"gc_thresh{number}"] == int(value)
        table, __ = cpu_table(read_text(f"/proc/net/stat/{file}"))
        assert found[family]["table_fulls"] == sum(row["table_fulls"] for row in table)
        assert found[family]["entries"] >= found[family]["total"]


def test_a_large_neighbourhood_stays_small(lab: Lab) -> None:
    made = lab.namespace("crowd")
    made.ip("link add wan0 type veth peer name far0")
    made.ip("link set far0 up")
    made.ip("link set wan0 up")
    made.ip("address add 10.0.0.1/8 dev wan0")
    lines = [f"neigh add 10.1.{n >> 8}.{n & 255} lladdr 02:00:00:00:00:01 dev wan0 nud permanent" for n in range(5000)]
    made.run("ip", "-batch", "-", stdin="\n".join(lines))
    found = facts(made)
    assert found["neighbours"]["ipv4"]["states"] == {"permanent": 5000}
    assert found["neighbours"]["ipv4"]["usage"] < 5000 / found["neighbours"]["ipv4"]["gc_thresh3"]
    assert len(json.dumps(found)) < 3000
