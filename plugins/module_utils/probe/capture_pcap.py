# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pcap format: written for files, read from files and from tcpdump. Private to this collection.

Source: https://www.ietf.org/archive/id/draft-ietf-opsawg-pcap-04.html. Time stamps are written in nanoseconds.
"""

from __future__ import annotations

import struct
from typing import Iterator

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame

HEADER_BYTES = 24
RECORD_BYTES = 16
MAX_SNAPLEN = 0x40000  # what readers take, too
_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_HEADER = struct.Struct("=IHHiIII")
_RECORD = struct.Struct("=IIII")
_NS = 1_000_000_000


def header(link_type: int, snaplen: int) -> bytes:
    """The beginning of a file, in this machine's byte order, which readers recognise."""
    return _HEADER.pack(_NANOSECONDS, 2, 4, 0, 0, snaplen or MAX_SNAPLEN, link_type)


def record(frame: Frame) -> bytes:
    seconds, nanoseconds = divmod(frame.at_ns, _NS)
    return _RECORD.pack(seconds, nanoseconds, len(frame.data), frame.length) + frame.data


class Parser:
    """Takes a pcap stream in blocks of any size and gives its packets.

    :ivar link_type: as in https://www.tcpdump.org/linktypes.html; ``None`` until the header has been seen.
    """

    def __init__(self) -> None:
        self.link_type: int | None = None
        self._rest = b""
        self._unit_ns = 1
        self._record = _RECORD

    def feed(self, block: bytes) -> Iterator[Frame]:
        """The packets that are complete with *block*.

        :raises Malformed: it is no pcap stream, or a packet claims to be longer than any.
        """
        data, at = self._rest + block, 0
        if self.link_type is None:
            if len(data) < HEADER_BYTES:
                self._rest = data
                return
            self._begin(data)
            at = HEADER_BYTES
        unpack, unit_ns, size = self._record.unpack_from, self._unit_ns, len(data)
        while size - at >= RECORD_BYTES:
            seconds, fraction, kept, length = unpack(data, at)
            if kept > MAX_SNAPLEN:
                raise Malformed(f"a packet in a pcap stream claims to have {kept} bytes")
            end = at + RECORD_BYTES + kept
            if end > size:
                break
            yield Frame(seconds * _NS + fraction * unit_ns, length, data[at + RECORD_BYTES : end])
            at = end
        self._rest = data[at:]

    def _begin(self, head: bytes) -> None:
        units = {_MICROSECONDS: 1000, _NANOSECONDS: 1}
        for order in "<>":
            (magic,) = struct.unpack_from(order + "I", head)
            if magic in units:
                self._unit_ns = units[magic]
                self._record = struct.Struct(order + "IIII")
                self.link_type = struct.unpack_from(order + "I", head, 20)[0] & 0x0FFFFFFF
                return
        raise Malformed("what should be a pcap stream does not begin like one")
