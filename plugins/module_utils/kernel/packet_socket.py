# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Packets as they pass an interface, by a packet socket with a ring in shared memory. Private to this collection.

The ring is TPACKET_V3 (Linux 3.2): the kernel packs packets of any size into blocks, so that one system call brings
thousands of them, and what is waiting to be read takes no more room than was asked for.

Sources: packet(7), ``include/uapi/linux/if_packet.h``, Documentation/networking/packet_mmap.rst.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import mmap
import os
import select
import socket
import struct
import time
from typing import Iterator, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import bpf
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable, why

ANY = "any"
ARPHRD_ETHER, ARPHRD_LOOPBACK = 1, 772
RING_BYTES = 16 << 20

_SOL_PACKET = 263
_PACKET_RX_RING, _PACKET_STATISTICS, _PACKET_VERSION = 5, 6, 10
_TPACKET_V3 = 2
_ETH_P_ALL = 0x0003
_SIOCGIFHWADDR = 0x8927
_BLOCK_BYTES = 256 << 10
_FRAME_BYTES = 2048  # only a unit in which the kernel counts: blocks hold frames of any size
_RETIRE_MS = 60  # a block that is not full is handed over after this time
_STATUS_KERNEL, _STATUS_USER = 0, 1
_STATUS_VLAN_VALID, _STATUS_VLAN_TPID_VALID = 0x10, 0x40
_VLAN = 0x8100

_BLOCK_STATUS = struct.Struct("=8xI")
_BLOCK_HEAD = struct.Struct("=12xII")  # how many packets, and where the first is
# struct tpacket3_hdr: next, seconds, nanoseconds, kept bytes, length, status, begin of the packet, VLAN tag, its type.
_FRAME = struct.Struct("=IIIIIIH2x4xIH")
_LINK_AT = 48  # struct sockaddr_ll stands behind it
_LINK = struct.Struct("=2x2siHBB8s")
_SLL2 = struct.Struct("!2s2xiHBB8s")
_NOTHING = [bpf.Instruction(bpf.RET | bpf.K, 0, 0, 0)]
_STATISTICS = struct.Struct("=III")


class Frame(NamedTuple):
    """A packet as it stands in a pcap file.

    :ivar at_ns: since 1970.
    :ivar length: how many bytes there were.
    :ivar data: as many of them as were kept, in the form of the link type.
    """

    at_ns: int
    length: int
    data: bytes


class Interface(NamedTuple):
    """:ivar ethernet: whether packets have an Ethernet header, as on the loopback; others are taken without theirs."""

    name: str
    ethernet: bool


def interface(name: str) -> Interface:
    """:raises BadOption: there is none of this *name* here."""
    if name == ANY:
        return Interface(name, False)
    names = [known for __, known in socket.if_nameindex()]
    if name not in names:
        raise BadOption("interface", name, f"any, or one of {', '.join(names)}")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as asked:
        answer = fcntl.ioctl(asked, _SIOCGIFHWADDR, struct.pack("16s24x", name.encode()))
    (kind,) = struct.unpack_from("=16xH", answer)
    return Interface(name, kind in (ARPHRD_ETHER, ARPHRD_LOOPBACK))


class PacketRing:
    """Takes packets from an interface, from when it is made until it is closed.

    The filter is there before the socket belongs to any interface, so nothing unfiltered gets in.

    :raises Unavailable: no privilege, or no such socket in this kernel.
    """

    def __init__(self, taken: Interface, program: list[bpf.Instruction], ring_bytes: int = RING_BYTES) -> None:
        self._cooked = not taken.ethernet
        self._blocks = max(2, ring_bytes // _BLOCK_BYTES)
        self._next = 0
        self._received = self._dropped = 0
        self.trouble: str | None = None
        kind = socket.SOCK_DGRAM if self._cooked else socket.SOCK_RAW
        try:
            self._socket = socket.socket(socket.AF_PACKET, kind | socket.SOCK_CLOEXEC, 0)
        except PermissionError as error:
            raise Unavailable("capturing packets needs CAP_NET_RAW") from error
        except OSError as error:
            raise Unavailable(why(error, "packet socket")) from error
        try:
            self._map = self._open(taken.name, program)
        except BaseException:
            self._socket.close()
            raise

    def _open(self, name: str, program: list[bpf.Instruction]) -> mmap.mmap:
        made, size = self._socket, self._blocks * _BLOCK_BYTES
        try:
            bpf.attach(made, program)
        except OSError as error:
            raise Unavailable(why(error, f"a filter of {len(program)} instructions")) from error
        ring = (_BLOCK_BYTES, self._blocks, _FRAME_BYTES, size // _FRAME_BYTES, _RETIRE_MS, 0, 0)
        try:
            made.setsockopt(_SOL_PACKET, _PACKET_VERSION, struct.pack("=i", _TPACKET_V3))
            made.setsockopt(_SOL_PACKET, _PACKET_RX_RING, struct.pack("=7I", *ring))
            mapped = mmap.mmap(made.fileno(), size, mmap.MAP_SHARED, mmap.PROT_READ | mmap.PROT_WRITE)
        except OSError as error:
            raise Unavailable(why(error, f"a packet ring of {size} bytes")) from error
        try:
            _bind(made, name)
        except OSError as error:
            mapped.close()
            raise Unavailable(why(error, f"interface {name}")) from error
        if made.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR) == errno.ENETDOWN:
            self.trouble = f"interface {name} is down"
        return mapped

    def frames(self, seconds: float) -> Iterator[Frame]:
        """What arrives within *seconds*, to the last packet."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self._ready(left):
                yield from self._block()
        # Nothing more comes in, and the last block is handed over soon.
        bpf.attach(self._socket, _NOTHING)
        end = time.monotonic() + 2 * _RETIRE_MS / 1000
        while (left := end - time.monotonic()) > 0 or self._ready(0):
            if self._ready(left):
                yield from self._block()

    def _ready(self, seconds: float) -> bool:
        """Whether the next block is handed over, for which at most *seconds* are waited."""
        at = self._next * _BLOCK_BYTES
        if not _BLOCK_STATUS.unpack_from(self._map, at)[0] & _STATUS_USER and seconds > 0:
            self._wait(seconds)
        return bool(_BLOCK_STATUS.unpack_from(self._map, at)[0] & _STATUS_USER)

    def _block(self) -> Iterator[Frame]:
        at, mapped = self._next * _BLOCK_BYTES, self._map
        count, first = _BLOCK_HEAD.unpack_from(mapped, at)
        packet = at + first
        for __ in range(count):
            step, seconds_, nanoseconds, kept, length, status, begin, tci, tpid = _FRAME.unpack_from(mapped, packet)
            data = mapped[packet + begin : packet + begin + kept]
            if self._cooked:
                protocol, index, hardware, kind, size, address = _LINK.unpack_from(mapped, packet + _LINK_AT)
                data = _SLL2.pack(protocol, index, hardware, kind, size, address) + data
                length += _SLL2.size
            elif status & _STATUS_VLAN_VALID and kept >= 12:
                tag = struct.pack("!HH", tpid if status & _STATUS_VLAN_TPID_VALID else _VLAN, tci & 0xFFFF)
                data = data[:12] + tag + data[12:]
                length += len(tag)
            yield Frame(seconds_ * 1_000_000_000 + nanoseconds, length, data)
            packet += step
        struct.pack_into("=I", mapped, at + 8, _STATUS_KERNEL)
        self._next = (self._next + 1) % self._blocks

    def _wait(self, seconds: float) -> None:
        poll = select.poll()
        poll.register(self._socket, select.POLLIN | select.POLLERR)
        for __, events in poll.poll(max(1.0, seconds * 1000)):
            if events & select.POLLERR:
                # Asking takes the error away; without, poll would return at once for ever.
                code = self._socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                self.trouble = why(OSError(code, os.strerror(code)), "the interface, during the capture")

    def statistics(self) -> tuple[int, int]:
        """How many packets passed the filter, and how many of these were dropped since the ring was full."""
        answer = self._socket.getsockopt(_SOL_PACKET, _PACKET_STATISTICS, _STATISTICS.size)
        received, dropped, __ = _STATISTICS.unpack(answer)
        self._received += received  # asking sets the kernel's counters to zero
        self._dropped += dropped
        return self._received, self._dropped

    def close(self) -> None:
        with contextlib.suppress(BufferError):
            self._map.close()
        self._socket.close()

    def __enter__(self) -> PacketRing:
        return self

    def __exit__(self, *__: object) -> None:
        self.close()


def _bind(made: socket.socket, name: str) -> None:
    """:raises OSError: the interface is gone."""
    if name != ANY:
        made.bind((name, _ETH_P_ALL))
        return
    import ctypes  # Python's own bind demands an interface

    address = struct.pack("=H2siHBB8s", socket.AF_PACKET, struct.pack("!H", _ETH_P_ALL), 0, 0, 0, 0, bytes(8))
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(made.fileno(), address, len(address)):
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code))
