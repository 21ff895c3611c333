# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets made by hand, and a machine that runs classic BPF on them as the kernel does."""

from __future__ import annotations

import socket
import struct
from typing import Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf

CLIENT, SERVER, ROUTER = "192.0.2.9", "192.0.2.10", "192.0.2.1"
CLIENT6, SERVER6, ROUTER6 = "2001:db8::9", "2001:db8::10", "2001:db8::1"
FIN, SYN, RST, ACK = 0x01, 0x02, 0x04, 0x10


def packed(address: str) -> bytes:
    return socket.inet_pton(socket.AF_INET6 if ":" in address else socket.AF_INET, address)


def tcp(
    own: int, peer: int, flags: int = ACK, sequence: int = 0, acknowledged: int = 0, payload: bytes = b"",
    window: int = 1000, options: bytes = b"",
) -> bytes:  # fmt: skip
    offset = (5 + len(options) // 4) << 4
    head = struct.pack("!HHIIBBHHH", own, peer, sequence, acknowledged, offset, flags, window, 0, 0)
    return head + options + payload


def mss(size: int) -> bytes:
    return struct.pack("!BBH", 2, 4, size)


def udp(own: int, peer: int, payload: bytes = b"") -> bytes:
    return struct.pack("!HHHH", own, peer, 8 + len(payload), 0) + payload


def icmp(kind: int, code: int, rest: int = 0, payload: bytes = b"") -> bytes:
    return struct.pack("!BBHI", kind, code, 0, rest) + payload


def ip(source: str, destination: str, protocol: int, payload: bytes, part: int = 0, options: bytes = b"") -> bytes:
    """:param part: the flags and offset of a fragment, as in the header; in IPv6 with a header of its own."""
    own, peer = packed(source), packed(destination)
    if len(own) == 4:
        size = 20 + len(options)
        head = struct.pack("!BBHHHBBH", 0x40 | size // 4, 0, size + len(payload), 1, part, 64, protocol, 0)
        return head + own + peer + options + payload
    if part:
        offset = (part & 0x1FFF) << 3 | (part & 0x2000) >> 13
        payload = struct.pack("!BBHI", protocol, 0, offset, 7) + payload
        protocol = 44
    return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + own + peer + payload


def ethernet(packet: bytes, *tags: int) -> bytes:
    """With a VLAN tag of each number, outermost first."""
    head = bytes.fromhex("020000000002020000000001")
    for tag in tags:
        head += struct.pack("!HH", 0x8100, tag)
    return head + struct.pack("!H", 0x0800 if packet[0] >> 4 == 4 else 0x86DD) + packet


class OutOfBounds(Exception):
    """A load beyond the end of the packet, upon which the kernel drops it."""


def execute(program: Iterable[bpf.Instruction], packet: bytes, protocol: int, hatype: int = 1, pkttype: int = 0) -> int:
    """How many bytes of *packet* the program lets through; 0 drops it."""
    code = list(program)
    known = {bpf.AD_PROTOCOL: protocol, bpf.AD_HATYPE: hatype, bpf.AD_PKTTYPE: pkttype, bpf.AD_IFINDEX: 1}
    a = x = at = 0
    memory: dict[int, int] = {}

    def load(offset: int, size: int) -> int:
        if offset in known:
            return known[offset]
        if offset + size > len(packet):
            raise OutOfBounds
        return int.from_bytes(packet[offset : offset + size], "big")

    sizes = {bpf.W: 4, bpf.H: 2, bpf.B: 1}
    try:
        while True:
            step = code[at]
            at += 1
            kind, k = step.code & 7, step.k
            if kind == bpf.RET:
                return min(a if step.code & 0x18 == bpf.A else k, len(packet))
            if kind == bpf.JMP:
                operation = step.code & 0xF0
                if operation == bpf.JA:
                    at += k
                    continue
                holds = {bpf.JEQ: a == k, bpf.JGT: a > k, bpf.JGE: a >= k, bpf.JSET: bool(a & k)}[operation]
                at += step.jt if holds else step.jf
            elif kind == bpf.ALU:
                value = x if step.code & 8 else k
                operation = step.code & 0xF0
                a = {
                    bpf.ADD: a + value, bpf.SUB: a - value, bpf.AND: a & value,
                    bpf.LSH: a << (value & 31), bpf.RSH: a >> (value & 31),
                }[operation] & 0xFFFFFFFF  # fmt: skip
            elif kind == bpf.ST:
                memory[k] = a
            elif kind == bpf.STX:
                memory[k] = x
            elif kind == bpf.MISC:
                a, x = (x, x) if step.code & 0xF8 == bpf.TXA else (a, a)
            else:
                mode, size = step.code & 0xE0, sizes[step.code & 0x18]
                if mode == 0xA0:  # 4 * (P[k] & 15), as tcpdump uses it
                    x = (load(k, 1) & 15) * 4
                    continue
                if mode in (bpf.ABS, bpf.IND):
                    value = load(k if mode == bpf.ABS else x + k, size)
                else:
                    value = {bpf.IMM: k, bpf.MEM: memory.get(k, -1), bpf.LEN: len(packet)}[mode]
                    assert value >= 0, "loaded from scratch memory that was never written"
                a, x = (a, value) if kind == bpf.LDX else (value, x)
    except OutOfBounds:
        return 0
