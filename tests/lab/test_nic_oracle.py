# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The subset nic against ip, ethtool and tc on the same interfaces at the same time."""

from __future__ import annotations

import json
import os
import subprocess
from typing import Any, Callable, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import nic
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ethtool import Ethtool
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.tests.lab.netlab import Lab, LabError, Namespace, command, wait_until

NOBODY = 65534
DIRECTIONS = {
    "rx": {"bytes": "rx_bytes", "packets": "rx_packets", "errors": "rx_errors", "dropped": "rx_dropped",
           "over_errors": "rx_over_errors", "multicast": "multicast", "length_errors": "rx_length_errors",
           "crc_errors": "rx_crc_errors", "frame_errors": "rx_frame_errors", "fifo_errors": "rx_fifo_errors",
           "missed_errors": "rx_missed_errors", "nohandler": "rx_nohandler"},
    "tx": {"bytes": "tx_bytes", "packets": "tx_packets", "errors": "tx_errors", "dropped": "tx_dropped",
           "carrier_errors": "tx_carrier_errors", "collisions": "collisions", "aborted_errors": "tx_aborted_errors",
           "fifo_errors": "tx_fifo_errors", "window_errors": "tx_window_errors",
           "heartbeat_errors": "tx_heartbeat_errors"},
}  # fmt: skip


@pytest.fixture(scope="module")
def world(shared_lab: Lab) -> Iterator[tuple[Namespace, str]]:
    """A namespace with one interface of each kind, and the name of the one that drops what it should send."""
    left, right = shared_lab.namespace("left"), shared_lab.namespace("right")
    left.ip("link add multi numtxqueues 4 numrxqueues 4 type veth peer name other")
    left.ip("link add br0 type bridge")
    left.ip("link set other master br0")
    left.ip("link add vx0 type vxlan id 7 remote 192.0.2.9 dstport 4789 dev multi")
    left.ip("tuntap add tap0 mode tap")
    left.ip("tuntap add idle mode tun")
    for name in ("multi", "other", "br0", "vx0", "tap0"):
        left.ip(f"link set {name} up")
    left.ip("link set multi down")
    left.ip("link set multi up")
    cable = shared_lab.connect(left, right)
    slow = cable.interfaces[0]
    left.run("tc", "qdisc", "add", "dev", "multi", "root", "handle", "1:", "mq")
    left.run(*f"tc qdisc add dev {slow} root tbf rate 64kbit burst 2000 limit 3000".split())
    left.run(*f"tc qdisc add dev {slow} clsact".split())
    flood(left, cable.addresses[1])
    yield left, slow


def flood(namespace: Namespace, address: str) -> None:
    """More than the slow interface lets out; most of it is lost, which ping reports as its own failure."""
    subprocess.run(
        [
            "ip",
            "netns",
            "exec",
            namespace.name,
            "ping",
            "-q",
            "-c",
            "40",
            "-i",
            "0.002",
            "-s",
            "900",
            "-w",
            "1",
            address,
        ],
        stdout=subprocess.DEVNULL,
        check=False,
    )


def rows(namespace: Namespace) -> dict[str, dict[str, Any]]:
    with namespace.entered():
        facts = nic.facts(Host(), None, nic.sample(Host()), Window(None, 100))
    assert facts["limited"] == []
    return {row["name"]: row for row in facts["interfaces"]}


def at_rest(oracle: Callable[[], Any], ours: Callable[[], Any]) -> tuple[Any, Any]:
    """What both say while nothing moves: the oracle says the same before and after."""
    found: list[Any] = []

    def quiet() -> bool:
        before, mine, after = oracle(), ours(), oracle()
        found[:] = [before, mine]
        return bool(before == after)

    wait_until(quiet, "counters that stand still")
    return found[0], found[1]


def test_links_as_ip_shows_them(world: tuple[Namespace, str]) -> None:
    namespace, __ = world
    theirs, ours = at_rest(
        lambda: json.loads(namespace.run("ip", "-j", "-d", "-s", "-s", "link")), lambda: rows(namespace)
    )
    assert {each["ifname"] for each in theirs} == set(ours)
    for each in theirs:
        mine = ours[each["ifname"]]
        assert (mine["index"], mine["mtu"], mine["operstate"]) == (
            each["ifindex"], each["mtu"], each["operstate"].lower(),
        )  # fmt: skip
        assert mine["admin_up"] == ("UP" in each["flags"])
        assert mine["carrier"] == ("LOWER_UP" in each["flags"] if mine["admin_up"] else None)
        assert mine["master"] == each.get("master")
        kind = each.get("linkinfo", {}).get("info_kind", "loopback")
        assert mine["kind"] == {"vxlan": "tunnel"}.get(kind, kind)
        assert mine["virtual"] is True
        for direction, names in DIRECTIONS.items():
            for theirs_name, name in names.items():
                assert mine["counters"][name] == each["stats64"][direction].get(theirs_name, 0), (mine["name"], name)
    assert ours["br0"]["ports"] == 1
    assert ours["multi"]["carrier_changes"] >= 2


def test_addresses_as_ip_shows_them(world: tuple[Namespace, str]) -> None:
    namespace, __ = world
    ours = rows(namespace)
    for each in json.loads(namespace.run("ip", "-j", "addr")):
        theirs = [f"{info['local']}/{info['prefixlen']}" for info in each["addr_info"]]
        assert sorted(ours[each["ifname"]]["addresses"]) == sorted(theirs)


def test_carrier_changes_as_sysfs_counts_them(world: tuple[Namespace, str]) -> None:
    """sysfs shows the namespace in which it is mounted: ``ip netns exec`` mounts it anew."""
    namespace, __ = world
    for name, row in rows(namespace).items():
        text = namespace.run("cat", f"/sys/class/net/{name}/carrier_changes")
        assert row["carrier_changes"] == int(text)


def test_qdiscs_as_tc_shows_them(world: tuple[Namespace, str]) -> None:
    namespace, slow = world
    theirs, ours = at_rest(lambda: json.loads(namespace.run("tc", "-s", "-j", "qdisc")), lambda: rows(namespace))
    shown = {
        (each["dev"], each["kind"], each["handle"]): each
        for each in theirs
        if each.get("root") or each.get("parent") == "ffff:fff1"
    }
    mine = {(name, each["kind"], each["handle"]): each for name, row in ours.items() for each in row["qdisc"]}
    assert set(mine) == set(shown)
    for key, each in mine.items():
        other = shown[key]
        assert [each[name] for name in ("packets", "drops", "overlimits", "requeues")] == [
            other[name] for name in ("packets", "drops", "overlimits", "requeues")
        ], key
        assert (each["backlog_bytes"], each["backlog_packets"]) == (other["backlog"], other["qlen"])
    (tbf,) = [each for each in ours[slow]["qdisc"] if each["parent"] == "root"]
    assert tbf["kind"] == "tbf"
    assert tbf["drops"] > 0
    below = [each for each in theirs if each["dev"] == "multi" and each.get("parent", "").startswith("1:")]
    assert ours["multi"]["qdisc"][0]["below"] == len(below) == 4


def ethtool(namespace: Namespace | None, *arguments: str) -> str | None:
    """What ethtool prints; ``None`` where it says that the interface cannot."""
    try:
        return namespace.run("ethtool", *arguments) if namespace else command("ethtool", *arguments)
    except LabError:
        return None


def fields(text: str) -> dict[str, str]:
    return {name.strip(): value.strip() for name, __, value in (line.rpartition(":") for line in text.splitlines())}


def check_ethtool(namespace: Namespace | None, row: dict[str, Any]) -> None:
    name = row["name"]
    settings = fields(ethtool(namespace, name) or "")
    speed = settings.get("Speed", "Unknown!")
    assert row["speed_mbps"] == (int(speed[:-4]) if speed.endswith("Mb/s") else None), name
    assert row["duplex"] == {"Full": "full", "Half": "half"}.get(settings.get("Duplex", "")), name
    driver = ethtool(namespace, "-i", name)
    assert row["driver"] == (None if driver is None else fields(driver)["driver"]), name
    if driver is not None and not row["virtual"]:
        bus = next(line for line in driver.splitlines() if line.startswith("bus-info:")).split(": ")[1]
        assert row["bus"] == bus
    if row["virtual"]:
        assert row["ring"] is row["queues"] is row["ethtool"] is None
        return
    for option, ours, names in (
        ("-g", row["ring"], {"RX": "rx", "TX": "tx"}),
        ("-l", row["queues"], {"Combined": "combined"}),
    ):
        text = ethtool(namespace, option, name)
        assert (ours is None) == (text is None), (name, option)
        if text is not None:
            most, current = (fields(half) for half in text.split("Current hardware settings:"))
            for theirs, mine in names.items():
                assert ours[mine] == int(current[theirs])
                assert ours[mine + "_max"] == int(most[theirs])


def test_virtual_interfaces_as_ethtool_shows_them(world: tuple[Namespace, str]) -> None:
    namespace, __ = world
    for row in rows(namespace).values():
        check_ethtool(namespace, row)


def test_this_machine_s_own_interfaces_as_ethtool_shows_them() -> None:
    for row in nic.facts(Host(), None, nic.sample(Host()), Window(None, 1000))["interfaces"]:
        check_ethtool(None, row)


def test_private_statistics_as_ethtool_shows_them(world: tuple[Namespace, str]) -> None:
    namespace, __ = world

    def ours(name: str) -> dict[str, int]:
        with namespace.entered(), Ethtool() as asked:
            driver = asked.driver(name)
            found = asked.statistics(name, driver.statistics) if driver else None
        return dict(zip(*found)) if found else {}

    for name in ("multi", "br0", "tap0", "lo"):
        text = ethtool(namespace, "-S", name)
        theirs = {key: int(value) for key, value in fields(text).items() if value} if text else {}
        assert ours(name) == theirs
    assert len(ours("multi")) > 20, "four queues"


def unprivileged(namespace: Namespace, work: Callable[[], Any]) -> Any:
    """What *work* returns in *namespace* as a user without any privilege."""
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        try:
            with namespace.entered():
                os.setgroups([])
                os.setresgid(NOBODY, NOBODY, NOBODY)
                os.setresuid(NOBODY, NOBODY, NOBODY)
                os.write(writer, json.dumps(work()).encode())
        finally:
            os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    return json.loads(said)


def test_a_user_without_privilege_sees_the_same(world: tuple[Namespace, str]) -> None:
    namespace, __ = world

    def facts() -> Any:
        return nic.facts(Host(), None, nic.sample(Host()), Window(None, 100))

    theirs, ours = at_rest(lambda: rows(namespace), lambda: unprivileged(namespace, facts))
    assert ours["limited"] == []
    assert {row["name"]: row for row in ours["interfaces"]} == json.loads(json.dumps(theirs))


def test_the_interval_sees_what_was_sent_and_dropped_in_it(world: tuple[Namespace, str]) -> None:
    namespace, slow = world
    with namespace.entered():
        before = nic.sample(Host())
    flood(namespace, rows(namespace)[slow]["addresses"][0].replace(".1/24", ".2"))
    namespace.run("ping", "-q", "-c", "5", "-i", "0.002", "127.0.0.1")
    with namespace.entered():
        now = nic.sample(Host())
    found = {row["name"]: row for row in nic.facts(Host(), before, now, Window(1.0, 100))["interfaces"]}
    assert found["lo"]["delta"]["rx_packets"] >= 10
    assert found["lo"]["rates"]["rx_packets"] == float(found["lo"]["delta"]["rx_packets"])
    (tbf,) = [each for each in found[slow]["qdisc"] if each["parent"] == "root"]
    assert 0 < tbf["drops_delta"] < tbf["drops"]
    assert found[slow]["tx_mbps"] > 0
    assert found["idle"]["rates"] == {}
    assert found["idle"]["carrier"] is None


def test_a_namespace_is_not_shown_through_the_sysfs_of_another(world: tuple[Namespace, str]) -> None:
    """The sysfs that is mounted here belongs to the first namespace and must not be believed."""
    namespace, __ = world
    namespace.ip("link add same type veth peer name same2")
    namespace.ip("link set same mtu 1234")
    try:
        assert rows(namespace)["same"]["mtu"] == 1234
        assert rows(namespace)["same"]["admin_up"] is False
    finally:
        namespace.ip("link del same")
