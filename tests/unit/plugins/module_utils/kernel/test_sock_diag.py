# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_sockets import ProcSockets
from ansible_collections.nettriage.linux.tests.unit.diag_messages import (
    DONE,
    FIXTURES,
    answering,
    batches,
    info,
    message,
    recorded,
)

EST, TW = diag.ESTABLISHED, diag.TIME_WAIT


def rows(*datagrams: bytes) -> list[diag.Socket]:
    return [one for batch in answering(*datagrams).tcp(diag.ALL_STATES) for one in diag.rows(batch)]


def test_the_recorded_dump_has_the_states_that_ss_counted() -> None:
    counted = Counter(diag.STATE_NAMES[one.state] for one in rows(*recorded("listen")) + rows(*recorded("connected")))
    assert counted == {
        "listen": 8,
        "established": 16,
        "close_wait": 3,
        "syn_sent": 3,
        "syn_recv": 1,
        "fin_wait2": 3,
        "time_wait": 4,
    }


def test_bound_sockets_come_in_a_dump_of_their_own() -> None:
    (one,) = rows(*recorded("bound"))
    assert (one.state, one.peer_port) == (diag.CLOSE, 0)


def test_netlink_and_procfs_tell_the_same_of_the_same_sockets() -> None:
    host = Host(f"{FIXTURES}/6.18/proc", FIXTURES)

    def seen(one: diag.Socket) -> tuple[object, ...]:
        ends = (diag.address(one.family, one.source), one.port, diag.address(one.family, one.destination))
        queues = (one.receive_queue, None if one.state == diag.LISTEN else one.send_queue)
        return (one.state, *ends, one.peer_port, *queues, one.inode, one.uid)

    text = [one for batch in ProcSockets(host).tcp(diag.ALL_STATES) for one in diag.rows(batch)]
    assert Counter(map(seen, rows(*recorded("listen")) + rows(*recorded("connected")))) == Counter(map(seen, text))


def test_a_full_listener_and_its_drops() -> None:
    (full,) = [one for one in rows(*recorded("listen")) if one.port == 8091]
    assert (full.receive_queue, full.send_queue, full.drops) == (2, 1, 0)


def test_only_listeners_for_ipv6_alone_say_so() -> None:
    only = {
        one.port: one.attributes[diag.V6ONLY][0] for one in rows(*recorded("listen")) if one.family == diag.AF_INET6
    }
    assert only == {8086: 0, 8087: 1}


def test_udp_sockets_with_their_drops() -> None:
    datagrams = recorded("udp")
    # Two dumps, one for each family: the second answers the second request.
    total, found = answering(*datagrams).udp(100)
    assert total == len(found) == 3
    (resolver,) = [one for one in found if one.port == 5353]
    assert resolver.drops and resolver.receive_queue
    assert resolver.receive_buffer == 4608  # twice what SO_RCVBUF asked for, socket(7)


def test_idle_udp_sockets_are_cut_and_counted() -> None:
    total, found = answering(*recorded("udp")).udp(0)
    assert total == 3
    assert [one.port for one in found] == [5353]


def test_unix_sockets() -> None:
    assert answering(*recorded("unix")).unix() == (3, 1)


def test_mixed_lengths_are_grouped_and_none_is_lost() -> None:
    bare = message(TW, ("10.0.0.1", 1), ("10.0.0.2", 2))
    long = message(EST, ("10.0.0.1", 3), ("10.0.0.2", 4), attributes=bytes(8), inode=7)
    found = [(batch.stride, batch.length // batch.stride) for batch in answering((bare + long) * 9, DONE).tcp(0)]
    assert sorted(found) == [(len(bare), 9), (len(long), 9)]


def test_groups_are_handed_on_before_they_grow_large() -> None:
    bare = message(TW, ("10.0.0.1", 1), ("10.0.0.2", 2))
    long = message(EST, ("10.0.0.1", 3), ("10.0.0.2", 4), attributes=bytes(8))
    datagram = (bare + long) * 150
    found = list(answering(*[datagram] * 6, DONE).tcp(0))
    assert sum(batch.length // batch.stride for batch in found) == 1800
    assert len(found) > 4 and max(batch.length for batch in found) < 65536


def test_an_equal_length_word_inside_a_message_does_not_fool_the_grouping() -> None:
    """A long message whose body holds what looks like the header of a second one."""
    small = message(TW, ("10.0.0.1", 1), ("10.0.0.2", 2))
    long = bytearray(message(EST, ("10.0.0.1", 3), ("10.0.0.2", 4), attributes=bytes(len(small))))
    struct.pack_into("=I", long, len(small), len(small))
    (found,) = answering(bytes(long), DONE).tcp(0)
    assert (found.stride, found.length) == (len(long), len(long))


def test_messages_of_another_request_are_left_out() -> None:
    ours = message(TW, ("10.0.0.1", 1), ("10.0.0.2", 2))
    other = ours[:8] + struct.pack("=I", 99) + ours[12:]
    (found,) = answering(ours + other, DONE).tcp(0)
    assert found.length == len(ours)


@pytest.mark.parametrize("place", [0, 3])
def test_an_interrupted_dump_is_seen(place: int) -> None:
    flags = netlink.NLM_F_MULTI | netlink.NLM_F_DUMP_INTR
    messages = [message(TW, ("10.0.0.1", n), ("10.0.0.2", 2), flags=flags if n == place else 2) for n in range(4)]
    source = answering(b"".join(messages), DONE)
    assert sum(batch.length // batch.stride for batch in source.tcp(0)) == 4
    assert source.interrupted


@pytest.mark.parametrize("kind", [netlink.NLMSG_ERROR, netlink.NLMSG_DONE])
def test_an_error_is_unavailable(kind: int) -> None:
    with pytest.raises(Unavailable, match="No such file"):
        list(answering(struct.pack("=IHHIIi", 20, kind, 2, 1, 0, -2)).tcp(0))


def test_messages_of_one_length_with_other_attributes_come_alone() -> None:
    first = message(EST, ("10.0.0.1", 1), ("10.0.0.2", 2), netlink.attribute(diag.CONGESTION, b"reno") + info(104))
    second = message(EST, ("10.0.0.1", 3), ("10.0.0.2", 4), info(104) + netlink.attribute(diag.CONGESTION, b"reno"))
    whole = netlink.Batch(first + second, len(first + second), len(first))
    found = list(diag.layouts(whole, (diag.INFO,)))
    assert [batch.length for batch, __ in found] == [len(first)] * 2
    assert [places[diag.INFO][0] for __, places in found] == [len(first) - 104, len(first) - 112]


def test_a_name_may_be_shorter_than_its_padding() -> None:
    cubic, bbr2 = (
        message(EST, ("10.0.0.1", 1), ("10.0.0.2", 2), netlink.attribute(diag.CONGESTION, name))
        for name in (b"cubic\0", b"reno2\0\0")
    )
    ((__, places),) = diag.layouts(netlink.Batch(cubic + bbr2, 2 * len(cubic), len(cubic)), (diag.CONGESTION,))
    assert diag.CONGESTION in places


@pytest.mark.parametrize(
    ("family", "raw", "text"),
    [
        (diag.AF_INET, b"\x0a\0\0\1" + b"rubbish here", "10.0.0.1"),
        (diag.AF_INET6, bytes(10) + b"\xff\xff\x0a\0\0\1", "10.0.0.1"),
        (diag.AF_INET6, bytes(15) + b"\1", "::1"),
        (diag.AF_INET6, b" \1\r\xb8" + bytes(11) + b"\1", "2001:db8::1"),
    ],
)
def test_addresses(family: int, raw: bytes, text: str) -> None:
    assert diag.address(family, raw) == text


def test_endpoints() -> None:
    assert diag.endpoint("10.0.0.1", 80) == "10.0.0.1:80"
    assert diag.endpoint("2001:db8::1", 80) == "[2001:db8::1]:80"


def test_short_memory_figures_are_none() -> None:
    eight = netlink.attribute(diag.SKMEMINFO, struct.pack("=8I", *range(8)))
    (one,) = diag.rows(*batches(message(EST, ("10.0.0.1", 1), ("10.0.0.2", 2), eight)))
    assert (one.receive_buffer, one.send_buffer, one.drops) == (1, 3, None)


@given(st.lists(st.binary(max_size=200), max_size=4))
def test_rubbish_never_breaks_the_walk(datagrams: list[bytes]) -> None:
    try:
        for batch in answering(*datagrams, DONE).tcp(0):
            for part, __ in diag.layouts(batch, (diag.INFO, diag.SKMEMINFO, diag.CONGESTION)):
                list(diag.rows(part))
    except (Unavailable, Malformed):
        pass


@given(st.data())
def test_a_damaged_recording_never_breaks_the_walk(data: st.DataObject) -> None:
    damaged = [bytearray(datagram) for datagram in recorded("connected")[:1]]
    for __ in range(data.draw(st.integers(1, 8))):
        at = data.draw(st.integers(0, len(damaged[0]) - 1))
        damaged[0][at] = data.draw(st.integers(0, 255))
    try:
        for batch in answering(*map(bytes, damaged), DONE, DONE).tcp(0):
            list(diag.rows(batch))
    except Unavailable:
        pass
