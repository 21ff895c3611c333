# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import contextlib
import socket
import threading
from typing import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe.http_message import Answer, exchange
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tcp_connect import Failed

GET, HEAD = b"GET / HTTP/1.1\r\n\r\n", b"HEAD / HTTP/1.1\r\n\r\n"


def said(*blocks: bytes, request: bytes = GET, max_bytes: int = 1000, seconds: float = 5) -> Answer:
    """What becomes of *blocks* that a server writes before it closes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        for block in blocks:
            theirs.sendall(block)
        theirs.shutdown(socket.SHUT_WR)
        return exchange(ours, request, Deadline(seconds), max_bytes)


@pytest.mark.parametrize(
    ("answer", "size", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 5, True),
        (b"HTTP/1.0 200 OK\n\nhello", 5, True),
        (b"HTTP/1.1 200\r\n\r\n", 0, True),
        (b"HTTP/1.1 204 No Content\r\nContent-Length: 5\r\n\r\n", 0, True),
        (
            b"HTTP/1.1 200\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
            13,
            True,
        ),
        (
            b"HTTP/1.1 100\r\n\r\nHTTP/1.1 103\r\nLink: x\r\n\r\nHTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok",
            2,
            True,
        ),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n" + b"n" * 1001, 1000, False),
        (b"HTTP/1.1 200 OK\r\n\r\n" + b"n" * 3000, 1000, False),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + b"n" * 2000, 1000, False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\nhello", 5, True),
    ],
)
def test_bodies(answer: bytes, size: int, whole: bool) -> None:
    found = said(answer)
    assert (found.body_bytes, found.whole) == (size, whole)
    assert found.first_byte_ms >= 0 and found.transfer_ms >= 0


def test_the_answer_to_head_has_no_body() -> None:
    found = said(b"HTTP/1.1 301 Moved\r\nContent-Length: 99\r\nLocation: /\x1b[31m\r\n\r\n", request=HEAD)
    assert (found.status, found.version, found.body_bytes, found.whole) == (301, "1.1", 0, True)
    assert found.location == "/\ufffd[31m"


@pytest.mark.parametrize(
    ("answer", "outcome", "phase"),
    [
        (b"", "closed", "first_byte"),
        (b"SSH-2.0-x\r\n", "damaged_answer", "first_byte"),
        (b"HTTP/1.1 ok\r\n\r\n", "damaged_answer", "first_byte"),
        (b"HTTP/1.1 0\r\n\r\n", "damaged_answer", "first_byte"),
        (b"HTTP/1.1 20\r\n\r\n", "damaged_answer", "first_byte"),
        (b"HTTP/1.1 2000 OK\r\n\r\n", "damaged_answer", "first_byte"),
        (b"HTTP/1.1 200 OK\r\nA: b", "closed", "transfer"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhello", "closed", "transfer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\n", "damaged_answer", "transfer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n", "damaged_answer", "transfer"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab", "closed", "transfer"),
        (b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 20000, "damaged_answer", "transfer"),
        (b"n" * 70000, "damaged_answer", "transfer"),
    ],
)
def test_answers_that_are_none(answer: bytes, outcome: str, phase: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:

        def write() -> None:  # large answers do not fit into the socket at once
            with contextlib.suppress(OSError):
                theirs.sendall(answer)
                theirs.shutdown(socket.SHUT_WR)

        writer = threading.Thread(target=write)
        writer.start()
        with pytest.raises(Failed) as caught:
            exchange(ours, GET, Deadline(5), 1000)
        ours.close()
        writer.join()
    assert (caught.value.outcome, caught.value.phase) == (outcome, phase)


@pytest.fixture
def silent() -> Iterator[socket.socket]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours


def test_silence_ends_in_time(silent: socket.socket) -> None:
    with pytest.raises(Failed) as caught:
        exchange(silent, GET, Deadline(0.05), 1000)
    assert (caught.value.outcome, caught.value.phase) == ("timeout", "first_byte")


@given(st.binary(max_size=400))
def test_anything_is_an_answer_or_fails(data: bytes) -> None:
    for block in (data, b"HTTP/1.1 200 OK\r\n" + data, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + data):
        try:
            found = said(block)
        except Failed:
            continue
        assert 0 <= found.body_bytes <= 1000
