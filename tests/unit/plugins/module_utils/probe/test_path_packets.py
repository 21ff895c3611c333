# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Probes: how they look on the wire, and that what is quoted of them tells which one it was."""

from __future__ import annotations

import socket
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe.icmp import Echo
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_tcp import Syns
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_udp import Udp
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

_LOOPBACK = Endpoint("localhost", socket.AF_INET, "127.0.0.1", ("127.0.0.1", 0))


def _summed(data: bytes) -> int:
    data += bytes(len(data) % 2)
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


@pytest.fixture(scope="module")
def echo() -> Echo:
    """An echo sender without a socket."""
    made = Echo.__new__(Echo)
    made._raw, made._ipv6, made._identifier, made._headers = True, False, 0xBEEF, 28
    made._request, made._reply = 8, 0
    return made


@given(number=st.integers(0, 0xFFFF), size=st.integers(30, 1500))
def test_echo_requests_have_one_checksum(echo: Echo, number: int, size: int) -> None:
    """RFC 792: the checksum is right; and it is the same for all, so that no load balancer tells them apart."""
    data = echo.packet(number, size)
    assert len(data) == size - 20
    assert _summed(data) == 0xFFFF
    assert data[2:6] == echo.packet(0, 30)[2:6]
    assert echo.number_in(data) == echo.number_in(data[:8]) == number


def test_echo_quotes_of_others(echo: Echo) -> None:
    assert echo.number_in(b"\x08\x00\x00\x00\xbe") is None
    for other in (struct.pack("!BBHHH", 8, 0, 0, 0xDEAD, 1), struct.pack("!BBHHH", 3, 0, 0, 0xBEEF, 1)):
        with pytest.raises(LookupError):
            echo.number_in(other)


@given(number=st.integers(0, 0xFFFF), size=st.integers(32, 9000))
def test_datagrams_carry_their_number(number: int, size: int) -> None:
    sender = Udp.__new__(Udp)
    sender._headers = 28
    data = sender.packet(number, size)
    assert len(data) == size - 28
    assert sender.number_in(data) == sender.number_in(data[:4]) == number
    assert sender.number_in(data[:3]) is None  # routers need not quote more than the UDP header
    with pytest.raises(LookupError):
        sender.number_in(b"\0\0\0\0")


@given(number=st.integers(0, 0xFFFF))
def test_syns_carry_it_as_their_sequence_number(number: int) -> None:
    sender = Syns.__new__(Syns)
    sender._own_port, sender.port, sender._sequence = 40000, 443, 0xABCD0000
    sender._pseudo = socket.inet_aton("192.0.2.1") + socket.inet_aton("192.0.2.2") + struct.pack("!HH", 6, 24)
    data = sender.packet(number, 40)
    assert _summed(sender._pseudo + data) == 0xFFFF
    assert data[13] == 0x02 and data[12] >> 4 == len(data) // 4
    assert sender.number_in(data) == sender.number_in(data[:8]) == number
    assert sender.number_in(data[:7]) is None
    with pytest.raises(LookupError):
        sender.number_in(struct.pack("!HHI", 40001, 443, 0xABCD0000))


def test_udp_sockets_keep_one_flow() -> None:
    with Udp(_LOOPBACK, 9, False) as sender:
        first = sender.socket.getsockname()
        sender.send(1, 1, 64)
        sender.send(2, 30, 64)
        assert sender.socket.getsockname() == first and sender.socket.getpeername() == ("127.0.0.1", 9)
