# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The packets of a capture as one structure, made packet by packet in bounded memory. Private to this collection."""

from __future__ import annotations

import socket
from typing import Any

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_filter import ICMP, ICMP6, SCTP, TCP, UDP
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_flow import Flow
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import (
    ARP,
    Packet,
    Quoted,
    dissect,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import distribution

MAX_FLOWS = 20_000
MAX_KEYS = 5_000
_MAX_RTTS = 20_000
_SYN_PATIENCE_NS = 1_000_000_000  # the first retransmission of a SYN comes after one second (RFC 6298)
_NAMES = {TCP: "tcp", UDP: "udp", SCTP: "sctp", ICMP: "icmp", ICMP6: "icmpv6"}
_UNREACHABLE = {
    0: "network unreachable", 1: "host unreachable", 2: "protocol unreachable", 3: "port unreachable",
    5: "source route failed", 6: "network unknown", 7: "host unknown", 9: "network prohibited", 10: "host prohibited",
    13: "prohibited by a filter", 14: "host precedence violation", 15: "precedence cutoff",
}  # fmt: skip
_UNREACHABLE6 = {
    0: "no route", 1: "prohibited by a filter", 2: "beyond the scope of the source", 3: "address unreachable",
    4: "port unreachable", 5: "source address failed policy", 6: "route rejected",
}  # fmt: skip
_OTHERS = {4: "source quench", 5: "redirect", 11: "time exceeded", 12: "parameter problem"}
_OTHERS6 = {3: "time exceeded", 4: "parameter problem"}


class Tally:
    """Sums by key, for so many keys; what comes for others later is counted as :ivar:`left_out`."""

    def __init__(self) -> None:
        self.sums: dict[Any, list[int]] = {}
        self.left_out = 0

    def add(self, key: Any, *amounts: int) -> None:
        sums = self.sums.get(key)
        if sums is None:
            if len(self.sums) >= MAX_KEYS:
                self.left_out += 1
                return
            self.sums[key] = list(amounts)
            return
        for number, amount in enumerate(amounts):
            sums[number] += amount

    def worst(self, top: int, by: int = 0) -> list[tuple[Any, list[int]]]:
        return sorted(self.sums.items(), key=lambda row: -row[1][by])[:top]


class Summary:
    """:param link_type: of the frames."""

    def __init__(self, link_type: int) -> None:
        self._link_type = link_type
        self._flows: dict[tuple[int, bytes, int, bytes, int], Flow] = {}
        self._last_ns = 0
        self._protocols: dict[str, int] = {}
        self._talkers, self._fragments = Tally(), Tally()
        self._unanswered, self._refused, self._resets = Tally(), Tally(), Tally()
        self._zero_windows, self._paths, self._connections = Tally(), Tally(), Tally()
        self._too_big, self._unreachable = Tally(), Tally()
        self._rtts_ms: list[float] = []
        self._totals: dict[str, int] = dict.fromkeys(_TOTALS, 0)
        self._evicted = 0

    def see(self, frame: Frame) -> None:
        packet = dissect(self._link_type, frame)
        self._last_ns = max(self._last_ns, packet.at_ns)
        protocol = packet.protocol
        if protocol < 0:
            name = "arp" if packet.kind == ARP else "other"
        else:
            name = _NAMES.get(protocol, "other")
            self._talkers.add((packet.source, packet.destination, name), packet.length, 1)
            if packet.fragment:
                self._fragments.add((packet.source, packet.destination, name), 1)
        self._protocols[name] = self._protocols.get(name, 0) + 1
        if protocol == TCP and packet.source_port:
            self._tcp(packet)
        elif packet.quoted is not None:
            self._error(packet, packet.quoted)

    def _tcp(self, packet: Packet) -> None:
        ends = packet.source, packet.source_port, packet.destination, packet.destination_port
        key, forward = _key(packet.interface, *ends)
        flow = self._flows.get(key)
        if flow is None:
            flow = self._begin(key)
        own, peer = (flow.low, flow.high) if forward else (flow.high, flow.low)
        if flow.is_another(own, packet):
            self._end(key, self._flows.pop(key))
            flow = self._begin(key)
            own, peer = (flow.low, flow.high) if forward else (flow.high, flow.low)
        flow.see(own, peer, packet)

    def _begin(self, key: tuple[int, bytes, int, bytes, int]) -> Flow:
        if len(self._flows) >= MAX_FLOWS:
            oldest = next(iter(self._flows))
            self._end(oldest, self._flows.pop(oldest))
            self._evicted += 1
        flow = self._flows[key] = Flow()
        return flow

    def _end(self, key: tuple[int, bytes, int, bytes, int], flow: Flow) -> None:
        """Add what is known of a connection to the sums."""
        __, low_address, low_port, high_address, high_port = key
        # A guess where its beginning was not seen.
        low_serves = low_port < high_port if flow.client is None else flow.client is flow.high
        port = low_port if low_serves else high_port
        self._totals["connections"] += 1
        if flow.rtt_ns and len(self._rtts_ms) < _MAX_RTTS:
            self._rtts_ms.append(flow.rtt_ns / 1e6)
        self._totals["handshakes"] += bool(flow.rtt_ns)
        self._begun(flow, high_address if flow.client is flow.low else low_address, port)
        ends = ((flow.low, low_address, low_port, high_address, high_port),
                (flow.high, high_address, high_port, low_address, low_port))  # fmt: skip
        for side, address, own_port, peer_address, peer_port in ends:
            serves = (side is flow.low) == low_serves
            if flow.reset_by is side and flow.reset_after != "syn":
                self._resets.add((address, serves, peer_address, port, flow.reset_after), 1)
            if side.zero_windows:
                open_ns = self._last_ns - side.zero_since if side.zero_since else 0
                told = (side.zero_ns + open_ns) // 1000
                self._zero_windows.add((address, serves, peer_address, port), side.zero_windows, 1, told)
            peer = flow.high if side is flow.low else flow.low
            quality = (side.retransmits, side.spurious, side.out_of_order, peer.duplicate_acks)
            if side.segments:
                sums = (*quality, side.segments, side.bytes)
                self._paths.add((address, peer_address, port), *sums)
                if any(quality):
                    self._connections.add((address, own_port, peer_address, peer_port), *sums)
            for name in _SIDE_TOTALS:
                self._totals[name] += getattr(side, name)

    def _begun(self, flow: Flow, server: bytes, port: int) -> None:
        client = flow.client
        if client is None or not client.syns:
            return
        self._totals["syns"] += client.syns
        self._totals["syn_retransmits"] += client.syns - 1
        if flow.reset_after == "syn":
            self._refused.add((server, port), 1)
            return
        # One that was sent just now may still be answered.
        waited = client.syns > 1 or self._last_ns - flow.last_syn_at >= _SYN_PATIENCE_NS
        if waited and not flow.answered and flow.reset_by is None and not flow.unreachable:
            self._unanswered.add((server, port), 1, client.syns)

    def _error(self, packet: Packet, quoted: Quoted) -> None:
        """An ICMP error: told by whom it comes and about what."""
        key, __ = _key(packet.interface, quoted.source, quoted.source_port, quoted.destination, quoted.destination_port)
        six = packet.protocol == ICMP6
        about = (quoted.source, quoted.source_port, quoted.destination, quoted.destination_port, quoted.protocol)
        if quoted.type == 2 if six else (quoted.type, quoted.code) == (3, 4):
            self._too_big.add((packet.source, quoted.mtu, *about), 1)
            return
        if quoted.type == (1 if six else 3):
            flow = self._flows.get(key)
            if flow is not None:
                flow.unreachable = True
            what = (_UNREACHABLE6 if six else _UNREACHABLE).get(quoted.code, f"unreachable, code {quoted.code}")
        else:
            what = (_OTHERS6 if six else _OTHERS).get(quoted.type, f"type {quoted.type}")
        self._unreachable.add((packet.source, what, quoted.destination, quoted.destination_port, quoted.protocol), 1)

    def result(self, top: int, duration_s: float) -> dict[str, Any]:
        """All of it; lists are worst first and have at most *top* rows. Nothing more can be seen afterwards."""
        while self._flows:
            key, flow = self._flows.popitem()
            self._end(key, flow)
        totals = self._totals
        return {
            "protocols": dict(sorted(self._protocols.items(), key=lambda row: -row[1])),
            "talkers": [
                {**_between(source, destination), "protocol": name, "bytes": size, "packets": packets,
                 "mbps": round(size * 8 / 1e6 / duration_s, 3) if duration_s else None}
                for (source, destination, name), (size, packets) in self._talkers.worst(top)
            ],
            "connections": totals["connections"],
            "handshakes": {"completed": totals["handshakes"], "rtt_ms": distribution(self._rtts_ms)},
            "syn_unanswered": {
                "connections": _sum(self._unanswered),
                "syns": totals["syns"],
                "syn_retransmits": totals["syn_retransmits"],
                "destinations": [
                    {"address": _text(address), "port": port, "connections": count, "syns": syns}
                    for (address, port), (count, syns) in self._unanswered.worst(top)
                ],
            },
            "resets": {
                "refused": _sum(self._refused),
                "midstream": _sum(self._resets),
                "refused_by": [
                    {"address": _text(address), "port": port, "connections": count}
                    for (address, port), (count,) in self._refused.worst(top)
                ],
                "senders": [
                    {"address": _text(address), "role": _role(serves), "peer": _text(peer), "service_port": port,
                     "after": after, "connections": count}
                    for (address, serves, peer, port, after), (count,) in self._resets.worst(top)
                ],
            },
            "retransmits": {
                **{name: totals[name] for name in _SIDE_TOTALS},
                "ratio": _ratio(totals["retransmits"], totals["segments"]),
                "paths": [
                    {**_between(source, destination), "service_port": port, **_quality(sums)}
                    for (source, destination, port), sums in self._paths.worst(top)
                    if any(sums[:4])
                ],
                "connections": [
                    {**_between(source, destination), "source_port": own, "destination_port": peer, **_quality(sums)}
                    for (source, own, destination, peer), sums in self._connections.worst(top)
                ],
            },
            "zero_windows": {
                "times": _sum(self._zero_windows),
                "receivers": [
                    {"address": _text(address), "role": _role(serves), "peer": _text(peer), "service_port": port,
                     "times": times, "connections": count, "closed_ms": microseconds / 1000}
                    for (address, serves, peer, port), (times, count, microseconds) in self._zero_windows.worst(top)
                ],
            },
            "too_big": {
                "packets": _sum(self._too_big),
                "routers": [
                    {"router": _text(router), "mtu": mtu or None, **_about(about), "packets": count}
                    for (router, mtu, *about), (count,) in self._too_big.worst(top)
                ],
            },
            "unreachable": {
                "packets": _sum(self._unreachable),
                "senders": [
                    {"sender": _text(sender), "what": what, "destination": _text(destination), "port": port or None,
                     "protocol": _protocol(protocol), "packets": count}
                    for (sender, what, destination, port, protocol), (count,) in self._unreachable.worst(top)
                ],
            },
            "fragments": {
                "packets": _sum(self._fragments),
                "senders": [
                    {**_between(source, destination), "protocol": name, "packets": count}
                    for (source, destination, name), (count,) in self._fragments.worst(top)
                ],
            },
        }  # fmt: skip

    def limited(self) -> list[str]:
        """What the bounds of memory left out, one sentence each."""
        told = []
        if self._evicted:
            told.append(f"more than {MAX_FLOWS} connections at once: {self._evicted} were judged before their end")
        tallies = (value for value in vars(self).values() if isinstance(value, Tally))
        if left_out := sum(tally.left_out for tally in tallies):
            told.append(f"more than {MAX_KEYS} rows of a kind: {left_out} later entries are in no list")
        return told


_SIDE_TOTALS = (
    "segments", "bytes", "retransmits", "spurious", "out_of_order", "duplicate_acks", "keepalives", "window_probes",
)  # fmt: skip
_TOTALS = ("connections", "handshakes", "syns", "syn_retransmits", *_SIDE_TOTALS)


def _key(
    interface: int, source: bytes, source_port: int, destination: bytes, destination_port: int
) -> tuple[tuple[int, bytes, int, bytes, int], bool]:
    """The same for both directions, and whether this is the direction from the lower end."""
    if (source, source_port) < (destination, destination_port):
        return (interface, source, source_port, destination, destination_port), True
    return (interface, destination, destination_port, source, source_port), False


def _text(address: bytes) -> str:
    return socket.inet_ntop(socket.AF_INET if len(address) == 4 else socket.AF_INET6, address)


def _between(source: bytes, destination: bytes) -> dict[str, Any]:
    return {"source": _text(source), "destination": _text(destination)}


def _about(about: list[Any]) -> dict[str, Any]:
    source, source_port, destination, destination_port, protocol = about
    return {
        **_between(source, destination),
        "source_port": source_port or None,
        "destination_port": destination_port or None,
        "protocol": _protocol(protocol),
    }


def _protocol(number: int) -> str:
    return _NAMES.get(number, str(number))


def _role(serves: bool) -> str:
    return "server" if serves else "client"


def _ratio(part: int, whole: int) -> float | None:
    return round(part / whole, 6) if whole else None


def _quality(sums: list[int]) -> dict[str, Any]:
    retransmits, spurious, out_of_order, duplicate_acks, segments, size = sums
    return {
        "segments": segments,
        "bytes": size,
        "retransmits": retransmits,
        "ratio": _ratio(retransmits, segments),
        "spurious": spurious,
        "out_of_order": out_of_order,
        "duplicate_acks": duplicate_acks,
    }


def _sum(tally: Tally) -> int:
    return sum(sums[0] for sums in tally.sums.values())
