# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of one TCP connection, packet by packet, as far as a capture shows it. Private to this collection.

A capture sees a connection from one place. A segment that it sees twice was lost behind that place, or its
acknowledgement was; one that fills a gap was lost before it, or overtaken. RFC 9293, RFC 5681, RFC 1122 (4.2.3.6).
"""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import ACK, FIN, RST, SYN, Packet

_MASK, _HALF = 0xFFFFFFFF, 0x80000000
_MAX_GAPS = 32
_REORDERED_NS = 3_000_000  # a gap that is filled sooner was an overtaking, where the round trip is not known
_USUAL_MSS = 1460
AFTER = ("syn", "handshake", "data", "fin", "unknown")
"""What a reset came after: a SYN (the connection is refused), an answered SYN, data, an end; or it was all unseen."""


class Side:
    """What one end sent.

    :ivar next: the sequence number behind all that it sent; -1 while nothing was seen.
    :ivar segments: with data; a packet of segmentation offload counts as what it becomes on the wire.
    :ivar retransmits: segments that were sent again.
    :ivar spurious: those of them that had been acknowledged before.
    :ivar zero_windows: how often its receive buffer was full, and ``zero_ns`` for how long together.
    """

    __slots__ = (
        "acked", "bytes", "duplicate_acks", "ended", "gaps", "keepalives", "mss", "next", "out_of_order", "retransmits",
        "segments", "spurious", "syn_at", "syn_sequence", "syns", "window", "window_probes", "zero_ns", "zero_since",
        "zero_windows",
    )  # fmt: skip

    def __init__(self) -> None:
        self.next = self.acked = self.window = -1
        self.segments = self.bytes = self.retransmits = self.spurious = self.out_of_order = 0
        self.duplicate_acks = self.keepalives = self.window_probes = 0
        self.zero_windows = self.zero_ns = self.zero_since = 0
        self.syns = self.syn_at = self.syn_sequence = self.mss = 0
        self.ended = False
        self.gaps: list[tuple[int, int, int]] = []  # from, to, since when


class Flow:
    """One connection.

    :ivar low: the end with the smaller address and port, and :ivar:`high` the other one.
    :ivar client: who sent the SYN, if it was seen.
    :ivar answered: the SYN was, by whatever is no reset.
    :ivar reset_by: who ended it by a reset, and ``reset_after`` what, one of ``AFTER``.
    :ivar rtt_ns: from SYN to the first ACK, which is one round trip wherever it is captured; 0 for unknown.
    """

    __slots__ = (
        "answered", "answers", "client", "high", "last_syn_at", "low", "reset_after", "reset_by", "rtt_ns",
        "unreachable",
    )  # fmt: skip

    def __init__(self) -> None:
        self.low, self.high = Side(), Side()
        self.client: Side | None = None
        self.reset_by: Side | None = None
        self.reset_after = ""
        self.answered = self.unreachable = False
        self.answers = self.last_syn_at = self.rtt_ns = 0

    def is_another(self, own: Side, packet: Packet) -> bool:
        """Whether *packet*, from *own*, begins a new connection between the same ports."""
        begins = packet.flags & (SYN | ACK | RST) == SYN
        return begins and own.next >= 0 and not (own.syns and own.syn_sequence == packet.sequence)

    def see(self, own: Side, peer: Side, packet: Packet) -> None:
        """Take note of *packet*, which *own* sent to *peer*."""
        flags = packet.flags
        if flags & SYN:
            self._syn(own, peer, packet)
            return
        if flags & RST:
            if self.reset_by is None:
                self.reset_by, self.reset_after = own, self._after(own, peer)
            return
        if own is self.client and not self.rtt_ns and flags & ACK:
            self._handshake(own, peer, packet)
        if packet.window == 0:
            if not own.zero_since:
                own.zero_windows += 1
                own.zero_since = packet.at_ns
        elif own.zero_since:
            own.zero_ns += packet.at_ns - own.zero_since
            own.zero_since = 0
        length = packet.payload + (flags & FIN)
        if own.next < 0:
            own.next = packet.sequence
        if length:
            self._data(own, peer, packet, length)
        elif (own.next - packet.sequence) & _MASK == 1:
            self._probe(own, peer)
        elif flags & ACK:
            self._ack(own, peer, packet)
        if flags & ACK:
            if own.acked < 0 or (packet.acknowledged - own.acked) & _MASK < _HALF:
                own.acked = packet.acknowledged
            own.window = packet.window
        if flags & FIN:
            own.ended = True

    def _syn(self, own: Side, peer: Side, packet: Packet) -> None:
        own.mss = packet.mss
        own.next = (packet.sequence + 1 + packet.payload) & _MASK
        if packet.flags & ACK:
            self.answered = True
            self.answers += 1
            if self.client is None:
                self.client = peer
            own.acked = packet.acknowledged
            return
        if not own.syns:
            own.syn_at, own.syn_sequence = packet.at_ns, packet.sequence
            self.client = own
        own.syns += 1
        self.last_syn_at = packet.at_ns

    def _handshake(self, own: Side, peer: Side, packet: Packet) -> None:
        self.answered = True  # whether or not the answer came this way
        # With more than one SYN or answer it is not known which of them was acknowledged.
        if own.syns == 1 and self.answers == 1 and packet.acknowledged == peer.next:
            self.rtt_ns = max(1, packet.at_ns - own.syn_at)

    def _after(self, own: Side, peer: Side) -> str:
        if peer is self.client and peer.syns and not self.answered:
            return "syn"
        if own.ended or peer.ended:
            return "fin"
        if own.bytes or peer.bytes:
            return "data"
        return "handshake" if self.client is not None else "unknown"

    def _data(self, own: Side, peer: Side, packet: Packet, length: int) -> None:
        payload, sequence = packet.payload, packet.sequence
        if payload:
            own.bytes += payload
            own.segments += -(-payload // (peer.mss or _USUAL_MSS)) if payload > _USUAL_MSS else 1
        ahead = (sequence - own.next) & _MASK
        if ahead == 0:
            own.next = (sequence + length) & _MASK
            return
        if ahead < _HALF:
            if len(own.gaps) < _MAX_GAPS:
                own.gaps.append((own.next, sequence, packet.at_ns))
            own.next = (sequence + length) & _MASK
            return
        end = (sequence + length) & _MASK
        if payload <= 1 and not packet.flags & FIN and end == own.next:
            self._probe(own, peer)
            return
        since = _fill(own.gaps, sequence, end)
        if since and packet.at_ns - since < (self.rtt_ns * 3 // 4 or _REORDERED_NS):
            own.out_of_order += 1
        else:
            own.retransmits += 1
            if not since and peer.acked >= 0 and (peer.acked - end) & _MASK < _HALF:
                own.spurious += 1
        if (end - own.next) & _MASK < _HALF:
            own.next = end

    def _probe(self, own: Side, peer: Side) -> None:
        """The last byte again, or none: the peer is to say how it is."""
        if peer.window == 0:
            own.window_probes += 1
        else:
            own.keepalives += 1

    def _ack(self, own: Side, peer: Side, packet: Packet) -> None:
        outstanding = peer.next >= 0 and 0 < (peer.next - packet.acknowledged) & _MASK < _HALF
        if outstanding and packet.acknowledged == own.acked and packet.window == own.window != 0:
            own.duplicate_acks += 1


def _fill(gaps: list[tuple[int, int, int]], begin: int, end: int) -> int:
    """Take *begin* to *end* out of the gap that holds it; since when that was there, 0 for no such gap."""
    for number, (first, last, since) in enumerate(gaps):
        if (begin - first) & _MASK < (last - first) & _MASK:
            rest = []
            if begin != first:
                rest.append((first, begin, since))
            if 0 < (last - end) & _MASK < _HALF:
                rest.append((end, last, since))
            gaps[number : number + 1] = rest
            return since
    return 0
