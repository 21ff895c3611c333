# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the compiled filters let through and how much of it, beside what they should by their description."""

from __future__ import annotations

import ipaddress
import socket
import struct
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import (
    MAX_HOSTS,
    MAX_PORTS,
    Wanted,
    network,
    program,
    wanted,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import ETHERNET, dissect
from ansible_collections.nettriage.linux.tests.unit.packets import (
    CLIENT,
    CLIENT6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    ethernet,
    execute,
    icmp,
    ip,
    mss,
    packed,
    tcp,
    udp,
)

_ALL = Wanted()
_ADDRESSES = [CLIENT, SERVER, ROUTER, "198.51.100.7"]
_ADDRESSES6 = [CLIENT6, SERVER6, ROUTER6, "2001:db8:ffff::7"]
_PORTS = [22, 80, 443, 50000]


def _protocol(packet: bytes) -> int:
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def _takes(want: Wanted, packet: bytes, snaplen: int = 0) -> int:
    """By both kinds of link header, which have to agree; how much of *packet* without it."""
    plain = execute(program(want, 0, snaplen), packet, _protocol(packet))
    framed = execute(program(want, 14, snaplen), ethernet(packet), _protocol(packet))
    tagged = execute(program(want, 14, snaplen), ethernet(packet, 7), 0x8100)
    if not snaplen:
        assert max(0, framed - 14) == max(0, tagged - 18) == plain
    assert bool(plain) == bool(framed) == bool(tagged)
    return plain


@st.composite
def _segments(draw: Any, six: bool) -> tuple[int, bytes]:
    kind = draw(st.sampled_from(["tcp", "udp", "sctp", "echo"]))
    own, peer = draw(st.sampled_from(_PORTS)), draw(st.sampled_from(_PORTS))
    payload = draw(st.binary(max_size=60))
    if kind == "tcp":
        options = draw(st.sampled_from([b"", mss(1460), mss(536) + bytes(8)]))
        return 6, tcp(own, peer, draw(st.integers(0, 63)), payload=payload, options=options)
    if kind == "udp":
        return 17, udp(own, peer, payload)
    if kind == "sctp":
        return 132, struct.pack("!HHII", own, peer, 1, 2) + payload
    return (58, icmp(128, 0, payload=payload)) if six else (1, icmp(8, 0, payload=payload))


@st.composite
def _packets(draw: Any) -> bytes:
    six = draw(st.booleans())
    addresses = _ADDRESSES6 if six else _ADDRESSES
    protocol, segment = draw(_segments(six))
    part = draw(st.sampled_from([0, 0, 0, 0x2000, 0x2005, 0x0005]))
    options = b"" if six else draw(st.sampled_from([b"", b"\1\1\1\1"]))
    inner = ip(draw(st.sampled_from(addresses)), draw(st.sampled_from(addresses)), protocol, segment, part, options)
    if not draw(st.booleans()):
        return inner
    kind, code = draw(st.sampled_from([(1, 4), (2, 0), (3, 0)] if six else [(3, 3), (3, 4), (11, 0)]))
    quoted = icmp(kind, code, payload=inner[: 68 if six else 60])
    return ip(draw(st.sampled_from(addresses)), draw(st.sampled_from(addresses)), 58 if six else 1, quoted)


def _parts(packet: bytes) -> tuple[Any, ...]:
    """Addresses, protocol, ports and the segment, by another way than the program's and the dissector's."""
    if packet[0] >> 4 == 4:
        size, protocol = (packet[0] & 15) * 4, packet[9]
        later = int.from_bytes(packet[6:8], "big") & 0x1FFF != 0
        addresses = ipaddress.ip_address(packet[12:16]), ipaddress.ip_address(packet[16:20])
    else:
        size, protocol, later = 40, packet[6], False
        addresses = ipaddress.ip_address(packet[8:24]), ipaddress.ip_address(packet[24:40])
        if protocol == 44:
            size, protocol, later = 48, packet[40], int.from_bytes(packet[42:44], "big") >> 3 != 0
    segment = packet[size:]
    ports = struct.unpack_from("!HH", segment) if protocol in (6, 17, 132) and not later else ()
    return addresses, protocol, ports, later, segment


def _fits(want: Wanted, packet: bytes) -> bool:
    addresses, protocol, ports, later, segment = _parts(packet)
    nets = [
        ipaddress.ip_network((socket.inet_ntop(2 if len(net.address) == 4 else 10, net.address), net.prefix))
        for net in want.hosts
    ]
    direct = (
        (not nets or any(each in net for each in addresses for net in nets if net.version == each.version))
        and (not want.protocols or protocol in want.protocols)
        and (not want.ports or any(port in want.ports for port in ports))
    )
    if direct or later or protocol not in (1, 58):
        return direct
    errors = (1, 2, 3, 4) if protocol == 58 else (3, 4, 5, 11, 12)
    return segment[0] in errors and _fits(want, segment[8:])


_WANTED = st.builds(
    wanted,
    st.lists(st.sampled_from([*_ADDRESSES, *_ADDRESSES6, "192.0.2.0/28", "2001:db8::/32", "0.0.0.0/0"]), max_size=3),
    st.lists(st.sampled_from(_PORTS), max_size=2),
    st.lists(st.sampled_from(["tcp", "udp"]), max_size=2, unique=True),
)


@settings(max_examples=60)
@given(_WANTED, _packets())
def test_lets_through_what_it_should(want: Wanted, packet: bytes) -> None:
    assert bool(_takes(want, packet)) is _fits(want, packet)
    assert bool(_takes(want, packet, 96)) is _fits(want, packet)


@settings(max_examples=60)
@given(_packets())
def test_headers_end_where_the_dissector_says(packet: bytes) -> None:
    """Two implementations of one rule: the program's, and the one that cuts what comes from tcpdump."""
    framed = ethernet(packet)
    headers = min(len(framed), dissect(ETHERNET, Frame(0, len(framed), framed)).headers)
    assert _takes(_ALL, packet) == headers - 14


@settings(max_examples=60)
@given(_packets(), st.integers(0, 120))
def test_damaged_packets_are_cut_or_dropped(packet: bytes, length: int) -> None:
    cut = ethernet(packet)[: 14 + length]
    assert 0 <= execute(program(_ALL, 14, 0), cut, _protocol(packet)) <= len(cut)


@pytest.mark.parametrize(
    "packet",
    [
        ip(CLIENT, SERVER, 6, tcp(50000, 80, payload=b"SECRET", options=mss(1460) + bytes(8))),
        ip(CLIENT6, SERVER6, 6, tcp(50000, 80, payload=b"SECRET")),
        ip(CLIENT, SERVER, 17, udp(50000, 53, b"SECRET")),
        ip(CLIENT, SERVER, 17, udp(50000, 53, b"S")),
        ip(CLIENT6, SERVER6, 17, udp(50000, 53, b"SECRET"), 0x2000),
        ip(CLIENT, SERVER, 17, b"SECRET", 0x0005),
        ip(CLIENT, SERVER, 1, icmp(8, 0, payload=b"S")),
        ip(CLIENT6, SERVER6, 58, icmp(128, 0, payload=b"SECRET")),
        ip(ROUTER, CLIENT, 1, icmp(3, 3, payload=ip(CLIENT, SERVER, 17, udp(50000, 53, b"SECRET")))),
        ip(ROUTER6, CLIENT6, 58, icmp(1, 4, payload=ip(CLIENT6, SERVER6, 17, udp(50000, 53, b"SECRET")))),
    ],
)
def test_no_payload_gets_out(packet: bytes) -> None:
    taken = _takes(_ALL, packet)
    assert packet.endswith(b"SECRET"[: len(packet) - taken]) and b"S" not in packet[:taken]


def test_what_the_loopback_sends_comes_once() -> None:
    packet = ethernet(ip(CLIENT, SERVER, 17, udp(1, 2)))
    taken = [
        execute(program(_ALL, 14, 0), packet, 0x0800, hatype, kind) for hatype, kind in ((772, 0), (772, 4), (1, 4))
    ]
    assert [bool(each) for each in taken] == [True, False, True]


def test_other_protocols() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    assert execute(program(_ALL, 14, 0), arp, 0x0806) == 14 + 28
    assert execute(program(_ALL, 14, 0), arp, 0x88CC) == 15
    assert execute(program(_ALL, 14, 40), arp, 0x0806) == 40
    assert execute(program(wanted([CLIENT], [], []), 14, 0), arp, 0x0806) == 0


def test_as_many_as_are_accepted_fit_and_the_kernel_takes_them() -> None:
    hosts = [f"2001:db8:{number:x}::/{33 + number}" for number in range(MAX_HOSTS)]
    ports = list(range(1, MAX_PORTS + 1))
    most = program(wanted(hosts, ports, ["tcp", "udp", "sctp", "icmp", "icmpv6"]), 14, 0)
    assert len(most) <= bpf.MAX_INSTRUCTIONS
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as made:
        for program_ in (program(_ALL, 0, 0), program(_ALL, 14, 0), program(_ALL, 14, 96), most):
            bpf.attach(made, program_)


@pytest.mark.parametrize(
    ("hosts", "ports", "protocols", "said"),
    [
        (["example.com"], [], [], "names are not looked up"),
        (["192.0.2.1/33"], [], [], "prefix length from 0 to 32"),
        (["2001:db8::/x"], [], [], "prefix length from 0 to 128"),
        ([""], [], [], "hosts: ''"),
        (["192.0.2.1"] * 33, [], [], "33 hosts"),
        ([], [0], [], "ports: 0"),
        ([], [65536], [], "ports: 65536"),
        ([], [1] * 65, [], "65 ports"),
        ([], [80], ["icmp"], "icmp has none"),
    ],
)
def test_what_cannot_be_wanted(hosts: list[str], ports: list[int], protocols: list[str], said: str) -> None:
    with pytest.raises(BadOption, match=said):
        wanted(hosts, ports, protocols)


def test_networks() -> None:
    assert network("192.0.2.77/24") == (packed("192.0.2.0"), 24)
    assert network(" 2001:db8::1 ") == (packed("2001:db8::1"), 128)
    assert network("0.0.0.0/0").words() == []
    assert network("2001:db8:8000::/33").words() == [(0x20010DB8, 0xFFFFFFFF), (0x80000000, 0x80000000)]
