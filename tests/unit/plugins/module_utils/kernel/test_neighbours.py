# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import socket
import struct
from typing import Any, Iterator

from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.neighbours import (
    EXAMPLES,
    Table,
    neighbours,
    parse_table,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import HEADER_SIZE, Batch, attribute

RECORDED = os.path.join(os.path.dirname(__file__), "../../../fixtures/6.18/netlink/rtnetlink.json")
with open(RECORDED, encoding="ascii") as _file:
    _ALL = json.load(_file)
MESSAGES = [bytes.fromhex(each) for each in _ALL["neighbours"]]
TABLES = [bytes.fromhex(each) for each in _ALL["tables"]]
V4, V6 = socket.AF_INET.value, socket.AF_INET6.value


class Dump:
    """Stands for the socket: one dump, in batches of one length; *interruptions* of its attempts are inconsistent."""

    def __init__(self, rows: list[bytes], interruptions: int = 0) -> None:
        self.rows = rows
        self.left = interruptions
        self.interrupted = False
        self.attempts = 0

    def batches(self, message_type: int, payload: bytes) -> Iterator[Batch]:
        self.attempts += 1
        self.interrupted = self.left > 0
        self.left -= 1
        staged: dict[int, bytes] = {}
        for each in self.rows:
            whole = struct.pack("=IHHII", HEADER_SIZE + len(each), message_type, 2, 1, 0) + each
            whole += b"\0" * (-len(whole) % 4)
            staged[len(whole)] = staged.get(len(whole), b"") + whole
        for stride, data in staged.items():
            yield Batch(bytearray(data), len(data), stride)


def entry(address: str, state: int, ifindex: int = 3, flags: int = 0) -> bytes:
    family = V6 if ":" in address else V4
    return struct.pack("=BxxxiHBB", family, ifindex, state, flags, 1) + attribute(1, socket.inet_pton(family, address))


def walk(rows: list[bytes], *wanted: str) -> Any:
    return neighbours(Dump(rows), frozenset(wanted))[0]  # type: ignore[arg-type]


def test_recorded_neighbours() -> None:
    found = walk(MESSAGES, "192.0.2.1", "2001:db8::1")
    v4 = {state: number for (family, __, state), number in found.counts.items() if family == V4}
    assert v4 == {"permanent": 1, "stale": 1, "reachable": 1, "incomplete": 2}
    assert all(state != "noarp" for __, __, state in found.counts)
    assert set(found.examples[3]) == {"192.0.2.77", "192.0.2.9", "2001:db8::77"}
    assert found.states == {(3, "192.0.2.1"): "permanent"}
    assert found.exempt == {V4: 1, V6: 0}


def test_a_failing_gateway_is_always_among_the_examples() -> None:
    rows = [entry(f"10.0.{n >> 8}.{n & 255}", 0x20) for n in range(2000)]
    found = walk([*rows, entry("10.9.9.9", 0x20)], "10.9.9.9")
    assert found.counts == {(V4, 3, "failed"): 2001}
    assert found.examples[3][0] == "10.9.9.9"
    assert len(found.examples[3]) == EXAMPLES
    assert found.states == {(3, "10.9.9.9"): "failed"}


def test_what_the_limit_does_not_count() -> None:
    rows = [
        entry("10.0.0.1", 0x80),
        entry("10.0.0.2", 0x02, flags=0x10),
        entry("10.0.0.3", 0x04),
        entry("fe80::1", 0x80),
    ]
    found = walk([*rows, entry("ff02::1", 0x40)])
    assert found.exempt == {V4: 2, V6: 1}
    assert (V6, 3, "noarp") not in found.counts


def test_a_state_that_is_not_known_is_shown_by_its_number() -> None:
    assert walk([entry("10.0.0.1", 0x100)]).counts == {(V4, 3, "256"): 1}


def test_other_families_are_left_out() -> None:
    assert walk([struct.pack("=BxxxiHBB", 7, 3, 2, 0, 1) + attribute(2, b"\0" * 6)]).counts == {}


def test_an_interrupted_dump_is_repeated_and_then_reported() -> None:
    once, forever = Dump([entry("10.0.0.1", 2)], 1), Dump([entry("10.0.0.1", 2)], 99)
    assert neighbours(once) == (walk([entry("10.0.0.1", 2)]), False)  # type: ignore[arg-type]
    assert once.attempts == 2
    assert neighbours(forever)[1] is True  # type: ignore[arg-type]
    assert forever.attempts == 3


def test_recorded_tables() -> None:
    found = dict(made for made in map(parse_table, TABLES) if made is not None)
    assert set(found) == {V4, V6}
    assert found[V4][1:] == (128, 512, 1024, 0)
    assert found[V4].entries is not None


def test_a_kernel_before_4_3_does_not_tell_how_often_the_table_was_full() -> None:
    message = b"\2\0\0\0" + attribute(1, b"arp_cache\0")
    for kind, value in ((2, 1), (3, 2), (4, 3)):
        message += attribute(kind, struct.pack("=I", value))
    assert parse_table(message) == (V4, Table(None, 1, 2, 3, None))
    stats = struct.pack("=11Q", *range(11))
    assert parse_table(message + attribute(7, stats[:80])) == (V4, Table(None, 1, 2, 3, None))
    assert parse_table(message + attribute(7, stats)) == (V4, Table(None, 1, 2, 3, 10))


@given(st.lists(st.binary(max_size=60), max_size=6), st.booleans())
def test_anything_may_come_as_a_neighbour(rows: list[bytes], gateway: bool) -> None:
    found = walk(rows, *(["10.0.0.1"] if gateway else []))
    assert sum(found.counts.values()) <= len(rows)


@given(st.binary(max_size=200))
def test_anything_may_come_as_a_table(raw: bytes) -> None:
    parse_table(raw)
