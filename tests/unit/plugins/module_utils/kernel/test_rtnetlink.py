# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import (
    HEADER_SIZE,
    Batch,
    attribute,
    attributes,
)

RECORDED = os.path.join(os.path.dirname(__file__), "../../../fixtures/6.18/netlink/rtnetlink.json")
with open(RECORDED, encoding="ascii") as _file:
    MESSAGES = {
        name: [bytes.fromhex(each) for each in ([rows] if isinstance(rows, str) else rows)]
        for name, rows in json.load(_file).items()
    }
PARSERS = {
    "links": rtnetlink.parse_link,
    "addresses": rtnetlink.parse_address,
    "rules": rtnetlink.parse_rule,
}


class Dumps:
    """Stands for the socket: answers each request type with the same messages."""

    def __init__(self, **answers: list[bytes]) -> None:
        self.answers = {26: answers.get("routes", []), 106: answers.get("nexthops", [])}
        self.interrupted = False

    def batches(self, message_type: int, payload: bytes) -> Iterator[Batch]:
        staged: dict[int, bytes] = {}
        for each in self.answers[message_type]:
            whole = struct.pack("=IHHII", HEADER_SIZE + len(each), message_type, 2, 1, 0) + each
            staged[len(whole)] = staged.get(len(whole), b"") + whole
        for stride, data in staged.items():
            yield Batch(data, len(data), stride)

    def request(self, message_type: int, payload: bytes) -> bytes:
        found = attributes(payload, 8, len(payload))
        wanted = struct.unpack_from("=I", payload, found[1][0])[0]
        for each in self.answers[message_type]:
            start = attributes(each, 8, len(each))[1][0]
            if struct.unpack_from("=I", each, start)[0] == wanted:
                return each
        raise Unavailable("netlink: No such file or directory")


def links() -> dict[str, rtnetlink.Link]:
    made = [rtnetlink.parse_link(each) for each in MESSAGES["links"]]
    return {link.name: link for link in made if link is not None}


def without(message: bytes, head: int, *kinds: int) -> bytes:
    """*message* as a kernel that has not got these attributes would have sent it."""
    kept = message[:head]
    for kind, (start, end) in attributes(message, head, len(message)).items():
        if kind not in kinds:
            kept += attribute(kind, message[start:end])
    return kept


def test_recorded_links_have_kind_master_and_state() -> None:
    found = links()
    assert set(found) == {"lo", "wan0", "far0", "br0", "lan0", "far1", "tun100", "tap0"}
    assert found["lan0"].master == found["br0"].ifindex
    assert [found[name].kind for name in ("lo", "wan0", "br0", "tun100", "tap0")] == [
        None, "veth", "bridge", "vxlan", "tun",
    ]  # fmt: skip
    assert (found["tap0"].operstate, found["tap0"].carrier, found["tap0"].carrier_changes) == ("down", False, 1)
    assert (found["tun100"].operstate, found["tun100"].carrier, found["tun100"].mtu) == ("unknown", True, 1450)
    assert list(found["lo"].counters) == list(rtnetlink.STATISTICS)


@pytest.mark.parametrize(
    ("fields", "last"),
    [(23, "tx_compressed"), (24, "rx_nohandler"), (25, "rx_otherhost_dropped"), (30, "rx_otherhost_dropped")],
)
def test_statistics_of_any_length(fields: int, last: str) -> None:
    """Linux 2.6.35, 4.6, 5.19, and one that is newer than this code."""
    message = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"eth0\0")
    link = rtnetlink.parse_link(message + attribute(23, struct.pack(f"={fields}Q", *range(fields))))
    assert link is not None
    assert list(link.counters.values()) == list(range(min(fields, 25)))
    assert list(link.counters)[-1] == last


def test_a_kernel_without_64_bit_statistics_gives_the_32_bit_ones() -> None:
    message = without(MESSAGES["links"][0], 16, 23)
    link, full = rtnetlink.parse_link(message), links()["lo"]
    assert link is not None
    assert link.counters["rx_packets"] == full.counters["rx_packets"]
    assert len(link.counters) == 24


def test_older_kernels_tell_less_and_nothing_is_invented() -> None:
    """3.10 has no carrier_changes; carrier is the flag's; up and down counts (4.16) stand in for their sum."""
    message = next(each for each in MESSAGES["links"] if b"wan0\0" in each[:60])
    old = rtnetlink.parse_link(without(message, 16, 33, 35, 47, 48))
    assert old is not None
    assert (old.carrier, old.carrier_changes) == (True, None)
    sums = rtnetlink.parse_link(without(message, 16, 35))
    assert sums is not None
    assert sums.carrier_changes == links()["wan0"].carrier_changes == 2
    bare = rtnetlink.parse_link(without(message, 16, 4, 7, 16, 18, 23))
    assert bare is not None
    assert (bare.mtu, bare.operstate, bare.kind, bare.counters) == (None, None, None, {})


def test_an_interface_that_is_switched_off_has_no_carrier_to_tell() -> None:
    message = struct.pack("=BxHiII", 0, 1, 7, 0x2, 0) + attribute(3, b"eth0\0") + attribute(33, b"\1")
    link = rtnetlink.parse_link(message)
    assert link is not None
    assert link.carrier is None


def test_a_hostile_name_survives_and_can_be_given_back() -> None:
    message = struct.pack("=BxHiII", 0, 1, 7, 1, 0) + attribute(3, b"a\n\xff\0")
    link = rtnetlink.parse_link(message)
    assert link is not None
    assert link.name.encode("utf-8", "surrogateescape") == b"a\n\xff"
    assert json.loads(json.dumps(shown(link.name)).encode("utf-8")) == "a\n\ufffd"


def test_recorded_addresses() -> None:
    made = [rtnetlink.parse_address(each) for each in MESSAGES["addresses"]]
    texts = {each.text for each in made if each}
    assert {"127.0.0.1/8", "192.0.2.2/24", "::1/128", "2001:db8::2/64"} < texts
    assert "10.9.0.1/32" in texts, "of a peer address our own end is shown"
    assert "10.9.0.2/32" not in texts


def test_recorded_routes_are_counted_and_the_default_ones_kept() -> None:
    found, interrupted = rtnetlink.routes(Dumps(routes=MESSAGES["routes"]))  # type: ignore[arg-type]
    wan = links()["wan0"].ifindex
    rows = {(hop.family, hop.gateway, hop.ifindex, hop.metric, hop.source, hop.table) for hop in found.defaults}
    assert rows == {
        (socket.AF_INET, "192.0.2.1", wan, 100, "192.0.2.2", "main"),
        (socket.AF_INET, "192.0.2.1", wan, 0, None, "200"),
        (socket.AF_INET, "192.0.2.3", wan, 0, None, "200"),
        (socket.AF_INET6, "2001:db8::1", wan, 50, None, "main"),
        (socket.AF_INET6, "2001:db8::9", wan, 900, None, "main"),
    }, "the unreachable default route leads nowhere"
    plain = [each for each in MESSAGES["routes"] if each[4] != 255 and each[0] in (2, 10)]
    assert found.counts == {2: sum(e[0] == 2 for e in plain), 10: sum(e[0] == 10 for e in plain)}
    assert not interrupted


def default(*attrs: bytes, family: int = socket.AF_INET, flags: int = 0) -> bytes:
    return struct.pack("=BBBBBBBBI", family, 0, 0, 0, 254, 3, 0, 1, flags) + b"".join(attrs)


def u32(value: int) -> bytes:
    return struct.pack("=I", value)


def test_a_cloned_route_is_no_route() -> None:
    message = default(attribute(4, u32(3)), flags=0x200)
    assert rtnetlink.routes(Dumps(routes=[message]))[0] == rtnetlink.Routes({2: 0, 10: 0}, [])  # type: ignore[arg-type]


def test_an_ipv4_route_through_an_ipv6_gateway() -> None:
    via = struct.pack("=H", socket.AF_INET6) + socket.inet_pton(socket.AF_INET6, "fe80::1")
    (hop,) = rtnetlink.parse_default(default(attribute(18, via), attribute(4, u32(3))))
    assert (hop.gateway, hop.ifindex, hop.usable) == ("fe80::1", 3, True)


@pytest.mark.parametrize("flags", [1, 16, 17])
def test_a_dead_next_hop_is_not_usable(flags: int) -> None:
    gateway = attribute(5, socket.inet_aton("10.0.0.1"))
    hops = struct.pack("=HBBi", 8 + len(gateway), flags, 0, 3) + gateway + struct.pack("=HBBi", 8, 0, 0, 4)
    first, second = rtnetlink.parse_default(default(attribute(9, hops)))
    assert (first.gateway, first.ifindex, first.usable) == ("10.0.0.1", 3, False)
    assert (second.gateway, second.ifindex, second.usable) == (None, 4, True)


def test_nexthop_objects_are_looked_up_where_the_route_names_nothing_else() -> None:
    """What a kernel with net.ipv4.nexthop_compat_mode=0 sends; 7 is a group of 1 and 2."""

    def hop(number: int, last: int) -> bytes:
        return (
            struct.pack("=BBBBI", socket.AF_INET, 0, 0, 0, 0)
            + attribute(1, u32(number))
            + attribute(5, u32(number + 10))
            + attribute(6, bytes((10, 0, 0, last)))
        )

    group = struct.pack("=BBBBI", 0, 0, 0, 0, 0) + attribute(1, u32(7))
    group += attribute(2, struct.pack("=IBBHIBBH", 1, 0, 0, 0, 2, 3, 0, 0))
    link: Any = Dumps(
        routes=[default(attribute(30, u32(7)), attribute(6, u32(5)))], nexthops=[hop(1, 1), hop(2, 2), group]
    )
    found, __ = rtnetlink.routes(link)
    assert [(each.gateway, each.ifindex, each.metric) for each in found.defaults] == [
        ("10.0.0.1", 11, 5),
        ("10.0.0.2", 12, 5),
    ]


def test_recorded_rules() -> None:
    made = [rule for rule in map(rtnetlink.parse_rule, MESSAGES["rules"]) if rule is not None and rule.family == 2]
    by_priority = {rule.priority: rule for rule in made}
    assert sorted(by_priority) == [0, 100, 200, 300, 32766, 32767]
    assert (by_priority[100].source, by_priority[100].table) == ("10.9.0.0/24", "200")
    assert (by_priority[200].mark, by_priority[200].in_interface) == (7, "br0")
    assert (by_priority[300].destination, by_priority[300].action) == ("10.77.0.0/16", "prohibit")
    assert by_priority[32766].table == "main"


def test_a_recorded_way_has_the_mtu_of_its_route() -> None:
    (answer,) = MESSAGES["way 198.51.100.7"]
    found = rtnetlink.parse_way(answer, "198.51.100.7")
    wan = links()["wan0"].ifindex
    assert found == rtnetlink.Way(wan, "192.0.2.1", "192.0.2.2", 1400, "main")


@pytest.mark.parametrize(("kind", "word"), [(6, "blackhole"), (7, "unreachable"), (8, "prohibit")])
def test_a_way_that_leads_nowhere_says_so(kind: int, word: str) -> None:
    with pytest.raises(Unavailable, match=word):
        rtnetlink.parse_way(struct.pack("=BBBBBBBBI", 2, 32, 0, 0, 254, 0, 0, kind, 0), "10.0.0.1")


@pytest.mark.parametrize("destination", ["no address", "300.1.1.1", "10.0.0.1\0", "fe80::1%eth0", ""])
def test_a_destination_that_is_no_address(destination: str) -> None:
    with pytest.raises(Unavailable, match="no IP address"):
        rtnetlink.way(Dumps(), destination)  # type: ignore[arg-type]


def test_mapped_addresses_are_shown_as_ipv4() -> None:
    raw = socket.inet_pton(socket.AF_INET6, "::ffff:192.0.2.1")
    assert rtnetlink.address(socket.AF_INET6, raw, (0, 16)) == "192.0.2.1"
    assert rtnetlink.address(socket.AF_INET6, raw, (0, 12)) is None


@pytest.mark.parametrize("name", PARSERS)
def test_every_truncation_is_survived(name: str) -> None:
    parse = PARSERS[name]
    for message in MESSAGES[name]:
        whole = parse(message)
        for length in range(0, len(message), 3):
            cut = parse(message[:length])
            assert cut is None or type(cut) is type(whole)


@given(st.sampled_from([(name, each) for name in PARSERS for each in MESSAGES[name]]), st.data())
def test_damaged_messages_are_survived(case: tuple[str, bytes], data: st.DataObject) -> None:
    name, message = case
    damaged = bytearray(message)
    for __ in range(data.draw(st.integers(1, 8))):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    made: Any = PARSERS[name](bytes(damaged))
    if made is not None and name == "links":
        json.dumps({**made.counters, shown(made.name): made.operstate}).encode("utf-8")


@given(st.binary(max_size=200))
def test_anything_may_come_as_a_route(raw: bytes) -> None:
    found, __ = rtnetlink.routes(Dumps(routes=[raw]))  # type: ignore[arg-type]
    assert sum(found.counts.values()) <= 1
