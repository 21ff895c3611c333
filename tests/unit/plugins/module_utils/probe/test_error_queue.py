# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the kernel's error queue says, as it is and damaged; and it for real, on the loopback interface."""

from __future__ import annotations

import errno
import select
import socket
import struct
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe import error_queue
from ansible_collections.nettriage.linux.plugins.module_utils.probe.error_queue import QueuedError, answer, parse_error
from ansible_collections.nettriage.linux.plugins.module_utils.probe.path_udp import Udp
from ansible_collections.nettriage.linux.plugins.module_utils.probe.targets import Endpoint

_LOCAL, _ICMP, _ICMP6 = 1, 2, 3


def _control(origin: int, kind: int, code: int, info: int = 0, offender: bytes = b"") -> list[tuple[int, int, bytes]]:
    level, name = (socket.IPPROTO_IPV6, 25) if origin == _ICMP6 else (socket.IPPROTO_IP, 11)
    return [
        (socket.SOL_SOCKET, 35, struct.pack("@ll", 1_700_000_000, 5)),
        (level, name, struct.pack("=IBBBxII", errno.EHOSTUNREACH, origin, kind, code, info, 0) + offender),
    ]


def _ipv4(address: str) -> bytes:
    return struct.pack("=HH", socket.AF_INET, 0) + socket.inet_aton(address) + bytes(8)


def _ipv6(address: str) -> bytes:
    return struct.pack("=HHI", socket.AF_INET6, 0, 0) + socket.inet_pton(socket.AF_INET6, address) + bytes(4)


def test_a_router_that_says_time_exceeded() -> None:
    error = parse_error(b"quoted", _control(_ICMP, 11, 0, offender=_ipv4("192.0.2.1")))
    assert error is not None
    assert (error.offender, error.payload, error.at_ns) == ("192.0.2.1", b"quoted", 1_700_000_000 * 10**9 + 5)
    assert answer(error, 7, "198.51.100.7") == (7, "expired", "192.0.2.1", error.at_ns, 0, None)


def test_an_ipv6_router_that_says_packet_too_big() -> None:
    error = parse_error(b"", _control(_ICMP6, 2, 0, 1400, _ipv6("2001:db8::1")))
    assert error is not None
    found = answer(error, 7, "2001:db8::7")
    assert found is not None and (found.kind, found.mtu, found.address) == ("too_big", 1400, "2001:db8::1")


@pytest.mark.parametrize(
    ("origin", "kind", "code", "by_destination", "by_another"),
    [
        (_ICMP, 3, 3, "reached", "unreachable"),
        (_ICMP, 3, 13, "reached", "unreachable"),
        (_ICMP, 3, 1, "reached", "unreachable"),
        (_ICMP, 3, 4, "too_big", "too_big"),
        (_ICMP, 11, 0, "expired", "expired"),
        (_ICMP6, 1, 4, "reached", "unreachable"),
        (_ICMP6, 1, 0, "reached", "unreachable"),
        (_ICMP6, 3, 0, "expired", "expired"),
        (_ICMP6, 4, 1, "reached", None),
        (_ICMP, 5, 1, None, None),
    ],
)
def test_who_says_it_decides(
    origin: int, kind: int, code: int, by_destination: str | None, by_another: str | None
) -> None:
    for offender, wanted in (("198.51.100.7", by_destination), ("192.0.2.1", by_another)):
        found = answer(QueuedError(0, origin, kind, code, 0, offender, b"", 0), 1, "198.51.100.7")
        assert (found and found.kind) == wanted
        if wanted == "unreachable":
            assert found is not None and found.what


def test_this_hosts_own_interface_is_too_small() -> None:
    found = answer(QueuedError(errno.EMSGSIZE, _LOCAL, 0, 0, 1280, None, b"", 0), 1, "198.51.100.7")
    assert found is not None and (found.kind, found.mtu, found.address) == ("too_big", 1280, None)
    assert answer(QueuedError(errno.EHOSTUNREACH, _LOCAL, 0, 0, 0, None, b"", 0), 1, "198.51.100.7") is None


def test_a_zone_is_no_part_of_who_answers() -> None:
    found = answer(QueuedError(0, _ICMP6, 1, 4, 0, "fe80::1", b"", 0), 1, "fe80::1%eth0")
    assert found is not None and found.kind == "reached"


@given(st.binary(max_size=64), st.binary(max_size=64), st.sampled_from([(0, 11), (41, 25)]))
def test_damaged_control_messages(payload: bytes, data: bytes, kind: tuple[int, int]) -> None:
    error = parse_error(payload, [(socket.SOL_SOCKET, 35, data[:9]), (*kind, data)])
    assert (error is None) == (len(data) < 16)


def test_the_kernel_itself_on_loopback() -> None:
    """A datagram to a port where nobody listens comes back as an answer of the destination, with its number."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    endpoint = Endpoint("localhost", socket.AF_INET, "127.0.0.1", ("127.0.0.1", 0))
    before = time.time_ns()
    with Udp(endpoint, port, True) as sender:
        for number in (1, 0xFFFF):
            sender.send(number, 64, 1200)
        found: list[error_queue.Answer] = []
        end = time.monotonic() + 5
        poll = select.poll()
        poll.register(sender.descriptors()[0], select.POLLIN)
        while len(found) < 2 and time.monotonic() < end:
            poll.poll(100)
            found += sender.receive()
    assert [(each.number, each.kind, each.address) for each in found] == [
        (1, error_queue.REACHED, "127.0.0.1"),
        (0xFFFF, error_queue.REACHED, "127.0.0.1"),
    ]
    assert all(before <= each.at_ns <= time.time_ns() for each in found)


def test_a_datagram_larger_than_the_interface_is_told_at_once() -> None:
    endpoint = Endpoint("localhost", socket.AF_INET6, "::1", ("::1", 0, 0, 0))
    try:
        sender = Udp(endpoint, None, True)
    except OSError:
        pytest.skip("no IPv6 here")
    with sender:
        sender.send(5, 64, 65560)
        (found,) = (each for each in sender.receive() if each.kind == error_queue.TOO_BIG)
    assert (found.number, found.address) == (5, None) and 0 < found.mtu < 65560
