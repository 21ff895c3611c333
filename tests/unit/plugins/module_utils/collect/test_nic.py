# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.collect import nic
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window
from ansible_collections.nettriage.linux.plugins.module_utils.collect.nic import Device, Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import qdisc, rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ethtool import Driver, Rings, Settings
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.qdisc import Qdisc
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import STATISTICS, Link

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures")
UP = 0x1


def device(index: int, name: str | None = None, **what: Any) -> Device:
    """A physical interface that is up, unless told otherwise; counters not named are 0."""
    counters = {each: what.pop(each, 0) for each in STATISTICS}
    link = Link(
        ifindex=index,
        type=what.pop("type", 1),
        flags=what.pop("flags", UP),
        name=name or f"eth{index}",
        mtu=1500,
        operstate="up",
        carrier=what.pop("carrier", True),
        carrier_changes=what.pop("carrier_changes", 1),
        kind=what.pop("kind", None),
        master=what.pop("master", None),
        parent=None,
        counters=counters,
        lower=what.pop("lower", None),
    )
    return Device(link, what.pop("virtual", False), **what)


def sample(*devices: Device, routed: set[int] | None = None, qdiscs: dict[int, list[Qdisc]] | None = None) -> Sample:
    return Sample({each.link.ifindex: each for each in devices}, {}, routed or set(), qdiscs or {}, {}, [])


def rows(before: Sample | None, now: Sample, seconds: float | None = 2.0, top: int = 10) -> list[dict[str, Any]]:
    facts = nic.facts(Host(), before, now, Window(seconds if before else None, top))
    json.dumps(facts).encode("utf-8")
    found: list[dict[str, Any]] = facts["interfaces"]
    return found


def row(before: Device | None, now: Device, seconds: float | None = 2.0) -> dict[str, Any]:
    return rows(sample(before) if before else None, sample(now), seconds)[0]


def test_without_an_interval_every_change_is_null() -> None:
    found = row(None, device(1, rx_crc_errors=5))
    for name in ("delta", "rates", "errors_delta", "carrier_changes_delta", "rx_mbps", "tx_mbps", "error_ratio"):
        assert found[name] is None, name
    assert found["utilisation"] == {"rx": None, "tx": None}
    assert found["errors"]["crc"] == 5


def test_rates_and_utilisation_of_the_interval() -> None:
    port = Settings(1000, 1000, "full", True)
    found = row(device(1, rx_bytes=1000, settings=port), device(1, rx_bytes=125_001_000, settings=port), 2.0)
    assert found["delta"]["rx_bytes"] == 125_000_000
    assert (found["rx_mbps"], found["tx_mbps"]) == (500.0, 0.0)
    assert found["utilisation"] == {"rx": 0.5, "tx": 0.0}
    assert found["rates"] == {"rx_bytes": 62_500_000.0}


def test_a_counter_that_went_back_was_reset_and_its_change_is_not_known() -> None:
    found = row(device(1, rx_bytes=9000, carrier_changes=7), device(1, rx_bytes=10, carrier_changes=1))
    assert found["delta"]["rx_bytes"] is None
    assert found["rx_mbps"] is None
    assert found["carrier_changes_delta"] is None


def test_an_index_that_another_interface_got_is_not_compared() -> None:
    found = row(device(7, "veth1", rx_crc_errors=1), device(7, "veth2", rx_crc_errors=5))
    assert found["delta"] is None
    assert found["errors_delta"] is None


@pytest.mark.parametrize(("packets", "crc", "ratio"), [(1000, 2, 0.002), (1000, 0, 0.0), (0, 3, 1.0), (0, 0, None)])
def test_the_share_of_damaged_frames(packets: int, crc: int, ratio: float | None) -> None:
    before = device(1, rx_packets=50, rx_crc_errors=9)
    assert row(before, device(1, rx_packets=50 + packets, rx_crc_errors=9 + crc))["error_ratio"] == ratio


def test_private_and_standard_errors_of_the_interval_count_once() -> None:
    before = device(1, rx_crc_errors=4, statistics={"rx_crc_errors": 4, "rx0_drops": 1, "rx1_drops": 0})
    now = device(1, rx_crc_errors=6, statistics={"rx_crc_errors": 6, "rx0_drops": 4, "rx1_drops": 2})
    found = row(before, now)
    assert found["errors_delta"]["crc"] == 2
    assert found["errors_delta"]["dropped"] == 5
    assert found["errors_delta"]["no_buffer"] is None
    assert found["ethtool"] == {
        "statistics": {"rx0_drops": 4, "rx_crc_errors": 6, "rx1_drops": 2},
        "delta": {"rx0_drops": 3, "rx_crc_errors": 2, "rx1_drops": 2},
    }


def test_private_statistics_are_bounded_and_those_that_move_come_first() -> None:
    names = [f"rx{number}_drops" for number in range(200)]
    before = device(1, statistics=dict.fromkeys(names, 1000))
    now = device(1, statistics={**dict.fromkeys(names, 1000), "rx150_drops": 1001})
    shown = row(before, now)["ethtool"]
    assert len(shown["statistics"]) == 12
    assert next(iter(shown["statistics"])) == "rx150_drops"
    assert shown["delta"] == {"rx150_drops": 1}


@pytest.mark.parametrize(
    ("what", "kind"),
    [
        ({}, "physical"), ({"kind": "ipoib"}, "physical"), ({"type": 772, "virtual": True}, "loopback"),
        ({"kind": "vxlan", "virtual": True}, "tunnel"), ({"kind": "wireguard", "virtual": True}, "tunnel"),
        ({"type": 768, "virtual": True}, "tunnel"), ({"kind": "vlan", "virtual": True}, "vlan"),
        ({"virtual": True}, "other"), ({"virtual": None}, None),
    ],
)  # fmt: skip
def test_kinds(what: dict[str, Any], kind: str | None) -> None:
    assert row(None, device(1, **what))["kind"] == kind


def test_a_bridge_counts_its_ports_and_a_port_names_its_bridge() -> None:
    bridge, empty = device(1, "br0", kind="bridge", virtual=True), device(2, "br1", kind="bridge", virtual=True)
    found = {each["name"]: each for each in rows(None, sample(bridge, empty, device(3, master=1), device(4, master=1)))}
    assert [found[name]["ports"] for name in ("br0", "br1", "eth3")] == [2, 0, None]
    assert (found["eth3"]["master"], found["br0"]["master"]) == ("br0", None)


def test_what_matters_comes_first_and_the_rest_is_counted() -> None:
    veths = [device(100 + number, kind="veth", virtual=True, rx_bytes=10**9) for number in range(200)]
    quiet, down, broken = device(1), device(2, carrier=False), device(3, rx_crc_errors=8)
    off, tunnel = device(4, flags=0, carrier=None), device(5, "wg0", kind="wireguard", virtual=True)
    before = sample(*veths, quiet, down, device(3), off, tunnel, routed={5})
    facts = nic.facts(Host(), before, sample(*veths, quiet, down, broken, off, tunnel, routed={5}), Window(1.0, 10))
    assert [each["name"] for each in facts["interfaces"][:4]] == ["eth2", "eth3", "eth1", "wg0"]
    assert len(facts["interfaces"]) == 10
    assert facts["interfaces_total"] == 205
    assert facts["limited"] == ["195 of 205 interfaces are not shown: top is 10"]
    assert len(json.dumps(facts)) < 25_000


def test_a_veth_in_trouble_is_shown_before_its_quiet_neighbours() -> None:
    veths = [device(100 + number, kind="veth", virtual=True, rx_bytes=10**9) for number in range(50)]
    dropping = device(120, kind="veth", virtual=True, rx_bytes=10**9, tx_dropped=7)
    found = rows(sample(*veths), sample(*veths[:20], dropping, *veths[21:]), top=3)
    assert found[0]["name"] == "eth120"


def q(parent: str, kind: str = "fq", handle: str = "0:", **numbers: int) -> Qdisc:
    fields = {"packets": 0, "drops": 0, "overlimits": 0, "requeues": 0, "backlog_bytes": 0, "backlog_packets": 0}
    return Qdisc(1, kind, handle, parent, **{**fields, **numbers})


def test_drops_of_an_mq_s_queues_are_not_there_twice() -> None:
    before = [q("root", "mq"), *[q(f":{n}") for n in range(1, 5)]]
    now = [q("root", "mq", drops=7), q(":1", drops=2), q(":2", drops=5, backlog_bytes=90), q(":3"), q(":4")]
    (found,) = rows(sample(device(1), qdiscs={1: before}), sample(device(1), qdiscs={1: now}))
    (root,) = found["qdisc"]
    assert (root["kind"], root["drops"], root["drops_delta"], root["below"]) == ("mq", 7, 7, 4)
    assert (root["worst_below"]["parent"], root["worst_below"]["drops_delta"]) == (":2", 5)


def test_a_root_without_trouble_below_names_none_and_ingress_stands_beside_it() -> None:
    now = [q("root", "mq"), q(":1"), q("ingress", "clsact", "ffff:", drops=3)]
    (found,) = rows(None, sample(device(1), qdiscs={1: now}))
    assert [each["kind"] for each in found["qdisc"]] == ["mq", "clsact"]
    assert found["qdisc"][0]["worst_below"] is None
    assert "below" not in found["qdisc"][1]


def test_a_qdisc_that_was_replaced_is_not_compared() -> None:
    before, now = {1: [q("root", "fq", "1:", drops=9)]}, {1: [q("root", "htb", "1:", drops=10)]}
    (found,) = rows(sample(device(1), qdiscs=before), sample(device(1), qdiscs=now))
    assert found["qdisc"][0]["drops_delta"] is None


def recorded(kernel: str) -> Host:
    return Host(os.path.join(FIXTURES, kernel, "proc"), os.path.join(FIXTURES, kernel, "sys"))


def test_recorded_files_say_what_they_do_not_hold() -> None:
    host = recorded("3.10")
    now = nic.sample(host)
    facts = nic.facts(host, now, now, Window(1.0, 10))
    found = {each["name"]: each for each in facts["interfaces"]}
    assert "recorded files" in facts["limited"][0]
    assert (found["eth0"]["kind"], found["bond0"]["kind"], found["lo"]["kind"]) == ("physical", "bond", "loopback")
    assert (found["eth0"]["speed_mbps"], found["bond0"]["speed_mbps"]) == (1000, None)
    assert (found["eth0"]["has_default_route"], found["bond0"]["has_default_route"]) == (True, False)
    assert (found["bond0"]["admin_up"], found["bond0"]["carrier"]) == (False, None)
    for name in ("addresses", "addresses_total", "driver", "ring", "queues", "qdisc", "ethtool", "master"):
        assert found["eth0"][name] is None, name
    assert found["eth0"]["errors"]["missed"] == 7


def test_net_dev_alone_invents_no_zero() -> None:
    host = Host(os.path.join(FIXTURES, "6.18", "proc"))
    facts = nic.facts(host, None, nic.sample(host), Window(None, 10))
    eth0 = next(each for each in facts["interfaces"] if each["name"] == "eth0")
    assert eth0["counters"]["rx_packets"] == 8900
    for name in ("virtual", "admin_up", "carrier", "speed_mbps", "mtu", "operstate", "carrier_changes"):
        assert eth0[name] is None, name
    assert (eth0["errors"]["crc"], eth0["errors"]["missed"], eth0["errors"]["dropped"]) == (None, None, 0)


def test_without_any_file_it_is_unavailable(tmp_path: Any) -> None:
    with pytest.raises(Unavailable):
        nic.sample(Host(str(tmp_path), str(tmp_path)))


def test_named_interfaces_are_all_shown_and_an_unknown_one_is_refused() -> None:
    host = recorded("3.10")
    params: dict[str, Any] = {"interfaces": ["lo", "eth0"], "interval": 0, "top": 1}
    assert {each["name"] for each in nic.nic_health(host, params)["interfaces"]} == {"lo", "eth0"}
    with pytest.raises(BadOption, match=r"interfaces: 'eth9' is not accepted; give names .*: bond0, eth0, lo"):
        nic.nic_health(host, {**params, "interfaces": ["eth9"]})
    assert len(nic.nic_health(host, {**params, "interfaces": []})["interfaces"]) == 1


def test_nic_health_without_any_source_has_no_rows(tmp_path: Any) -> None:
    found = nic.nic_health(Host(str(tmp_path), str(tmp_path)), {"interfaces": ["eth0"], "interval": 0, "top": 1})
    assert (found["available"], found["interfaces"]) == (False, [])
    assert "net/dev" in found["why"]


def test_what_changed_while_it_was_read_or_was_refused_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(__: object) -> Any:
        raise Unavailable("netlink: Operation not permitted")

    links = rtnetlink.links
    monkeypatch.setattr(rtnetlink, "links", lambda link: (links(link)[0], True))
    monkeypatch.setattr(rtnetlink, "routes", refused)
    monkeypatch.setattr(qdisc, "qdiscs", refused)
    now = nic.sample(Host())
    assert now.limited == [
        "interfaces: changed while they were read, so one may be missing or there twice",
        "routes: netlink: Operation not permitted",
        "qdiscs: netlink: Operation not permitted",
    ]
    found = rows(None, now)[0]
    assert found["has_default_route"] is found["qdisc"] is None
    assert found["addresses"] is not None


def test_without_netlink_the_counters_of_proc_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused() -> Any:
        raise Unavailable("netlink family 0: Permission denied")

    monkeypatch.setattr(rtnetlink, "open_route", refused)
    now = nic.sample(Host())
    found = {row["name"]: row for row in rows(None, now)}
    assert "Permission denied" in now.limited[0]
    assert found["lo"]["counters"]["rx_packets"] >= 0
    assert found["lo"]["mtu"] is None, "sysfs may be another namespace's"


def test_hostile_names_survive_json() -> None:
    found = row(None, device(1, "a\n\udcff", driver=Driver("x", "", 0), rings=Rings(1, 2, 3, 4)))
    assert found["name"] == "a\n\ufffd"
    assert found["ring"] == {"rx": 1, "rx_max": 2, "tx": 3, "tx_max": 4}


def test_what_lies_upon_an_interface() -> None:
    """A bond of two cards with a VLAN upon it in a bridge; a circle, which no kernel makes, ends."""
    stack = (
        device(1, master=3),
        device(2, master=3),
        device(3, "bond0"),
        device(4, "bond0.7", lower=3, master=5),
        device(5, "br0"),
        device(6, "one", master=7),
        device(7, "other", master=6),
        device(8, lower=99),
    )
    uppers = {each["name"]: each["uppers"] for each in rows(None, sample(*stack))}
    assert uppers["eth1"] == uppers["eth2"] == ["bond0", "bond0.7", "br0"]
    assert uppers["bond0.7"] == ["br0"]
    assert uppers["br0"] == uppers["eth8"] == []
    assert uppers["one"] == ["other"]
