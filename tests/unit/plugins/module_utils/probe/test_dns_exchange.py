# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What becomes of questions to a server on the loopback that this test plays itself."""

from __future__ import annotations

import contextlib
import socket
import struct
import threading
from typing import Callable, Iterator

import pytest

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_exchange import NameServer, Question, Style
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline

A, AAAA = Question("db.example", "A"), Question("db.example", "AAAA")
Play = Callable[[bytes], "list[bytes]"]


def reply(question: bytes, flags: int = 0x8180) -> bytes:
    return question[:2] + struct.pack("!5H", flags, 1, 0, 0, 0) + question[12:]


class Server:
    """Answers each datagram, and each connection, with what *play* makes of it."""

    def __init__(self) -> None:
        self.datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.datagrams.bind(("127.0.0.1", 0))
        self.port: int = self.datagrams.getsockname()[1]
        self.listener = socket.socket()
        self.listener.bind(("127.0.0.1", self.port))
        self.listener.listen(5)
        self.play: Play = lambda question: [reply(question)]
        self.threads = [threading.Thread(target=work, daemon=True) for work in (self._udp, self._tcp)]
        for thread in self.threads:
            thread.start()

    def _udp(self) -> None:
        while True:
            try:
                question, peer = self.datagrams.recvfrom(4096)
            except OSError:
                return
            if peer is None:  # it was shut down
                return
            for each in self.play(question):
                self.datagrams.sendto(each, peer)

    def _tcp(self) -> None:
        while True:
            try:
                stream, __ = self.listener.accept()
            except OSError:
                return
            with stream:
                (length,) = struct.unpack("!H", stream.recv(2))
                for each in self.play(stream.recv(length)):
                    stream.sendall(struct.pack("!H", len(each)) + each)

    def close(self) -> None:
        for each in (self.datagrams, self.listener):
            with contextlib.suppress(OSError):  # a datagram socket has no peer; it wakes up all the same
                each.shutdown(socket.SHUT_RDWR)
        for thread in self.threads:
            thread.join()
        self.datagrams.close()
        self.listener.close()


@pytest.fixture
def server() -> Iterator[Server]:
    made = Server()
    yield made
    made.close()


@pytest.fixture
def asker(server: Server) -> Iterator[NameServer]:
    made = NameServer("127.0.0.1", server.port, Style(), Deadline(10))
    yield made
    made.close()


def test_a_pair_is_answered(asker: NameServer) -> None:
    ((first, second),) = asker.udp([[A, AAAA]], 5)
    assert first.outcome == second.outcome == "answered"
    assert first.ms is not None and 0 < first.ms < 5000


def test_each_group_has_a_port_of_its_own(server: Server, asker: NameServer) -> None:
    seen: list[bytes] = []
    server.play = lambda question: seen.append(question[:2]) or [reply(question)]  # type: ignore[func-returns-value]
    replies = asker.udp([[A]] * 10, 5)
    assert [each.outcome for (each,) in replies] == ["answered"] * 10
    assert len(seen) == 10


@pytest.mark.parametrize(
    "wrong",
    [
        lambda question: bytes((question[0] ^ 1,)) + reply(question)[1:],  # another number
        lambda question: question,  # not an answer
        lambda question: reply(question).replace(b"\x02db", b"\x02dc"),  # to another question
        lambda question: reply(question)[:-3],  # cut
        lambda question: b"",
    ],
)
def test_wrong_answers_are_counted_and_waited_out(
    server: Server, asker: NameServer, wrong: Callable[[bytes], bytes]
) -> None:
    server.play = lambda question: [wrong(question), reply(question)]
    ((found,),) = asker.udp([[A]], 5)
    assert found.outcome == "answered" and asker.wrong == 1
    server.play = lambda question: [wrong(question)]
    ((found,),) = asker.udp([[A]], 0.05)
    assert found.outcome == "timeout" and asker.wrong == 2
    assert asker.tcp(A, 1).outcome == "damaged"


def test_the_case_of_the_question_does_not_matter(server: Server, asker: NameServer) -> None:
    server.play = lambda question: [reply(question).replace(b"example", b"EXAMPLE")]
    assert asker.udp([[A]], 5)[0][0].outcome == "answered"


def test_a_server_that_cannot_read_the_question(server: Server, asker: NameServer) -> None:
    server.play = lambda question: [question[:2] + b"\x81\x81" + b"\0" * 8]
    ((found,),) = asker.udp([[A]], 5)
    assert found.outcome == "answered" and found.message is not None and found.message.rcode == "formerr"


def test_a_late_answer_is_noticed(server: Server, asker: NameServer) -> None:
    kept: list[bytes] = []
    server.play = lambda question: kept.append(question) or []  # type: ignore[func-returns-value]
    ((first,),) = asker.udp([[A]], 0.05)
    assert (first.outcome, first.late) == ("timeout", False)
    # The answer to the first comes while the second is waited for.
    peers = [each.socket.getsockname() for each in asker._sockets.values()]
    server.datagrams.sendto(reply(kept[0]), peers[0])
    asker.udp([[AAAA]], 0.05)
    assert (first.outcome, first.late) == ("timeout", True)
    assert first.ms is not None and first.ms >= 50


def test_nobody_listens(server: Server) -> None:
    server.close()
    asker = NameServer("127.0.0.1", server.port, Style(), Deadline(10))
    ((found,),) = asker.udp([[A]], 5)
    assert found.outcome == "refused"
    assert asker.tcp(A, 5).outcome == "refused"
    assert asker._sockets == {}
    asker.close()


def test_tcp_tells_connecting_from_answering(asker: NameServer) -> None:
    found = asker.tcp(AAAA, 5)
    assert found.outcome == "answered"
    assert found.ms is not None and found.connect_ms is not None


def test_tcp_that_is_closed_early(server: Server, asker: NameServer) -> None:
    server.play = lambda question: []
    assert asker.tcp(A, 5).outcome == "closed"


def test_the_deadline_is_everyone_s(server: Server) -> None:
    server.play = lambda question: []
    asker = NameServer("127.0.0.1", server.port, Style(), Deadline(0))
    assert asker.udp([[A]], 30)[0][0].outcome == "timeout"
    asker.close()
