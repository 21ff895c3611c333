# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import pathlib
import struct
from typing import Any, Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.collect import sockets, sockets_sample
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Window, gather
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census import (
    Census,
    Ports,
    normal,
    read_ports,
)
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.tests.unit.diag_messages import (
    DONE,
    FIXTURES,
    answering,
    batches,
    info,
    message,
    recorded,
)

PORTS = Ports(40000, 40099, "40010-40019", 90, 1024)
ONE = Window(None, 10)
TWO = Window(2.0, 10)


@pytest.fixture
def host(tmp_path: pathlib.Path) -> Host:
    (tmp_path / "sys/net/ipv4").mkdir(parents=True)
    (tmp_path / "sys/net/ipv4/tcp_rmem").write_text("4096\t131072\t1000000\n")
    (tmp_path / "sys/net/ipv4/tcp_wmem").write_text("4096\t16384\t2000000\n")
    return Host(str(tmp_path), str(tmp_path))


def process(host: Host, pid: int, *inodes: int, command: str = "app") -> None:
    root = pathlib.Path(host.procfs) / str(pid)
    (root / "fd").mkdir(parents=True)
    (root / "comm").write_text(command + "\n")
    (root / "cgroup").write_text("0::/system.slice/app.service\n")
    for number, inode in enumerate(inodes):
        os.symlink(f"socket:[{inode}]", root / "fd" / str(number))


def listener(address: str, port: int, queue: int = 0, backlog: int = 128, drops: int | None = 0, **more: Any) -> bytes:
    words = struct.pack("=9I", 0, 0, 0, 0, 0, 0, 0, 0, drops or 0)[: None if drops is not None else 32]
    attributes = netlink.attribute(diag.SKMEMINFO, words) + more.pop("attributes", b"")
    return message(diag.LISTEN, (address, port), attributes=attributes, queues=(queue, backlog), **more)


def sample(messages: Iterable[bytes] = (), listeners: Iterable[bytes] = (), **more: Any) -> Sample:
    listening = [one for batch in batches(*listeners) for one in diag.rows(batch)]
    census = Census(PORTS, {one.port for one in listening})
    found = batches(*messages)
    for batch in found:
        census.add(batch)
    details = [batch for batch in found if batch.stride > 150]
    values = Sample("netlink", False, [], PORTS, listening, census, details, (0, []), (0, 0), {})
    return values._replace(**more)


def connections(state: int, count: int, peer: tuple[str, int] = ("10.0.0.2", 443), first: int = 40000) -> list[bytes]:
    return [message(state, ("10.0.0.1", first + number), peer) for number in range(count)]


def tcp(host: Host, now: Sample, before: Sample | None = None) -> dict[str, Any]:
    found: dict[str, Any] = sockets.facts(host, before, now, TWO if before is not None else ONE)["tcp"]
    return found


class TestDestinations:
    def test_used_ports_are_counted_per_destination(self, host: Host) -> None:
        many = connections(diag.TIME_WAIT, 45) + connections(diag.ESTABLISHED, 5, first=40050)
        (row,) = tcp(host, sample(many))["destinations"]
        assert (row["source"], row["address"], row["port"]) == ("10.0.0.1", "10.0.0.2", 443)
        assert (row["ports_used"], row["capacity"], row["port_usage"]) == (50, 90, 0.5556)
        assert row["sustainable_per_s"] == 1.5
        assert row["states"] == {"time_wait": 45, "established": 5}

    def test_the_same_ports_spread_over_many_are_many_rows(self, host: Host) -> None:
        many = [one for n in range(20) for one in connections(diag.TIME_WAIT, 5, (f"10.0.1.{n}", 80))]
        found = tcp(host, sample(many))
        assert found["destinations_total"] == 20
        assert len(found["destinations"]) == ONE.top
        assert {row["ports_used"] for row in found["destinations"]} == {5}

    @pytest.mark.parametrize("address", ["0.0.0.0", "10.0.0.1", "127.0.0.1", "::"])
    def test_what_came_to_a_listener_is_no_destination(self, host: Host, address: str) -> None:
        inbound = connections(diag.TIME_WAIT, 30, first=40000)[7:8]
        found = tcp(host, sample(inbound, [listener(address, 40007, inode=1)]))
        assert found["destinations_total"] == 0
        assert found["states"]["time_wait"] == 1

    def test_a_local_port_outside_the_range_takes_none_of_it(self, host: Host) -> None:
        (row,) = tcp(host, sample([message(diag.ESTABLISHED, ("10.0.0.1", 700), ("10.0.0.9", 2049))]))["destinations"]
        assert (row["port"], row["ports_used"], row["states"]) == (2049, 0, {"established": 1})

    def test_what_a_stopped_service_left_is_no_destination(self, host: Host) -> None:
        left = [message(diag.TIME_WAIT, ("10.0.0.1", 80), ("10.0.0.2", 40000 + n)) for n in range(50)]
        assert tcp(host, sample(left))["destinations_total"] == 0

    def test_mapped_addresses_are_the_same_destination(self, host: Host) -> None:
        mapped = message(diag.ESTABLISHED, ("::ffff:10.0.0.1", 40001), ("::ffff:10.0.0.2", 443))
        plain = message(diag.ESTABLISHED, ("10.0.0.1", 40002), ("10.0.0.2", 443))
        (row,) = tcp(host, sample([mapped, plain]))["destinations"]
        assert (row["address"], row["ports_used"]) == ("10.0.0.2", 2)

    def test_rubbish_behind_an_ipv4_address_of_an_old_kernel_is_ignored(self, host: Host) -> None:
        first, second = (bytearray(one) for one in connections(diag.TIME_WAIT, 2))
        second[diag.DESTINATION + 4 : diag.DESTINATION + 16] = b"rubbish here"
        assert tcp(host, sample([bytes(first), bytes(second)]))["destinations_total"] == 1

    def test_ipv6_destinations(self, host: Host) -> None:
        one = message(diag.SYN_SENT, ("2001:db8::1", 40001), ("2001:db8::2", 443), retransmits=1, timer=1)
        (row,) = tcp(host, sample([one]))["destinations"]
        assert (row["source"], row["address"]) == ("2001:db8::1", "2001:db8::2")

    def test_syn_sent_goes_before_what_is_connected(self, host: Host) -> None:
        now = sample(
            [one for n in range(12) for one in connections(diag.ESTABLISHED, 6, (f"10.0.1.{n}", 80))]
            + [message(diag.SYN_SENT, ("10.0.0.1", 40090), ("10.9.9.9", 25), retransmits=2, timer=1)]
            + [message(diag.SYN_SENT, ("10.0.0.1", 40091), ("10.9.9.9", 25))]
        )
        before = sample([message(diag.SYN_SENT, ("10.0.0.1", 40090), ("10.9.9.9", 25))])
        row = tcp(host, now, before)["destinations"][0]
        assert (row["address"], row["states"], row["syn_sent_delta"], row["syn_sent_retried"]) == (
            "10.9.9.9",
            {"syn_sent": 2},
            1,
            1,
        )
        assert tcp(host, now)["destinations"][0]["syn_sent_delta"] is None

    def test_without_a_known_range_nothing_is_invented(self, host: Host) -> None:
        unknown = Ports(None, None, None, None, None)
        census = Census(unknown, ())
        for batch in batches(*connections(diag.TIME_WAIT, 3)):
            census.add(batch)
        (row,) = tcp(host, sample()._replace(ports=unknown, census=census))["destinations"]
        assert row["ports_used"] is row["capacity"] is row["port_usage"] is row["sustainable_per_s"] is None
        assert row["states"] == {"time_wait": 3}

    def test_owners_come_from_the_sockets_that_have_one(self, host: Host) -> None:
        process(host, 20, 500, command="crawler")
        owned = message(diag.ESTABLISHED, ("10.0.0.1", 40099), ("10.0.0.2", 443), inode=500)
        (row,) = tcp(host, sample([*connections(diag.TIME_WAIT, 40), owned]))["destinations"]
        assert row["processes"] == [{"pid": 20, "command": "crawler", "unit": "app.service", "container": None}]


@pytest.mark.parametrize(
    ("reserved", "capacity"),
    [("", 100), ("40000", 99), ("1-39999", 100), ("39990-40009,40005-40014,50000", 85), ("40000-40099", 0)],
)
def test_capacity_is_the_range_less_what_is_reserved(host: Host, reserved: str, capacity: int) -> None:
    root = pathlib.Path(host.procfs) / "sys/net/ipv4"
    (root / "ip_local_port_range").write_text("40000\t40099\n")
    (root / "ip_local_reserved_ports").write_text(reserved + "\n")
    assert read_ports(host) == Ports(40000, 40099, reserved, capacity, None)


@pytest.mark.parametrize("text", ["", "1", "a b", "1 2 3", "40000"])
def test_a_damaged_range_is_no_range(host: Host, text: str) -> None:
    (pathlib.Path(host.procfs) / "sys/net/ipv4/ip_local_port_range").write_text(text)
    assert read_ports(host).capacity is None


class TestListeners:
    def test_queue_drops_and_their_change(self, host: Host) -> None:
        process(host, 30, 9)
        process(host, 31, 9)
        before = sample(listeners=[listener("0.0.0.0", 80, 3, 10, 5, inode=9)])
        now = sample(listeners=[listener("0.0.0.0", 80, 11, 10, 25, inode=9)])
        (row,) = tcp(host, now, before)["listeners"]
        assert [entry["pid"] for entry in row.pop("processes")] == [30, 31]
        assert row == {
            "address": "0.0.0.0",
            "port": 80,
            "family": "ipv4",
            "accept_queue": 11,
            "accept_queue_before": 3,
            "backlog": 10,
            "fill": 1.1,
            "drops": 25,
            "drops_delta": 20,
            "syn_recv": 0,
            "connections": 0,
        }

    def test_a_kernel_that_does_not_count_drops(self, host: Host) -> None:
        now = sample(listeners=[listener("0.0.0.0", 80, drops=None, inode=9)])
        (row,) = tcp(host, now, now)["listeners"]
        assert row["drops"] is row["drops_delta"] is None

    def test_a_backlog_of_zero_has_no_fill(self, host: Host) -> None:
        (row,) = tcp(host, sample(listeners=[listener("0.0.0.0", 80, 1, 0, inode=9)]))["listeners"]
        assert (row["accept_queue"], row["backlog"], row["fill"]) == (1, 0, None)

    def test_connections_belong_to_the_exact_address_then_to_the_wildcard(self, host: Host) -> None:
        def to(address: str, state: int = diag.ESTABLISHED) -> bytes:
            return message(state, (address, 80), ("10.0.0.9" if "." in address else "2001:db8::9", 50000))

        now = sample(
            [to("10.0.0.1"), to("10.0.0.1"), to("127.0.0.1"), to("10.0.0.1", diag.SYN_RECV), to("2001:db8::1")],
            [listener("10.0.0.1", 80, inode=1), listener("0.0.0.0", 80, inode=2), listener("::", 80, inode=3)],
        )
        counted = {row["address"]: (row["connections"], row["syn_recv"]) for row in tcp(host, now)["listeners"]}
        assert counted == {"10.0.0.1": (2, 1), "0.0.0.0": (1, 0), "::": (1, 0)}

    def test_a_dual_listener_takes_ipv4_too(self, host: Host) -> None:
        both = netlink.attribute(diag.V6ONLY, b"\0")
        inbound = message(diag.ESTABLISHED, ("::ffff:10.0.0.1", 80), ("::ffff:10.0.0.9", 50000))
        (row,) = tcp(host, sample([inbound], [listener("::", 80, inode=1, attributes=both)]))["listeners"]
        assert (row["family"], row["connections"]) == ("dual", 1)

    @pytest.mark.parametrize(("beside", "family"), [([], "dual"), ([listener("0.0.0.0", 80, inode=2)], "ipv6")])
    def test_a_kernel_that_does_not_tell_who_is_dual(self, host: Host, beside: list[bytes], family: str) -> None:
        rows = tcp(host, sample(listeners=[listener("::", 80, inode=1), *beside]))["listeners"]
        assert [row["family"] for row in rows if row["address"] == "::"] == [family]

    def test_the_worst_goes_first_and_all_are_counted(self, host: Host) -> None:
        many = [listener("0.0.0.0", 1000 + n, inode=100 + n) for n in range(30)]
        found = tcp(host, sample(listeners=[*many, listener("0.0.0.0", 9, 129, 128, inode=99)]))
        assert (found["listeners_total"], len(found["listeners"])) == (31, ONE.top)
        assert found["listeners"][0]["port"] == 9

    def test_sources_of_half_open_connections(self, host: Host) -> None:
        half = [message(diag.SYN_RECV, ("10.0.0.1", 80), (f"10.0.0.{9 if n % 3 else 8}", 50000 + n)) for n in range(9)]
        found = tcp(host, sample(half, [listener("0.0.0.0", 80, inode=1)]))
        assert found["syn_recv_sources"] == [{"address": "10.0.0.9", "count": 6}, {"address": "10.0.0.8", "count": 3}]
        assert found["syn_recv_sources_total"] == 2
        assert found["listeners"][0]["syn_recv"] == 9


def waiting(*inodes: int) -> list[bytes]:
    return [message(diag.CLOSE_WAIT, ("10.0.0.1", 80), ("10.0.0.9", 1000 + n), inode=n) for n in inodes]


class TestProcesses:
    def test_a_leak_has_an_owner_and_a_past(self, host: Host) -> None:
        process(host, 40, 1, 2, 3, 4)
        before = sample(waiting(1, 2, 7), holders={1: [40], 2: [40], 7: [40]})
        found = tcp(host, sample([*waiting(1, 2, 3, 4), *waiting(0)]), before)
        assert (found["close_wait"]["total"], found["close_wait"]["unowned"]) == (5, 1)
        (leak,) = found["close_wait"]["holders"]
        assert (leak["pid"], leak["close_wait"], leak["close_wait_persistent"], leak["close_wait_delta"]) == (
            40,
            4,
            2,
            1,
        )
        assert leak["peers"][:2] == ["10.0.0.9:1001", "10.0.0.9:1002"]
        (row,) = found["processes"]
        assert (row["pid"], row["states"]) == (40, {"close_wait": 4})
        assert (row["close_wait_persistent"], row["close_wait_delta"]) == (2, 1)
        assert row["peers"][:2] == ["10.0.0.9:1001", "10.0.0.9:1002"]

    def test_without_an_interval_there_is_no_past(self, host: Host) -> None:
        process(host, 40, 1)
        (row,) = tcp(host, sample(waiting(1)))["processes"]
        assert row["close_wait_persistent"] is row["close_wait_delta"] is None

    def test_workers_that_fork_each_other_leak_together(self, host: Host) -> None:
        for pid, parent, *inodes in ((40, 1, 1), (41, 40, 2, 3), (42, 41, 4, 5, 6), (50, 1, 7)):
            process(host, pid, *inodes)
            (pathlib.Path(host.procfs) / str(pid) / "stat").write_text(f"{pid} (a) b (c) S {parent} 0 0\n")
        before = sample(waiting(1, 2, 3, 4, 7), holders={1: [40], 2: [41], 3: [41], 4: [42], 7: [50]})
        found = tcp(host, sample(waiting(1, 2, 3, 4, 5, 6, 7)), before)["close_wait"]
        assert found["holders_total"] == 2
        service, single = found["holders"]
        assert [row["pid"] for row in service["processes"]] == [42, 41, 40]
        assert (service["pid"], service["processes_total"], service["close_wait"]) == (42, 3, 6)
        assert (service["close_wait_persistent"], service["close_wait_delta"]) == (4, 2)
        assert (single["pid"], single["close_wait"], single["close_wait_delta"]) == (50, 1, 0)

    def test_hidden_owners_are_told(self, host: Host) -> None:
        facts = sockets.facts(host, sample(waiting(1, 9)), sample(waiting(1, 2)), TWO)
        (hidden,) = facts["tcp"]["close_wait"]["holders"]
        assert hidden["pid"] is hidden["command"] is hidden["close_wait_delta"] is hidden["processes_total"] is None
        assert (hidden["close_wait"], hidden["close_wait_persistent"], hidden["processes"]) == (2, 1, [])
        assert facts["tcp"]["processes"] == []
        assert facts["limited"] == [
            "owners: 2 of 2 sockets have no process: their processes are hidden from this run or are no longer there"
        ]

    def test_a_control_group_names_the_unit_of_a_hidden_process(self, host: Host) -> None:
        group = pathlib.Path(host.sysfs) / "fs/cgroup/system.slice/hidden.service"
        group.mkdir(parents=True)
        (pathlib.Path(host.sysfs) / "fs/cgroup/cgroup.controllers").write_text("")
        made = netlink.attribute(diag.CGROUP_ID, struct.pack("=Q", os.stat(group).st_ino))
        one = message(diag.ESTABLISHED, ("10.0.0.1", 40001), ("10.0.0.2", 443), attributes=made, inode=5)
        (row,) = tcp(host, sample([one]))["destinations"]
        assert row["processes"] == [{"pid": None, "command": None, "unit": "hidden.service", "container": None}]

    def test_orphans_are_those_without_an_inode(self, host: Host) -> None:
        states = [diag.FIN_WAIT2, diag.FIN_WAIT2, diag.LAST_ACK, diag.CLOSING, diag.FIN_WAIT1]
        gone = [message(state, ("10.0.0.1", 80), ("10.0.0.9", 9000 + n)) for n, state in enumerate(states)]
        kept = message(diag.FIN_WAIT2, ("10.0.0.1", 80), ("10.0.0.9", 9009), inode=4)
        found = tcp(host, sample([*gone, kept]))
        assert found["orphans"] == {"fin_wait1": 1, "fin_wait2": 2, "last_ack": 1, "closing": 1}
        assert found["states"]["fin_wait2"] == 3


def flow(port: int, inode: int = 0, peer: str = "10.0.0.2", length: int = 248, **more: Any) -> bytes:
    base = {name: more.pop(name) for name in ("timer", "retransmits", "queues") if name in more}
    memory = struct.pack("=9I", 0, more.pop("rcvbuf", 0), 0, more.pop("sndbuf", 0), *[0] * 5)
    attributes = netlink.attribute(diag.SKMEMINFO, memory) + info(length, **more)
    attributes += netlink.attribute(diag.CONGESTION, b"cubic\0")
    return message(diag.ESTABLISHED, ("10.0.0.1", port), (peer, 443), attributes, inode=inode, cookie=port, **base)


class TestQuality:
    def test_whole(self, host: Host) -> None:
        now = sample(
            [
                flow(
                    40000 + n,
                    rtt_us=1000 * (n + 1),
                    min_rtt_us=500,
                    total_retrans=1,
                    data_segs_out=50,
                    busy_time_us=100,
                    sndbuf_limited_us=20,
                    last_data_sent_ms=70_000,
                    last_data_recv_ms=70_000 if n else 5,
                    reordering=n,
                    timer=diag.TIMER_KEEPALIVE if n % 2 else 0,
                    sndbuf=2_000_000 if n == 3 else 1,
                    rcvbuf=900_000 if n < 2 else 1,
                )
                for n in range(20)
            ]
        )
        found = tcp(host, now)["quality"]
        (row,) = found.pop("destinations")
        assert found == {
            "connections": 20,
            "idle_connections": 19,
            "keepalive_share": 0.5,
            "rtt_ms": {"median": 11.0, "p95": 20.0, "max": 20.0},
            "min_rtt_ms": {"median": 0.5, "p95": 0.5},
            "retransmit_ratio": 0.02,
            "congestion_control": {"cubic": 20},
            "sndbuf_limited_share": 0.2,
            "rwnd_limited_share": 0.0,
            "at_send_limit": 1,
            "at_receive_limit": 2,
            "reordering_max": 19,
            "flows": [],
        }
        assert (row["address"], row["port"], row["listener_port"], row["connections"]) == ("10.0.0.2", 443, None, 20)
        assert row["retransmitted_delta"] is row["segments_delta"] is None

    def test_with_an_interval_counters_are_those_of_the_interval(self, host: Host) -> None:
        process(host, 50, 5)
        before = sample([flow(40001, 5, total_retrans=100, data_segs_out=1000, bytes_acked=10, bytes_received=1)])
        now = sample(
            [
                flow(40001, 5, total_retrans=103, data_segs_out=1100, bytes_acked=250_010, bytes_received=500_001),
                flow(40002, 6, total_retrans=1, data_segs_out=100),
            ]
        )
        found = tcp(host, now, before)["quality"]
        assert found["retransmit_ratio"] == 0.02
        assert found["destinations"][0]["retransmitted_delta"] == 4
        assert found["destinations"][0]["segments_delta"] == 200
        (busy,) = found["flows"]
        assert busy == {
            "local": "10.0.0.1:40001",
            "peer": "10.0.0.2:443",
            "rx_mbps": 2.0,
            "tx_mbps": 1.0,
            "process": {"pid": 50, "command": "app", "unit": "app.service", "container": None},
            "interface": None,
        }

    def test_clients_of_a_listener_are_one_row_each(self, host: Host) -> None:
        now = sample([flow(80), flow(80)], [listener("0.0.0.0", 80, inode=1)])
        (row,) = tcp(host, now)["quality"]["destinations"]
        assert (row["address"], row["port"], row["listener_port"], row["connections"]) == ("10.0.0.2", None, 80, 2)

    def test_the_worst_goes_first(self, host: Host) -> None:
        rows = [flow(40000 + n, peer=f"10.0.2.{n}", rtt_us=9000) for n in range(20)]
        now = sample([*rows, flow(40050, peer="10.9.9.9", total_retrans=1), flow(40051, peer="10.9.9.8", rtt_us=10**6)])
        found = tcp(host, now)["quality"]["destinations"]
        assert [row["address"] for row in found[:2]] == ["10.9.9.9", "10.9.9.8"]
        assert len(found) == ONE.top

    @pytest.mark.parametrize(
        ("length", "absent"),
        [
            (104, ["retransmit_ratio", "sndbuf_limited_share", "rwnd_limited_share"]),
            (160, ["sndbuf_limited_share", "rwnd_limited_share"]),
            (192, []),
        ],
    )
    def test_old_kernels_have_less_and_nothing_is_invented(self, host: Host, length: int, absent: list[str]) -> None:
        fields: dict[str, Any] = {"rtt_us": 4000}
        if length >= 160:
            fields.update(data_segs_out=10, min_rtt_us=5)
        if length >= 192:
            fields.update(busy_time_us=10)
        now = sample([flow(40001, length=length, **fields)])
        for past in (None, now):
            found = tcp(host, now, past)["quality"]
            if past is None:
                assert [name for name in found if found[name] is None and name != "keepalive_share"] == absent
            assert found["rtt_ms"]["median"] == 4.0
            assert found["min_rtt_ms"]["median"] == (None if length < 160 else 0.005)
            assert found["flows"] == []


class TestStuck:
    def test_stalled_connections(self, host: Host) -> None:
        stuck: dict[str, Any] = {"backoff": 3, "unacked": 4, "bytes_acked": 1000, "snd_mss": 1448, "pmtu": 1500}
        rows = [flow(40001, timer=1, retransmits=4, queues=(0, 9000), **stuck)]
        other = flow(40002, bytes_acked=50)
        before = sample([*rows, flow(40002, bytes_acked=20)])
        (row,) = tcp(host, sample([*rows, other]), before)["stalled"]
        assert row == {
            "local": "10.0.0.1:40001",
            "peer": "10.0.0.2:443",
            "state": "established",
            "backoff": 3,
            "unacked": 4,
            "retransmits": 4,
            "mss": 1448,
            "path_mtu": 1500,
            "sacked": 0,
            "bytes_acked_delta": 0,
            "peer_progress": True,
            "process": None,
        }

    def test_what_moves_is_not_stalled(self, host: Host) -> None:
        before = sample([flow(40001, timer=1, retransmits=3, backoff=3, unacked=4, bytes_acked=1000)])
        now = sample([flow(40001, timer=1, retransmits=3, backoff=3, unacked=4, bytes_acked=1001)])
        assert tcp(host, now, before)["stalled"] == []

    def test_a_queue_that_does_not_drain_goes_first(self, host: Host) -> None:
        before = sample([flow(40001, queues=(0, 5000), bytes_acked=7), flow(40002, queues=(0, 9), bytes_acked=1)])
        now = sample([flow(40001, queues=(0, 5000), bytes_acked=7), flow(40002, queues=(0, 90000), bytes_acked=99)])
        send = tcp(host, now, before)["queues"]["send"]
        assert [(row["bytes"], row["bytes_before"], row["bytes_acked_delta"]) for row in send] == [
            (5000, 5000, 0),
            (90000, 9, 98),
        ]

    def test_a_reader_that_does_not_read(self, host: Host) -> None:
        now = sample([flow(40001, queues=(65536, 0))])
        (row,) = tcp(host, now, now)["queues"]["receive"]
        assert (row["bytes"], row["bytes_before"], row["state"]) == (65536, 65536, "established")
        assert row["bytes_read_per_s"] == 0
        (alone,) = tcp(host, now)["queues"]["receive"]
        assert alone["bytes_before"] is alone["bytes_read_per_s"] is None

    def test_how_fast_a_reader_reads(self, host: Host) -> None:
        before = sample([flow(40001, queues=(60000, 0), bytes_received=1_000_000)])
        now = sample([flow(40001, queues=(80000, 0), bytes_received=1_500_000)])
        (row,) = tcp(host, now, before)["queues"]["receive"]
        assert row["bytes_read_per_s"] == 240_000, "half a million came in two seconds, of which 20,000 wait"


def test_udp_sockets_that_drop(host: Host) -> None:
    def at(drops: int) -> tuple[int, list[diag.Socket]]:
        memory = netlink.attribute(diag.SKMEMINFO, struct.pack("=9I", 0, 4096, *[0] * 6, drops))
        one = message(diag.CLOSE, ("0.0.0.0", 53), attributes=memory, inode=5, queues=(100, 0))
        return 7, [row for batch in batches(one) for row in diag.rows(batch)]

    process(host, 60, 5, command="resolver")
    found = sockets.facts(host, sample(udp=at(3)), sample(udp=at(10)), TWO)["udp"]
    assert found["total"] == 7
    (row,) = found["sockets"]
    assert (row["receive_buffer_bytes"], row["receive_queue_bytes"]) == (4096, 100)
    assert (row["drops"], row["drops_delta"], row["processes"][0]["command"]) == (10, 7, "resolver")


def test_recorded_files_are_read_where_netlink_speaks_of_another_machine() -> None:
    facts = gather(Host(f"{FIXTURES}/6.18/proc", FIXTURES), {"sockets": sockets}, 0, 10)["sockets"]
    assert (facts["available"], facts["source"]) == (True, "procfs")
    assert facts["tcp"]["states"]["established"] == 16
    assert facts["tcp"]["quality"] is None
    assert {row["backlog"] for row in facts["tcp"]["listeners"]} == {None}
    assert {row["address"] for row in facts["tcp"]["destinations"] if "syn_sent" in row["states"]} == {
        "192.0.2.9",
        "127.0.0.1",
    }
    assert facts["unix"] == {"total": 3, "listeners": 1}
    assert any("recorded files" in sentence for sentence in facts["limited"])


def test_without_any_source_it_is_unavailable(host: Host) -> None:
    facts = gather(host, {"sockets": sockets}, 0, 10)["sockets"]
    assert facts["available"] is False
    assert "does not exist" in facts["why"]


def test_the_recorded_dump_makes_whole_facts(host: Host) -> None:
    listeners = [one for batch in answering(*recorded("listen")).tcp(0) for one in diag.rows(batch)]
    census = Census(Ports(32768, 60999, "", 28232, 1024), {one.port for one in listeners})
    details = []
    for batch in answering(*recorded("connected")).tcp(0):
        census.add(batch)
        details.append(netlink.Batch(bytes(batch.data[: batch.length]), batch.length, batch.stride))
    now = sample()._replace(listeners=listeners, census=census, details=details)
    facts = sockets.facts(host, now, now, TWO)
    found = facts["tcp"]
    assert found["total"] == 38
    full = found["listeners"][0]
    assert (full["port"], full["accept_queue"], full["backlog"], full["connections"]) == (8091, 2, 1, 2)
    assert found["syn_recv_sources"] == [{"address": "127.0.0.1", "count": 1}]
    assert (found["close_wait"]["total"], found["close_wait"]["unowned"]) == (3, 0)
    assert [row["bytes"] for row in found["queues"]["receive"]][:2] == [5000, 100]
    assert found["quality"]["connections"] == 16
    assert found["quality"]["congestion_control"] == {"bbr": 15, "reno": 1}
    assert 0 < found["quality"]["keepalive_share"] < 1
    json.dumps(facts)


def test_an_interrupted_dump_is_repeated_then_reported(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    tries = []

    def look(__: Host, source: object, census: Census, details: object, most: int) -> bool:
        tries.append(census)
        return len(tries) < 3

    monkeypatch.setattr(sockets_sample, "_look", look)
    source = answering(DONE, *[DONE.replace(b"\1\0\0\0", struct.pack("=I", n), 1) for n in range(2, 6)])
    monkeypatch.setattr(sockets_sample, "open_source", lambda __: (source, None))
    monkeypatch.setattr(source, "udp", lambda idle: (0, []))
    monkeypatch.setattr(source, "unix", lambda: (0, 0))
    assert sockets_sample.take(host).interrupted is False
    assert len(tries) == 3
    tries.clear()
    monkeypatch.setattr(sockets_sample, "_look", lambda *args: look(*args) or True)
    monkeypatch.setattr(source, "tcp", lambda *__: iter(()))
    assert sockets_sample.take(host).interrupted is True
    assert len(tries) == 3


def test_a_host_with_very_many_stays_small(host: Host) -> None:
    """Every list full: hundreds of listeners, destinations, processes with the longest names."""
    for pid in range(100, 200):
        process(host, pid, *range(pid * 100, pid * 100 + 20), command="\x1b" * 15)
    source = "2001:db8:ffff:ffff:ffff:ffff:ffff:1"
    many = [
        message(diag.CLOSE_WAIT, (source, 40000 + n), (f"2001:db8::{n:x}", 443), inode=pid * 100 + n)
        for pid in range(100, 200)
        for n in range(20)
    ]
    listeners = [listener("::", 1000 + n, 200, 128, inode=9 * n) for n in range(300)]
    flows = [
        flow(40000 + n, peer=f"10.1.{n}.1", queues=(9, 9), timer=1, retransmits=3, backoff=3, unacked=1)
        for n in range(90)
    ]
    now = sample([*many, *flows], listeners)
    assert len(json.dumps(sockets.facts(host, now, now, TWO))) < 40_000


def test_crawlers_with_countless_destinations_are_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_census.MAX_KEYS", 100)
    census = Census(PORTS, ())
    for n in range(500):
        for batch in batches(message(diag.TIME_WAIT, ("10.0.0.1", 40000), (f"10.1.{n // 250}.{n % 250}", 80))):
            census.add(batch)
        for batch in batches(message(diag.TIME_WAIT, ("10.0.0.1", 40000), ("10.2.2.2", 80))):
            census.add(batch)
    assert len(census.in_range) <= 101
    assert max(census.in_range.values()) == 500
    assert any("destinations" in sentence for sentence in census.cut)


@given(st.lists(st.tuples(st.integers(1, 11), st.integers(1, 65535), st.integers(1, 65535)), max_size=30))
def test_every_socket_is_counted_once_whatever_its_ports(rows: list[tuple[int, int, int]]) -> None:
    census = Census(PORTS, {80, 40050})
    for state, local, peer in rows:
        for batch in batches(message(state, ("10.0.0.1", local), ("10.0.0.2", peer))):
            census.add(batch)
    assert sum(census.states) == len(rows)
    inbound = sum(local in (80, 40050) and state != diag.TIME_WAIT for state, local, __ in rows)
    assert sum(census.inbound.values()) == inbound
    in_range = sum(40000 <= local <= 40099 and local != 40050 for __, local, __ in rows)
    assert sum(census.in_range.values()) == in_range


def test_normal_addresses() -> None:
    assert normal(diag.AF_INET, b"\x0a\0\0\1" + bytes(12)) == b"\x0a\0\0\1"
    assert normal(diag.AF_INET6, diag.MAPPED + b"\x0a\0\0\1") == b"\x0a\0\0\1"
    assert len(normal(diag.AF_INET6, bytes(16))) == 16
