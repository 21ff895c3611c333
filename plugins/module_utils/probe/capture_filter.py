# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a capture takes, as classic BPF: hosts, ports, protocols, how much of a packet. Private to this collection.

ICMP errors about packets that are wanted are wanted, too: whoever looks for one connection looks for them.
Without a length, the program returns where the headers end, so that no payload leaves the kernel.

A VLAN tag that the kernel has taken off (it does so with the outer one of all received packets) is not seen here; one
that is still there, as in packets to interfaces that cannot insert it, is skipped. Of IPv6's extension headers the
fragment header is followed.
"""

from __future__ import annotations

import socket
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.bpf import Assembler, Instruction
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption

TCP, UDP, SCTP, ICMP, ICMP6 = 6, 17, 132, 1, 58
PROTOCOLS = {"tcp": TCP, "udp": UDP, "sctp": SCTP, "icmp": ICMP, "icmpv6": ICMP6}
WITH_PORTS = (TCP, UDP, SCTP)
ICMP_ERRORS = (3, 4, 5, 11, 12)
ICMP6_ERRORS = (1, 2, 3, 4)
ETHERNET_HEADER = 14
MAX_HOSTS = 32
MAX_PORTS = 64

_IPV4, _IPV6, _ARP, _VLAN, _QINQ = 0x0800, 0x86DD, 0x0806, 0x8100, 0x88A8
_LOOPBACK, _OUTGOING = 772, 4
_WHOLE = 0x40000
_DISCOVERY = 130  # from this type on ICMPv6 is about the link itself
_ND_BYTES = 64
_ARP_BYTES = 28
# Scratch memory: protocol, where its header begins, and whether it is there (0 in later fragments).
_OUTER, _QUOTED = (0, 1, 2), (3, 4, 5)


class Network(NamedTuple):
    """An address is a network of one.

    :ivar address: 4 or 16 bytes, with zeros beyond the prefix.
    """

    address: bytes
    prefix: int

    def words(self) -> list[tuple[int, int]]:
        """Value and mask of each 32 bits that matter."""
        found = []
        for number in range(len(self.address) // 4):
            bits = min(32, max(0, self.prefix - 32 * number))
            if bits:
                mask = 0xFFFFFFFF << (32 - bits) & 0xFFFFFFFF
                found.append((int.from_bytes(self.address[4 * number : 4 * number + 4], "big"), mask))
        return found


class Wanted(NamedTuple):
    """What to take: of each kind that is given, one has to fit."""

    hosts: tuple[Network, ...] = ()
    ports: tuple[int, ...] = ()
    protocols: tuple[int, ...] = ()


def wanted(hosts: list[str], ports: list[int], protocols: list[str]) -> Wanted:
    """:raises BadOption: one of them cannot be used."""
    if len(hosts) > MAX_HOSTS:
        raise BadOption("hosts", f"{len(hosts)} hosts", f"at most {MAX_HOSTS}, or one network that holds them")
    if len(ports) > MAX_PORTS:
        raise BadOption("ports", f"{len(ports)} ports", f"at most {MAX_PORTS}")
    for port in ports:
        if not 1 <= port <= 65535:
            raise BadOption("ports", port, "port numbers from 1 to 65535")
    numbers = tuple(PROTOCOLS[name] for name in protocols)
    if ports and numbers and not set(numbers) & set(WITH_PORTS):
        raise BadOption("ports", ports[0], f"no ports, since {', '.join(protocols)} has none")
    return Wanted(tuple(map(network, hosts)), tuple(ports), numbers)


def network(text: str) -> Network:
    """An address, or a network such as 192.0.2.0/24. :raises BadOption: it is none."""
    address, slash, length = text.strip().partition("/")
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        packed = socket.inet_pton(family, address)
    except (OSError, ValueError):
        raise BadOption("hosts", text, "addresses, or networks such as 192.0.2.0/24; names are not looked up") from None
    bits = len(packed) * 8
    if slash and not (length.isascii() and length.isdigit() and len(length) <= 3 and int(length) <= bits):
        raise BadOption("hosts", text, f"a prefix length from 0 to {bits}")
    prefix = int(length) if slash else bits
    masked = int.from_bytes(packed, "big") >> (bits - prefix) << (bits - prefix)
    return Network(masked.to_bytes(len(packed), "big"), prefix)


def program(want: Wanted, link_header: int, snaplen: int) -> list[Instruction]:
    """The program for packets that begin with a link header of so many bytes (0: none, or 14 for Ethernet).

    :param snaplen: how many bytes to take of a packet; 0 for its headers.
    """
    return _Writer(want, link_header, snaplen).program()


class _Writer:
    def __init__(self, want: Wanted, link_header: int, snaplen: int) -> None:
        self.want = want
        self.link_header = link_header
        self.snaplen = snaplen
        self.code = Assembler()

    def program(self) -> list[Instruction]:
        code = self.code
        # What the loopback interface sends it receives as well: once is enough.
        self._load(bpf.AD_HATYPE)
        code.jump(bpf.JEQ, _LOOPBACK, otherwise="begin")
        self._load(bpf.AD_PKTTYPE)
        code.jump(bpf.JEQ, _OUTGOING, "drop")
        code.label("begin")
        code.add(bpf.LDX | bpf.IMM, self.link_header)
        self._load(bpf.AD_PROTOCOL)
        if self.link_header:
            code.jump(bpf.JEQ, _VLAN, "tagged")
            code.jump(bpf.JEQ, _QINQ, "tagged", "kinds")
            code.label("tagged")
            code.add(bpf.LDX | bpf.IMM, self.link_header + 4)
            code.add(bpf.LD | bpf.H | bpf.ABS, self.link_header + 2)
            code.label("kinds")
        code.jump(bpf.JEQ, _IPV4, "ipv4")
        code.jump(bpf.JEQ, _IPV6, "ipv6", "other")
        self._family("ipv4")
        self._family("ipv6")
        self._keep()
        # Last, since the kernel takes what stands behind a return for reachable when it checks the scratch memory.
        self._other()
        code.label("drop")
        self._return(0)
        return code.assemble()

    # --- small words ---

    def _load(self, offset: int) -> None:
        self.code.add(bpf.LD | bpf.W | bpf.ABS, offset)

    def _at(self, size: int, offset: int) -> None:
        """Load from X + *offset*."""
        self.code.add(bpf.LD | size | bpf.IND, offset)

    def _recall(self, slot: int) -> None:
        self.code.add(bpf.LD | bpf.MEM, slot)

    def _recall_x(self, slot: int) -> None:
        self.code.add(bpf.LDX | bpf.MEM, slot)

    def _store(self, slot: int) -> None:
        self.code.add(bpf.ST, slot)

    def _alu(self, operation: int, k: int) -> None:
        self.code.add(bpf.ALU | operation | bpf.K, k)

    def _add_x(self) -> None:
        self.code.add(bpf.ALU | bpf.ADD | bpf.X)

    def _return(self, length: int) -> None:
        self.code.add(bpf.RET | bpf.K, length)

    def _return_beyond_x(self, length: int) -> None:
        self.code.add(bpf.MISC | bpf.TXA)
        self._alu(bpf.ADD, length)
        self.code.add(bpf.RET | bpf.A)

    # --- which packets ---

    def _family(self, family: str) -> None:
        """X is where the IP header begins."""
        code, errors = self.code, f"{family}-errors"
        code.label(family)
        self._classify(family, _OUTER)
        if self.want == Wanted():
            code.go("keep")
            return
        self._match(family, _OUTER, "keep", errors)
        # It is not wanted itself. It may be an error about what is.
        code.label(errors)
        protocol, transport, present = _OUTER
        self._recall(protocol)
        code.jump(bpf.JEQ, ICMP if family == "ipv4" else ICMP6, otherwise="drop")
        self._recall(present)
        code.jump(bpf.JEQ, 0, "drop")
        self._recall_x(transport)
        self._at(bpf.B, 0)
        kinds = ICMP_ERRORS if family == "ipv4" else ICMP6_ERRORS
        for kind in kinds:
            code.jump(bpf.JEQ, kind, f"{family}-quoted")
        code.go("drop")
        code.label(f"{family}-quoted")
        code.add(bpf.MISC | bpf.TXA)
        self._alu(bpf.ADD, 8)
        code.add(bpf.MISC | bpf.TAX)
        self._classify(family, _QUOTED)
        self._match(family, _QUOTED, "keep", "drop")

    def _classify(self, family: str, slots: tuple[int, int, int]) -> None:
        """Fill *slots* from the IP header at X, which stays."""
        code = self.code
        protocol, transport, present = slots
        later, done = code.fresh("later"), code.fresh("classified")
        if family == "ipv4":
            self._at(bpf.B, 9)
            self._store(protocol)
            self._at(bpf.B, 0)
            self._alu(bpf.AND, 15)
            self._alu(bpf.LSH, 2)
            self._add_x()
            self._store(transport)
            self._at(bpf.H, 6)
            code.jump(bpf.JSET, 0x1FFF, later)
        else:
            plain = code.fresh("plain")
            self._at(bpf.B, 6)
            self._store(protocol)
            code.add(bpf.MISC | bpf.TXA)
            self._alu(bpf.ADD, 40)
            self._store(transport)
            self._recall(protocol)
            code.jump(bpf.JEQ, 44, otherwise=plain)
            self._recall(transport)
            self._alu(bpf.ADD, 8)
            self._store(transport)
            self._at(bpf.B, 40)
            self._store(protocol)
            self._at(bpf.H, 42)
            code.jump(bpf.JSET, 0xFFF8, later)
            code.label(plain)
        code.add(bpf.LD | bpf.IMM, 1)
        self._store(present)
        code.go(done)
        code.label(later)
        code.add(bpf.LD | bpf.IMM, 0)
        self._store(present)
        code.label(done)

    def _match(self, family: str, slots: tuple[int, int, int], accept: str, reject: str) -> None:
        code, want = self.code, self.want
        protocol, transport, present = slots
        if want.hosts:
            found = code.fresh("host")
            size, offsets = (4, (12, 16)) if family == "ipv4" else (16, (8, 24))
            for offset in offsets:
                for host in want.hosts:
                    if len(host.address) == size:
                        self._host(host, offset, found)
            code.go(reject)
            code.label(found)
        if want.protocols:
            found = code.fresh("protocol")
            self._recall(protocol)
            for number in want.protocols:
                code.jump(bpf.JEQ, number, found)
            code.go(reject)
            code.label(found)
        if want.ports:
            with_ports = code.fresh("with-ports")
            self._recall(present)
            code.jump(bpf.JEQ, 0, reject)
            self._recall(protocol)
            for number in WITH_PORTS:
                code.jump(bpf.JEQ, number, with_ports)
            code.go(reject)
            code.label(with_ports)
            self._recall_x(transport)
            for offset in (0, 2):
                self._at(bpf.H, offset)
                for port in want.ports:
                    code.jump(bpf.JEQ, port, accept)
            code.go(reject)
        else:
            code.go(accept)

    def _host(self, host: Network, offset: int, found: str) -> None:
        """Go to *found* if the address at *offset* from X lies in *host*."""
        another = self.code.fresh("another")
        for number, (value, mask) in enumerate(host.words()):
            self._at(bpf.W, offset + 4 * number)
            if mask != 0xFFFFFFFF:
                self._alu(bpf.AND, mask)
            self.code.jump(bpf.JEQ, value, otherwise=another)
        self.code.go(found)
        self.code.label(another)

    def _other(self) -> None:
        """Neither IPv4 nor IPv6; X is where the link header ends, the accumulator holds the protocol."""
        code = self.code
        code.label("other")
        if self.want != Wanted():
            code.go("drop")
        elif self.snaplen:
            self._return(self.snaplen)
        else:
            code.jump(bpf.JEQ, _ARP, otherwise="unknown")
            self._return_beyond_x(_ARP_BYTES)
            code.label("unknown")
            # Nothing of it is known to be a header; 0 would drop it.
            self._return_beyond_x(1)

    # --- how much of them ---

    def _keep(self) -> None:
        code = self.code
        code.label("keep")
        if self.snaplen:
            self._return(self.snaplen)
            return
        protocol, transport, present = _OUTER
        self._recall_x(transport)
        self._recall(present)
        code.jump(bpf.JEQ, 0, "no-more")
        self._recall(protocol)
        for number, label in ((TCP, "tcp"), (SCTP, "sctp"), (ICMP, "icmp"), (ICMP6, "icmp6")):
            code.jump(bpf.JEQ, number, label)
        self._return_beyond_x(8)  # UDP, and the identifiers of ESP and GRE
        code.label("tcp")
        self._unless_cut(16)
        self._at(bpf.B, 12)
        self._alu(bpf.AND, 0xF0)
        self._alu(bpf.RSH, 2)
        self._add_x()
        code.add(bpf.RET | bpf.A)
        code.label("sctp")
        self._return_beyond_x(12)
        code.label("icmp")
        self._unless_cut(9)
        self._at(bpf.B, 0)
        for kind in ICMP_ERRORS:
            code.jump(bpf.JEQ, kind, "quoted")
        self._return_beyond_x(8)
        code.label("quoted")
        self._at(bpf.B, 8)
        self._alu(bpf.AND, 15)
        self._alu(bpf.LSH, 2)
        self._add_x()
        self._alu(bpf.ADD, 16)
        code.add(bpf.RET | bpf.A)
        code.label("icmp6")
        self._unless_cut(9)
        self._at(bpf.B, 0)
        code.jump(bpf.JGE, _DISCOVERY, "discovery")
        for kind in ICMP6_ERRORS:
            code.jump(bpf.JEQ, kind, "quoted6")
        self._return_beyond_x(8)
        code.label("discovery")
        self._return_beyond_x(_ND_BYTES)
        code.label("quoted6")
        self._unless_cut(15)
        self._at(bpf.B, 14)
        code.jump(bpf.JEQ, 44, "quoted6-fragment")
        self._return_beyond_x(56)
        code.label("quoted6-fragment")
        self._return_beyond_x(64)
        code.label("whole")
        self._return(_WHOLE)
        code.label("no-more")
        self._return_beyond_x(0)

    def _unless_cut(self, length: int) -> None:
        """Keep the whole packet where less than *length* bytes follow X: a load beyond the end would drop it."""
        self.code.add(bpf.LD | bpf.W | bpf.LEN)
        self.code.add(bpf.ALU | bpf.SUB | bpf.X)
        self.code.jump(bpf.JGE, length, otherwise="whole")
