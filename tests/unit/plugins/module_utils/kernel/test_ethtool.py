# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ethtool
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ethtool import Ethtool, Settings
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import attribute

UNKNOWN = 0xFFFFFFFF


def link_settings(speed: int, duplex: int, autonegotiation: int, *advertised: int, words: int = 4) -> bytes:
    """What GLINKSETTINGS answers: the modes are supported, advertised and the partner's, *words* words each."""
    head = struct.pack("=IIBBBBBBBb", 0x4C, speed, duplex, 0, 0, autonegotiation, 0, 0, 0, words).ljust(48, b"\0")
    bits = sum(1 << bit for bit in advertised)
    mask = b"".join(struct.pack("=I", bits >> (32 * at) & UNKNOWN) for at in range(words))
    return head + b"\xff" * (4 * words) + mask + b"\0" * (4 * words)


@pytest.mark.parametrize(
    ("advertised", "best"),
    [
        ((0, 1), 10), ((3, 5), 1000), ((5, 47, 48), 5000), ((12, 5), 10000), ((31,), 25000), ((32,), 25000),
        ((26,), 40000), ((40,), 50000), ((38, 5), 100000), ((62,), 200000), ((73,), 400000), ((93,), 800000),
        ((120, 5), 800000), ((124,), 1600000), ((6, 7, 13, 49, 74), None), ((), None),
    ],
)  # fmt: skip
def test_the_best_speed_is_that_of_the_fastest_advertised_mode(advertised: tuple[int, ...], best: int | None) -> None:
    assert ethtool.parse_settings(link_settings(1000, 1, 1, *advertised)) == Settings(1000, best, "full", True)


def test_every_mode_bit_has_one_speed() -> None:
    speeds = [[s for s, modes in ethtool._SPEED_MODES if modes >> bit & 1] for bit in range(128)]
    without = {6, 7, 8, 9, 10, 11, 13, 14, 16, 20, 49, 50, 51, 74, 125, 126, 127}
    assert all(len(found) == (bit not in without) for bit, found in enumerate(speeds))


def test_supported_modes_are_not_advertised_ones() -> None:
    found = ethtool.parse_settings(link_settings(100, 0, 0, 2, words=3))
    assert found == Settings(100, 100, "half", False)


@pytest.mark.parametrize("cut", [48, 52, 70])
def test_an_answer_that_ends_within_its_masks_tells_no_best_speed(cut: int) -> None:
    assert ethtool.parse_settings(link_settings(1000, 1, 1, 5)[:cut]) == Settings(1000, None, "full", True)
    assert ethtool.parse_settings(link_settings(1000, 1, 1, 5)[:47]) is None


@pytest.mark.parametrize("speed", [0, 0xFFFF, UNKNOWN, 0x80000000])
def test_a_speed_that_the_driver_does_not_know_is_null(speed: int) -> None:
    assert ethtool.parse_settings(link_settings(speed, 255, 0)) == Settings(None, None, None, False)


def test_the_old_answer_has_the_speed_in_two_halves() -> None:
    def legacy(speed: int) -> bytes:
        return struct.pack(
            "=IIIHBBBBBBIIHBBIII", 1, 0, 1 << 12, speed & 0xFFFF, 1, 0, 0, 0, 1, 0, 0, 0, speed >> 16, 0, 0, 0, 0, 0
        )

    assert ethtool.parse_legacy_settings(legacy(100000)) == Settings(100000, 10000, "full", True)
    assert ethtool.parse_legacy_settings(legacy(UNKNOWN)) == Settings(None, 10000, "full", True)


def strings(*names: bytes) -> bytes:
    return struct.pack("=III", 0x1B, 1, len(names)) + b"".join(name.ljust(32, b"\0") for name in names)


def test_statistics_are_paired_as_far_as_both_go() -> None:
    values = struct.pack("=II3Q", 0x1D, 3, 5, 6, 1 << 40)
    assert ethtool.parse_statistics(strings(b"rx_drops", b"  pkts rx OOB", b"x\xff"), values) == (
        ["rx_drops", "  pkts rx OOB", "x\ufffd"], [5, 6, 1 << 40],
    )  # fmt: skip
    assert ethtool.parse_statistics(strings(b"a", b"b"), values[:16]) == (["a"], [5])
    assert ethtool.parse_statistics(strings(b"a"), values) == (["a"], [5])


def test_a_driver_says_its_name_and_how_much_it_counts() -> None:
    answer = struct.pack(
        "=I32s32s32s32s32s12sIIIII", 3, b"ixgbe", b"6.1", b"fw", b"0000:3b:00.0", b"", b"", 0, 71, 0, 0, 0
    )
    assert ethtool.parse_driver(answer) == ("ixgbe", "0000:3b:00.0", 71)


def test_a_reason_for_a_link_that_is_down() -> None:
    def state(*attrs: bytes) -> bytes:
        return b"\0\0\0\0" + attribute(0x8001, attribute(1, struct.pack("=I", 7))) + b"".join(attrs)

    assert ethtool.parse_link_state(state(attribute(2, b"\0"), attribute(5, b"\4"))) == (7, "no cable")
    assert ethtool.parse_link_state(state(attribute(5, b"\x63"))) == (7, "99")
    assert ethtool.parse_link_state(state(attribute(2, b"\1"))) is None
    assert ethtool.parse_link_state(state(attribute(5, b""))) is None


def test_an_interface_without_ethtool_answers_nothing() -> None:
    with Ethtool() as asked:
        for name in ("lo", "no-such-thing", "a-name-that-is-far-too-long", "", "x\udcff"):
            assert [asked.settings(name), asked.driver(name), asked.rings(name), asked.channels(name)] == [None] * 4
        assert [asked.statistics("lo", count) for count in (0, 5, 1 << 31)] == [None] * 3


PARSERS = (
    ethtool.parse_settings,
    ethtool.parse_legacy_settings,
    ethtool.parse_driver,
    ethtool.parse_link_state,
    lambda raw: ethtool.parse_statistics(raw, raw),
)


@pytest.mark.parametrize("parse", PARSERS)
@given(raw=st.one_of(st.binary(max_size=300), st.binary(min_size=48, max_size=300)))
def test_anything_may_come_as_an_answer(parse, raw: bytes) -> None:  # type: ignore[no-untyped-def]
    parse(raw)
