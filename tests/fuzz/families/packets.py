# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Captures: dissector, pcap, the summary of a capture, and the filters that are compiled from options."""

from __future__ import annotations

import struct
from typing import Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_filter, capture_packets, capture_pcap
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_summary import Summary
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part, as_json, text_of
from ansible_collections.nettriage.linux.tests.unit import packets

_LINKS = tuple(capture_packets.LINK_TYPES)
_PROTOCOLS = tuple(capture_filter.PROTOCOLS)


def _frame(data: bytes) -> None:
    if not data:
        return
    link, body = _LINKS[data[0] % len(_LINKS)], data[1:]
    packet = capture_packets.dissect(link, Frame(1_700_000_000_000_000_000, len(body), body))
    for address in (packet.source, packet.destination):
        if address and address not in body:
            raise Broken("an address that no packet has")
    if any(not 0 <= port <= 65535 for port in (packet.source_port, packet.destination_port)):
        raise Broken("a port that there is not")


def _summary(data: bytes) -> None:
    """Frames, each behind a byte with its length."""
    if not data:
        return
    summary, at, number = Summary(_LINKS[data[0] % len(_LINKS)]), 1, 0
    while at < len(data):
        frame = data[at + 1 : at + 1 + data[at]]
        summary.see(Frame(number * 1_000_000, len(frame) + data[at] % 7 * 100, frame))
        at, number = at + 1 + data[at], number + 1
    result = summary.result(5, 1.0)
    as_json([result, summary.limited()])


def _pcap(data: bytes) -> None:
    whole, pieces = capture_pcap.Parser(), capture_pcap.Parser()
    cut = data[0] if data else 0
    body = data[1:]
    found = list(whole.feed(body))
    if found != [*pieces.feed(body[:cut]), *pieces.feed(body[cut:])]:
        raise Broken("blocks of another size give other packets")
    if sum(len(frame.data) for frame in found) > len(body):
        raise Broken("more bytes than there were")


def _filter(data: bytes) -> None:
    """Options, and a packet that the compiled program must read without leaving it."""
    if len(data) < 8:
        return
    options, packet = text_of(data[8 : 8 + data[0]]), data[8 + data[0] :]
    hosts = [word for word in options.split("\n") if word]
    ports = [port for port in struct.unpack("<HH", data[1:5]) if port % 3]
    names = [_PROTOCOLS[data[5] % len(_PROTOCOLS)]] if data[5] & 0x80 else []
    want = capture_filter.wanted(hosts, ports, names)
    program = capture_filter.program(want, 14 if data[6] & 1 else 0, data[7] * 8)
    if not 0 < len(program) <= 4096:
        raise Broken(f"{len(program)} instructions, and the kernel takes 4096")
    protocol = 0x0800 if data[6] & 2 else 0x86DD
    if packets.execute(program, packet, protocol) > len(packet):
        raise Broken("more than the packet")


def _frames() -> list[bytes]:
    syn = packets.tcp(40000, 443, packets.SYN, 100, options=packets.mss(1460))
    made = [
        packets.ip(packets.CLIENT, packets.SERVER, 6, syn),
        packets.ip(packets.CLIENT6, packets.SERVER6, 6, syn),
        packets.ip(packets.SERVER, packets.CLIENT, 6, packets.tcp(443, 40000, packets.SYN | packets.ACK, 500, 101)),
        packets.ip(packets.SERVER, packets.CLIENT, 6, packets.tcp(443, 40000, packets.ACK, 501, 101, b"data")),
        packets.ip(packets.CLIENT, packets.SERVER, 6, packets.tcp(40000, 443, packets.RST, 101)),
        packets.ip(packets.CLIENT, packets.SERVER, 17, packets.udp(5353, 53, b"x" * 20), part=0x2000),
        packets.ip(packets.CLIENT6, packets.SERVER6, 17, packets.udp(5353, 53, b"x" * 20), part=0x2001),
    ]
    quoted = packets.ip(packets.CLIENT, packets.SERVER, 6, syn)
    made.append(packets.ip(packets.ROUTER, packets.CLIENT, 1, packets.icmp(3, 4, 1400, quoted)))
    return [packets.ethernet(each) for each in made]


def _one() -> Iterable[bytes]:
    return [b"\0" + frame for frame in _frames()] + [b"\1" + frame[14:] for frame in _frames()]


def _several() -> Iterable[bytes]:
    yield b"\0" + b"".join(bytes((len(frame),)) + frame for frame in _frames())


def _stream() -> Iterable[bytes]:
    records = b"".join(capture_pcap.record(Frame(5, len(frame), frame)) for frame in _frames())
    yield b"\x40" + capture_pcap.header(1, 0) + records


def _filters() -> Iterable[bytes]:
    for text in (b"192.0.2.0/24\n2001:db8::9", b"192.0.2.9", b""):
        for frame in _frames()[:2]:
            yield bytes((len(text), 1, 187, 0, 0, 0x81, 3, 12)) + text + frame


HARNESS = Harness(
    "packets",
    {
        "dissector": Part(_frame, _one),
        "summary": Part(_summary, _several),
        "pcap": Part(_pcap, _stream, (Malformed,)),
        "filter": Part(_filter, _filters, (BadOption, Unavailable)),
    },
)
