# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a summary makes of conversations, packet by packet."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.packet_socket import Frame
from ansible_collections.nettriage.linux.plugins.module_utils.probe import capture_summary
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_packets import RAW
from ansible_collections.nettriage.linux.plugins.module_utils.probe.capture_summary import Summary
from ansible_collections.nettriage.linux.tests.unit.packets import (
    ACK,
    CLIENT,
    CLIENT6,
    FIN,
    ROUTER,
    ROUTER6,
    RST,
    SERVER,
    SERVER6,
    SYN,
    icmp,
    ip,
    mss,
    tcp,
    udp,
)

_MS = 1_000_000


class Wire:
    """A place at which packets pass; sequence numbers begin just below the wrap."""

    def __init__(self, port: int = 50000) -> None:
        self.summary = Summary(RAW)
        self.at_ns = 10**18
        self.port = port
        self.base = 0xFFFFFFF0

    def wait(self, ms: float) -> None:
        self.at_ns += int(ms * _MS)

    def pass_by(self, packet: bytes, length: int | None = None) -> None:
        self.summary.see(Frame(self.at_ns, len(packet) if length is None else length, packet))
        self.at_ns += 1000

    def client(
        self, flags: int, at: int = 0, ack: int = 0, size: int = 0, window: int = 1000, options: bytes = b""
    ) -> None:
        """A segment to port 443, whose sequence numbers count from the client's SYN and the server's."""
        sequence, acknowledged = (self.base + at) & 0xFFFFFFFF, (self.base + ack) & 0xFFFFFFFF
        segment = tcp(self.port, 443, flags, sequence, acknowledged, bytes(size), window, options)
        self.pass_by(ip(CLIENT, SERVER, 6, segment))

    def server(self, flags: int, at: int = 0, ack: int = 0, size: int = 0, window: int = 1000) -> None:
        sequence, acknowledged = (self.base + at) & 0xFFFFFFFF, (self.base + ack) & 0xFFFFFFFF
        segment = tcp(
            443, self.port, flags, sequence, acknowledged, bytes(size), window, mss(1460) if flags & SYN else b""
        )
        self.pass_by(ip(SERVER, CLIENT, 6, segment))

    def handshake(self, rtt_ms: float = 10) -> None:
        self.client(SYN)
        self.wait(rtt_ms)
        self.server(SYN | ACK, 0, 1)
        self.client(ACK, 1, 1)

    def result(self) -> dict[str, Any]:
        return self.summary.result(10, 1.0)


def _quiet(result: dict[str, Any], *but: str) -> None:
    """Nothing is told of what is not named."""
    counts = {
        "syn_unanswered": result["syn_unanswered"]["connections"],
        "refused": result["resets"]["refused"],
        "midstream": result["resets"]["midstream"],
        "zero_windows": result["zero_windows"]["times"],
        "too_big": result["too_big"]["packets"],
        "unreachable": result["unreachable"]["packets"],
        "fragments": result["fragments"]["packets"],
        **{
            name: result["retransmits"][name]
            for name in ("retransmits", "spurious", "out_of_order", "duplicate_acks", "keepalives", "window_probes")
        },
    }
    assert {name for name, count in counts.items() if count} == set(but)


def test_a_healthy_connection() -> None:
    wire = Wire()
    wire.handshake(12.5)
    wire.client(ACK, 1, 1, 500)
    wire.server(ACK, 1, 501, 1460)
    wire.server(ACK, 1461, 501, 1460)
    wire.client(ACK, 501, 2921)
    wire.client(FIN | ACK, 501, 2921)
    wire.server(FIN | ACK, 2921, 502)
    wire.client(ACK, 502, 2922)
    result = wire.result()
    _quiet(result)
    assert result["connections"] == result["handshakes"]["completed"] == 1
    assert result["handshakes"]["rtt_ms"]["median"] == pytest.approx(12.5, abs=0.01)
    assert (result["retransmits"]["segments"], result["retransmits"]["bytes"]) == (3, 3420)
    assert result["protocols"] == {"tcp": 10}
    assert (result["talkers"][0]["source"], result["talkers"][0]["packets"]) == (SERVER, 4)
    assert wire.summary.limited() == []


def test_syns_that_nobody_answers() -> None:
    wire = Wire()
    wire.client(SYN)
    wire.wait(1000)
    wire.client(SYN)
    wire.port = 50001
    wire.client(SYN)
    wire.wait(1500)
    wire.port = 50002
    wire.client(SYN)  # just now: it may still be answered
    result = wire.result()
    _quiet(result, "syn_unanswered")
    assert result["syn_unanswered"]["destinations"] == [{"address": SERVER, "port": 443, "connections": 2, "syns": 3}]
    assert (result["syn_unanswered"]["syns"], result["syn_unanswered"]["syn_retransmits"]) == (4, 1)


def test_an_answer_that_came_another_way_is_one() -> None:
    wire = Wire()
    wire.client(SYN)
    wire.wait(1)
    wire.client(ACK, 1, 1)
    wire.wait(2000)
    wire.client(ACK, 1, 1, 10)
    result = wire.result()
    _quiet(result)
    assert result["handshakes"] == {"completed": 0, "rtt_ms": None}


def test_refused() -> None:
    wire = Wire()
    wire.client(SYN)
    wire.server(RST | ACK, 0, 1)
    result = wire.result()
    _quiet(result, "refused")
    assert result["resets"]["refused_by"] == [{"address": SERVER, "port": 443, "connections": 1}]


@pytest.mark.parametrize(
    ("after", "by_server"), [("handshake", True), ("data", True), ("data", False), ("fin", False), ("unknown", True)]
)
def test_resets_say_who_and_after_what(after: str, by_server: bool) -> None:
    wire = Wire()
    if after == "unknown":
        wire.client(ACK, 1, 1)
    else:
        wire.handshake()
    if after in ("data", "fin"):
        wire.client(ACK, 1, 1, 100)
    if after == "fin":
        wire.server(FIN | ACK, 1, 101)
    for __ in range(3):  # one connection, however many resets
        if by_server:
            wire.server(RST, 1)
        else:
            wire.client(RST, 101)
    result = wire.result()
    _quiet(result, "midstream")
    address, peer, role = (SERVER, CLIENT, "server") if by_server else (CLIENT, SERVER, "client")
    assert result["resets"]["senders"] == [
        {"address": address, "role": role, "peer": peer, "service_port": 443, "after": after, "connections": 1}
    ]


def test_a_retransmission_at_the_sender_and_duplicate_acks() -> None:
    wire = Wire()
    wire.handshake()
    for number in range(5):
        wire.client(ACK, 1 + 1000 * number, 1, 1000)
    wire.wait(10)
    for __ in range(4):
        wire.server(ACK, 1, 1)  # the first of them may be any ACK: its window has no like before
    wire.client(ACK, 1, 1, 1000)
    wire.wait(10)
    wire.server(ACK, 1, 5001)
    result = wire.result()
    _quiet(result, "retransmits", "duplicate_acks")
    (row,) = result["retransmits"]["connections"]
    assert row == {
        "source": CLIENT, "source_port": 50000, "destination": SERVER, "destination_port": 443, "segments": 6,
        "bytes": 6000, "retransmits": 1, "ratio": 0.166667, "spurious": 0, "out_of_order": 0, "duplicate_acks": 3,
    }  # fmt: skip
    (path,) = result["retransmits"]["paths"]
    assert (path["source"], path["destination"], path["service_port"], path["retransmits"]) == (CLIENT, SERVER, 443, 1)


@pytest.mark.parametrize(("after_ms", "what"), [(1, "out_of_order"), (11, "retransmits")])
def test_a_gap_is_filled_at_the_receiver(after_ms: float, what: str) -> None:
    """Soon, by a packet that was overtaken; after a round trip, by one that was sent again."""
    wire = Wire()
    wire.handshake(10)
    wire.client(ACK, 1, 1, 1000)
    wire.client(ACK, 2001, 1, 1000)
    wire.wait(after_ms)
    wire.client(ACK, 1001, 1, 1000)
    wire.server(ACK, 1, 3001)
    result = wire.result()
    _quiet(result, what)
    assert result["retransmits"][what] == 1


def test_a_spurious_retransmission() -> None:
    wire = Wire()
    wire.handshake()
    wire.server(ACK, 1, 1, 1460)
    wire.client(ACK, 1, 1461)
    wire.wait(300)
    wire.server(ACK, 1, 1, 1460)
    result = wire.result()
    _quiet(result, "retransmits", "spurious")
    assert result["retransmits"]["paths"][0]["source"] == SERVER


@pytest.mark.parametrize("size", [0, 1])
def test_keepalives_are_no_retransmissions(size: int) -> None:
    wire = Wire()
    wire.handshake()
    wire.client(ACK, 1, 1, 100)
    wire.server(ACK, 1, 101)
    for __ in range(3):
        wire.wait(1000)
        wire.client(ACK, 100, 1, size)
        wire.server(ACK, 1, 101)
    result = wire.result()
    _quiet(result, "keepalives")
    assert result["retransmits"]["keepalives"] == 3


def test_a_reader_that_is_slow() -> None:
    wire = Wire()
    wire.handshake()
    wire.client(ACK, 1, 1, 1000)
    wire.server(ACK, 1, 1001, window=0)
    for __ in range(2):
        wire.wait(200)
        wire.client(ACK, 1000, 1)
        wire.server(ACK, 1, 1001, window=0)
    wire.wait(100)
    wire.server(ACK, 1, 1001, window=500)
    wire.wait(50)
    wire.server(ACK, 1, 1001, window=0)
    wire.wait(250)
    wire.client(ACK, 1000, 1)
    result = wire.result()
    _quiet(result, "zero_windows", "window_probes")
    (row,) = result["zero_windows"]["receivers"]
    assert (row["address"], row["role"], row["peer"], row["service_port"]) == (SERVER, "server", CLIENT, 443)
    assert (row["times"], row["connections"]) == (2, 1)
    assert row["closed_ms"] == pytest.approx(750, abs=1)


def test_offloaded_segments_count_as_they_are_on_the_wire() -> None:
    wire = Wire()
    wire.handshake()
    wire.client(ACK, 1, 1, 14600)
    assert wire.result()["retransmits"]["segments"] == 10


def test_ports_that_are_used_again() -> None:
    wire = Wire()
    wire.handshake()
    wire.client(FIN | ACK, 1, 1)
    wire.base = 12345
    wire.handshake()
    result = wire.result()
    _quiet(result)
    assert result["connections"] == result["handshakes"]["completed"] == 2


def test_the_round_trip_of_a_repeated_handshake_is_not_known() -> None:
    wire = Wire()
    wire.client(SYN)
    wire.wait(1000)
    wire.handshake()
    assert wire.result()["handshakes"] == {"completed": 0, "rtt_ms": None}


def test_errors_by_routers() -> None:
    wire = Wire()
    wire.client(SYN)
    unreachable = icmp(3, 13, payload=ip(CLIENT, SERVER, 6, tcp(50000, 443, SYN))[:28])
    wire.pass_by(ip(ROUTER, CLIENT, 1, unreachable))
    wire.wait(2000)
    big, big6 = ip(CLIENT, SERVER, 17, udp(9, 53, bytes(9))), ip(CLIENT6, SERVER6, 6, tcp(9, 80))
    for __ in range(2):
        wire.pass_by(ip(ROUTER, CLIENT, 1, icmp(3, 4, 1400, big[:28])))
    wire.pass_by(ip(ROUTER6, CLIENT6, 58, icmp(2, 0, 1280, big6)))
    wire.pass_by(ip(ROUTER6, CLIENT6, 58, icmp(3, 0, 0, big6)))
    result = wire.result()
    _quiet(result, "too_big", "unreachable")
    assert result["too_big"]["routers"] == [
        {"router": ROUTER, "mtu": 1400, "source": CLIENT, "destination": SERVER, "source_port": 9,
         "destination_port": 53, "protocol": "udp", "packets": 2},
        {"router": ROUTER6, "mtu": 1280, "source": CLIENT6, "destination": SERVER6, "source_port": 9,
         "destination_port": 80, "protocol": "tcp", "packets": 1},
    ]  # fmt: skip
    assert [(row["sender"], row["what"], row["port"]) for row in result["unreachable"]["senders"]] == [
        (ROUTER, "prohibited by a filter", 443),
        (ROUTER6, "time exceeded", 80),
    ]


def test_fragments_and_talkers() -> None:
    wire = Wire()
    wire.pass_by(ip(CLIENT6, SERVER6, 17, udp(1, 2, bytes(8)), 0x2000), 5000)
    wire.pass_by(ip(CLIENT6, SERVER6, 17, bytes(8), 0x0001), 200)
    wire.pass_by(ip(SERVER6, CLIENT6, 50, bytes(8)), 300)
    result = wire.result()
    _quiet(result, "fragments")
    assert result["fragments"]["senders"] == [
        {"source": CLIENT6, "destination": SERVER6, "protocol": "udp", "packets": 2}
    ]
    assert [(row["bytes"], row["mbps"], row["protocol"]) for row in result["talkers"]] == [
        (5200, 0.042, "udp"),
        (300, 0.002, "other"),
    ]


def test_memory_is_bounded_and_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_summary, "MAX_FLOWS", 10)
    monkeypatch.setattr(capture_summary, "MAX_KEYS", 2)
    wire = Wire()
    for port in range(50000, 50030):
        wire.port = port
        wire.client(SYN)
        wire.server(RST | ACK, 0, 1)
    for number in range(5):
        wire.pass_by(ip(f"198.51.100.{number}", SERVER, 17, udp(1, 2)))
    result = wire.result()
    assert result["connections"] == result["resets"]["refused"] == 30
    evicted, left_out = wire.summary.limited()
    assert "20 were judged before their end" in evicted and "5 later entries" in left_out


_SEGMENTS = st.tuples(
    st.booleans(), st.integers(0, 63), st.integers(0, 40), st.integers(0, 40), st.integers(0, 20), st.integers(0, 1)
)


@settings(max_examples=60)
@given(st.lists(_SEGMENTS, max_size=60))
def test_any_conversation_is_taken(segments: list[tuple[bool, int, int, int, int, int]]) -> None:
    wire = Wire()
    for by_client, flags, at, ack, size, window in segments:
        if by_client:
            wire.client(flags, at, ack, size, window)
        else:
            wire.server(flags, at, ack, size, window)
    told = wire.result()["retransmits"]
    assert told["retransmits"] + told["out_of_order"] <= len(segments)
    assert told["spurious"] <= told["retransmits"]
    assert all(count is None or count >= 0 for count in told.values() if not isinstance(count, list))
