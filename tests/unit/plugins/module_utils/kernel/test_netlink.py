# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import errno
import os
import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable

RTM_NEWLINK, RTM_GETLINK = 16, 18


class Answers:
    """Stands for the kernel's end: hands out prepared datagrams."""

    def __init__(self, *datagrams: bytes) -> None:
        self.datagrams = list(datagrams)

    def recv_into(self, *__: object) -> int:
        raise BlockingIOError(errno.EAGAIN, "nothing")

    def send(self, data: bytes) -> int:
        return len(data)

    def recvmsg_into(self, buffers: list[bytearray]) -> tuple[int, list[object], int, None]:
        datagram = self.datagrams.pop(0)
        buffers[0][: len(datagram)] = datagram
        return len(datagram), [], 0, None

    def close(self) -> None:
        pass


def message(kind: int, payload: bytes, flags: int = netlink.NLM_F_MULTI, sequence: int = 1) -> bytes:
    padding = b"\0" * (-len(payload) % 4)
    return struct.pack("=IHHII", 16 + len(payload), kind, flags, sequence, 0) + payload + padding


def answering(monkeypatch: pytest.MonkeyPatch, *datagrams: bytes) -> netlink.Netlink:
    link = netlink.Netlink(netlink.NETLINK_ROUTE)
    link.close()
    monkeypatch.setattr(link, "_socket", Answers(*datagrams))
    return link


DONE = message(netlink.NLMSG_DONE, struct.pack("=i", 0))


def test_the_kernel_lists_the_loopback_interface() -> None:
    with netlink.Netlink(netlink.NETLINK_ROUTE) as link:
        rows, interrupted = netlink.payloads(link, RTM_GETLINK, bytes(16))
    names = set()
    for row in rows:
        start, end = netlink.attributes(row, 16, len(row))[3]
        names.add(row[start:end].rstrip(b"\0").decode())
    assert "lo" in names
    assert names == set(os.listdir("/sys/class/net")) - {"bonding_masters"}
    assert not interrupted


def test_one_answer_to_one_request() -> None:
    with netlink.Netlink(netlink.NETLINK_ROUTE) as link:
        index = socket.if_nametoindex("lo")
        answer = link.request(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, index, 0, 0))
    assert struct.unpack_from("=BxHi", answer)[2] == index


def test_an_error_names_its_errno() -> None:
    with netlink.Netlink(netlink.NETLINK_ROUTE) as link, pytest.raises(Unavailable) as caught:
        link.request(RTM_GETLINK, struct.pack("=BxHiII", 0, 0, 2**31 - 1, 0, 0))
    assert isinstance(caught.value.__cause__, OSError)
    assert caught.value.__cause__.errno == errno.ENODEV


def test_an_errno_inside_done_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    link = answering(monkeypatch, message(netlink.NLMSG_DONE, struct.pack("=i", -errno.ENOENT)))
    with pytest.raises(Unavailable, match="No such file"):
        list(link.dump(RTM_GETLINK, b""))


def test_answers_to_other_requests_are_passed_over(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = message(RTM_NEWLINK, b"old!", sequence=77)
    link = answering(monkeypatch, stale + message(RTM_NEWLINK, b"new!") + DONE)
    assert netlink.payloads(link, RTM_GETLINK, b"") == ([b"new!"], False)


def test_an_interrupted_dump_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    torn = message(RTM_NEWLINK, b"torn", netlink.NLM_F_MULTI | netlink.NLM_F_DUMP_INTR) + DONE
    whole = message(RTM_NEWLINK, b"good", sequence=2) + message(netlink.NLMSG_DONE, bytes(4), sequence=2)
    link = answering(monkeypatch, torn, whole)
    assert netlink.payloads(link, RTM_GETLINK, b"") == ([b"good"], False)


def test_a_dump_that_stays_interrupted_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    flags = netlink.NLM_F_MULTI | netlink.NLM_F_DUMP_INTR
    torn = [message(RTM_NEWLINK, b"torn", flags, n) + message(netlink.NLMSG_DONE, bytes(4), 2, n) for n in (1, 2, 3)]
    link = answering(monkeypatch, *torn)
    assert netlink.payloads(link, RTM_GETLINK, b"") == ([b"torn"], True)


def test_a_message_longer_than_its_datagram(monkeypatch: pytest.MonkeyPatch) -> None:
    link = answering(monkeypatch, struct.pack("=IHHII", 4096, RTM_NEWLINK, 2, 1, 0))
    with pytest.raises(Malformed):
        list(link.dump(RTM_GETLINK, b""))


def test_an_unknown_family_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="netlink family 31"):
        netlink.Netlink(31)


@given(st.lists(st.tuples(st.integers(0, netlink.NLA_TYPE_MASK), st.binary(max_size=40)), max_size=20))
def test_attributes_are_read_as_they_were_written(pairs: list[tuple[int, bytes]]) -> None:
    data = b"".join(netlink.attribute(kind, value) for kind, value in pairs)
    found = {kind: data[start:end] for kind, (start, end) in netlink.attributes(data, 0, len(data)).items()}
    assert found == dict(pairs)
    assert [(kind, data[start:end]) for kind, start, end in netlink.children(data, 0, len(data))] == pairs


@given(st.binary(max_size=200), st.integers(0, 40))
def test_damaged_attributes_stay_inside_their_message(data: bytes, start: int) -> None:
    for first, last in netlink.attributes(data, start, len(data)).values():
        assert start <= first <= last <= len(data)


def test_an_impossible_error_number_is_damage(monkeypatch: pytest.MonkeyPatch) -> None:
    link = answering(monkeypatch, message(netlink.NLMSG_DONE, struct.pack("=i", -(1 << 31))))
    with pytest.raises(Malformed, match="impossible error number"):
        list(link.dump(RTM_GETLINK, b""))


def test_no_batch_is_empty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Messages of one length that are full just when the dump ends leave nothing behind."""
    large, small = message(100, b"l" * netlink._STAGE_SIZE), message(100, b"s" * 4)
    link = answering(monkeypatch, large + small, DONE)
    assert [(batch.length, batch.stride) for batch in link.batches(18, b"")] == [
        (len(large), len(large)),
        (len(small), len(small)),
    ]
