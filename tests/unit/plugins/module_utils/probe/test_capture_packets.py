# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets taken apart: whole, cut, and damaged."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import (
    ETHERNET,
    LINK_TYPES,
    RAW,
    SLL,
    SLL2,
    Packet,
    Quoted,
    dissect,
)
from ansible_collections.nettriage.linux.tests.unit.packets import (
    CLIENT,
    CLIENT6,
    ROUTER,
    ROUTER6,
    SERVER,
    SERVER6,
    SYN,
    ethernet,
    icmp,
    ip,
    mss,
    packed,
    tcp,
    udp,
)

_SEGMENT = ip(CLIENT, SERVER, 6, tcp(50000, 80, sequence=7, acknowledged=9, payload=b"12345", window=3))


def _seen(packet: bytes, link_type: int = RAW, length: int | None = None) -> Packet:
    return dissect(link_type, Frame(1, len(packet) if length is None else length, packet))


def test_a_segment_with_every_link_header() -> None:
    sll = struct.pack("!HHH8sH", 0, 1, 6, b"", 0x0800)
    sll2 = struct.pack("!HHiHBB8s", 0x0800, 0, 4, 1, 0, 6, b"")
    for link_type, interface, data in (
        (ETHERNET, 0, ethernet(_SEGMENT)),
        (ETHERNET, 0, ethernet(_SEGMENT, 7)),
        (ETHERNET, 0, ethernet(_SEGMENT, 7, 8)),
        (SLL, 0, sll + _SEGMENT),
        (SLL2, 4, sll2 + _SEGMENT),
        (RAW, 0, _SEGMENT),
    ):
        seen = _seen(data, link_type)
        assert (seen.interface, seen.kind, seen.protocol) == (interface, 0x0800, 6)
        assert (seen.source, seen.destination) == (packed(CLIENT), packed(SERVER))
        assert (seen.source_port, seen.destination_port) == (50000, 80)
        assert (seen.sequence, seen.acknowledged, seen.window, seen.payload) == (7, 9, 3, 5)
        assert data[seen.headers :] == b"12345"


def test_lengths_come_from_the_ip_header_and_not_from_padding_or_cuts() -> None:
    assert _seen(ethernet(_SEGMENT) + bytes(6), ETHERNET).payload == 5
    assert _seen(ethernet(_SEGMENT)[:54], ETHERNET, 59).payload == 5
    six = ip(CLIENT6, SERVER6, 6, tcp(1, 2, payload=b"1234567"))
    assert _seen(six).payload == 7
    # Beyond 64 KiB, as segmentation offload makes them, the header says 0.
    assert _seen(six[:4] + b"\0\0" + six[6:60], RAW, 100_060).payload == 100_000
    assert _seen(_SEGMENT[:2] + b"\0\0" + _SEGMENT[4:40], RAW, 100_040).payload == 100_000


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (mss(1460), 1460),
        (b"\1\1\3\3\7\0" + mss(536)[:2], 0),
        (b"\1\1\1\1" + mss(9000), 9000),
        (bytes(4), 0),
        (b"\5\0\1\1", 0),
    ],
)
def test_the_mss_of_a_syn(options: bytes, told: int) -> None:
    assert _seen(ip(CLIENT, SERVER, 6, tcp(1, 2, SYN, options=options))).mss == told


def test_too_big() -> None:
    quoted = ip(CLIENT, SERVER, 6, tcp(50000, 443))
    four = _seen(ip(ROUTER, CLIENT, 1, icmp(3, 4, 1400, quoted[:28])))
    assert four.quoted == Quoted(3, 4, 1400, 6, packed(CLIENT), 50000, packed(SERVER), 443)
    quoted = ip(CLIENT6, SERVER6, 17, udp(50000, 443, bytes(9)))
    six = _seen(ip(ROUTER6, CLIENT6, 58, icmp(2, 0, 1280, quoted)))
    assert six.quoted == Quoted(2, 0, 1280, 17, packed(CLIENT6), 50000, packed(SERVER6), 443)
    fragment = ip(CLIENT6, SERVER6, 17, udp(50000, 443, bytes(9)), 0x2000)
    told = _seen(ip(ROUTER6, CLIENT6, 58, icmp(3, 1, 0, fragment))).quoted
    assert told == Quoted(3, 1, 0, 17, packed(CLIENT6), 50000, packed(SERVER6), 443)


def test_what_quotes_nothing_useful() -> None:
    assert _seen(ip(ROUTER, CLIENT, 1, icmp(8, 0, payload=bytes(40)))).quoted is None
    assert _seen(ip(ROUTER, CLIENT, 1, icmp(3, 1, payload=bytes(10)))).quoted is None
    later = ip(CLIENT, SERVER, 17, bytes(8), 0x0005)
    quoted = _seen(ip(ROUTER, CLIENT, 1, icmp(3, 1, payload=later))).quoted
    assert quoted is not None and (quoted.source_port, quoted.destination_port) == (0, 0)


def test_fragments() -> None:
    for source, destination in ((CLIENT, SERVER), (CLIENT6, SERVER6)):
        first = _seen(ip(source, destination, 17, udp(1, 2, bytes(8)), 0x2000))
        later = _seen(ip(source, destination, 17, bytes(16), 0x0005))
        whole = _seen(ip(source, destination, 17, udp(1, 2, bytes(8))))
        assert [each.fragment for each in (first, later, whole)] == [True, True, False]
        assert [each.source_port for each in (first, later, whole)] == [1, 0, 1]
        assert later.protocol == 17


def test_what_is_no_ip() -> None:
    arp = bytes(12) + b"\x08\x06" + bytes(46)
    assert (_seen(arp, ETHERNET).kind, _seen(arp, ETHERNET).headers) == (0x0806, 42)
    assert _seen(bytes(60), ETHERNET).protocol == -1
    assert _seen(b"\x45", RAW).protocol == -1
    assert _seen(b"", 147).kind == -1


@given(st.sampled_from([*LINK_TYPES, 0, 147]), st.binary(max_size=120), st.integers(0, 1 << 17))
def test_any_bytes_are_taken(link_type: int, data: bytes, length: int) -> None:
    seen = _seen(data, link_type, length)
    assert seen.payload >= 0 and seen.headers >= 0


@given(st.integers(0, 120), st.integers(0, 119), st.integers(0, 255))
def test_damage_and_cuts(length: int, at: int, byte: int) -> None:
    quoted = ip(CLIENT6, SERVER6, 6, tcp(50000, 443, options=mss(1440)))
    for whole in (
        ethernet(_SEGMENT, 3),
        ethernet(ip(ROUTER6, CLIENT6, 58, icmp(2, 0, 1280, quoted))),
        ethernet(ip(CLIENT, SERVER, 6, tcp(1, 2, SYN, options=mss(1460) + b"\1\3\3\7"))),
        ethernet(ip(CLIENT, SERVER, 1, icmp(3, 4, 0, ip(CLIENT, SERVER, 17, udp(1, 2))))),
    ):
        data = bytearray(whole)
        data[at % len(data)] = byte
        seen = _seen(bytes(data[:length]), ETHERNET, len(whole))
        assert seen.payload >= 0
