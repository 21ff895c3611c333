# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import attribute
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.qdisc import Qdisc, parse_qdisc

RECORDED = os.path.join(os.path.dirname(__file__), "../../../fixtures/6.18/netlink/rtnetlink.json")
with open(RECORDED, encoding="ascii") as _file:
    MESSAGES = [bytes.fromhex(each) for each in json.load(_file)["qdiscs"]]
HEAD = struct.pack("=BxxxiIII", 0, 4, 0x80010000, 0xFFFFFFFF, 2) + attribute(1, b"fq\0")
QUEUE = attribute(3, struct.pack("=IIIII", 6, 9000, 41, 12, 13))


def test_recorded_qdiscs() -> None:
    found = {(each.kind, each.handle, each.parent) for each in map(parse_qdisc, MESSAGES) if each}
    assert {
        ("mq", "1:", "root"),
        ("pfifo_fast", "0:", "1:1"),
        ("htb", "8001:", "root"),
        ("clsact", "ffff:", "ingress"),
        ("noqueue", "0:", "root"),
    } <= found


def test_every_number_comes_from_its_place() -> None:
    message = HEAD + attribute(7, attribute(1, struct.pack("=QI", 123456, 789)) + QUEUE)
    assert parse_qdisc(message) == Qdisc(4, "fq", "8001:", "root", 789, 41, 13, 12, 9000, 6)


def test_packets_beyond_32_bits() -> None:
    nested = attribute(1, struct.pack("=QI", 1, 5)) + QUEUE + attribute(8, struct.pack("=Q", (1 << 32) + 5))
    found = parse_qdisc(HEAD + attribute(7, nested))
    assert found is not None
    assert found.packets == (1 << 32) + 5


def test_the_old_statistics_are_used_where_the_new_ones_are_missing() -> None:
    old = attribute(3, struct.pack("=QIIIIIII", 123456, 789, 41, 13, 0, 0, 6, 9000))
    assert parse_qdisc(HEAD + old) == Qdisc(4, "fq", "8001:", "root", 789, 41, 13, None, 9000, 6)


def test_children_of_the_default_mq_are_named_as_tc_names_them() -> None:
    head = struct.pack("=BxxxiIII", 0, 4, 0, 0x0000000A, 2) + attribute(1, b"fq\0")
    found = parse_qdisc(head + attribute(7, attribute(1, struct.pack("=QI", 1, 5)) + QUEUE))
    assert found is not None
    assert (found.handle, found.parent) == ("0:", ":a")


@pytest.mark.parametrize("message", [b"", HEAD[:10], HEAD, HEAD + attribute(7, QUEUE), HEAD + attribute(3, b"\0" * 8)])
def test_without_statistics_there_is_no_row(message: bytes) -> None:
    assert parse_qdisc(message) is None


@given(st.sampled_from(MESSAGES), st.data())
def test_damage_is_survived(message: bytes, data: st.DataObject) -> None:
    damaged = bytearray(message[: data.draw(st.integers(0, len(message)))])
    for __ in range(data.draw(st.integers(0, 8)) if damaged else 0):
        damaged[data.draw(st.integers(0, len(damaged) - 1))] = data.draw(st.integers(0, 255))
    found = parse_qdisc(bytes(damaged))
    assert found is None or found.drops >= 0
