# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the network answers: DNS, HTTP, certificates, ICMP errors."""

from __future__ import annotations

import base64
import re
import socket
import struct
from typing import Any, Iterable

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption
from ansible_collections.nettriage.linux.plugins.module_utils.probe import (
    dns_message,
    error_queue,
    http_message,
    http_url,
    tls_certificate,
)
from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tcp_connect import Failed
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_handshake import certificate_facts
from ansible_collections.nettriage.linux.tests.fuzz.harness import Broken, Harness, Part, as_json, fixture, text_of

_NAME = "www.example.com"
_BODY = 4096


def _answer(data: bytes) -> None:
    message = dns_message.decode(data)
    as_json(message)
    for record in message.answers:
        if not f"{record.name}{record.value}".isascii() or not f"{record.name}{record.value}".isprintable():
            raise Broken("a name that is no text")
        if len(record.name) > 4 * 255:
            raise Broken("a name without an end")
    found, aliases = dns_message.values(message, _NAME, "A")
    if len(aliases) > 16 or len(found) > len(message.answers):
        raise Broken("a chain without an end")


def _name(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    wire = dns_message.encode_name(text)
    if len(wire) > 255:
        raise Broken("a name that no server takes")
    shown = dns_message.canonical(text)
    if dns_message.canonical(shown) != shown:
        raise Broken("the same name is written in two ways")


class _Stream:
    """A server that sends what it is told in blocks, and closes."""

    def __init__(self, data: bytes, block: int) -> None:
        self._data = data
        self._block = block

    def settimeout(self, seconds: float) -> None:
        pass

    def sendall(self, data: bytes) -> None:
        pass

    def recv(self, size: int) -> bytes:
        block, self._data = self._data[: self._block], self._data[self._block :]
        return block[:size]


def _exchange(data: bytes) -> None:
    if not data:
        return
    stream: Any = _Stream(data[1:], data[0] + 1)
    request = b"HEAD / HTTP/1.1\r\n\r\n" if data[0] == 7 else b"GET / HTTP/1.1\r\n\r\n"
    answer = http_message.exchange(stream, request, Deadline(60), _BODY)
    as_json(answer)
    if not 100 <= answer.status <= 999 or answer.body_bytes > min(_BODY, len(data)):
        raise Broken(f"status {answer.status}, {answer.body_bytes} bytes")
    if not f"{answer.version}{answer.location or ''}".isprintable():
        raise Broken("a text that moves the cursor")


def _url(data: bytes) -> None:
    text = data.decode("utf-8", "replace")
    url = http_url.parse(text)
    lines = http_url.request(url, "GET", {}).split(b"\r\n")
    if len(lines) != 8 or len(lines[0].split(b" ")) != 3 or re.search(rb"[\0-\x1f\x7f]", b"".join(lines)):
        raise Broken("a request that another one hides in")


def _headers(data: bytes) -> None:
    name, __, value = text_of(data).partition("\0")
    url = http_url.parse("http://192.0.2.1/")
    sent = http_url.request(url, "GET", http_url.checked_headers({name: value}))
    if sent.count(b"\r\n\r\n") != 1 or sent.count(b"\n") > 8:
        raise Broken("a header that another one hides in")


def _certificate(data: bytes) -> None:
    as_json(certificate_facts(data))
    found = tls_certificate.parse(data)
    if not all(text.isprintable() for text in (found.subject, found.issuer, *found.names)):
        raise Broken("a name that moves the cursor")


def _error(data: bytes) -> None:
    if len(data) < 2:
        return
    level = ((socket.IPPROTO_IP, 11), (socket.IPPROTO_IPV6, 25))[data[0] & 1]
    found = error_queue.parse_error(data[60:], [(*level, data[2 : 2 + data[1]]), (socket.SOL_SOCKET, 35, data[40:56])])
    if found is not None:
        as_json(error_queue.answer(found, 7, "192.0.2.9"))


def _message(flags: int, answers: int, body: bytes) -> bytes:
    question = dns_message.encode_name(_NAME) + struct.pack("!HH", 1, 1)
    return struct.pack("!6H", 7, flags, 1, answers, 0, 0) + question + body


def _answers() -> Iterable[bytes]:
    address = b"\xc0\x0c" + struct.pack("!HHIH", 1, 1, 60, 4) + b"\xc0\0\2\1"
    alias = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 6) + b"\3cdn\xc0\x10"
    loop = b"\xc0\x0c" + struct.pack("!HHIH", 5, 1, 60, 2) + b"\xc0\x0c"
    six = b"\xc0\x0c" + struct.pack("!HHIH", 28, 1, 60, 16) + bytes(range(16))
    option = b"\0" + struct.pack("!HHIH", 41, 1232, 0x01000000, 0)
    yield _message(0x8180, 2, alias + address)
    yield _message(0x8183, 0, b"")
    yield _message(0x8380, 3, address)
    yield _message(0x8180, 3, loop + six + option)


def _bodies() -> Iterable[bytes]:
    for head in (
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 301 Moved\r\nLocation: https://x/\x1b[31m\r\n\r\n",
        b"HTTP/1.1 200\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\nA\r\n0123456789\r\n0\r\nT: 1\r\n\r\n",
    ):
        yield b"\xff" + head
        yield b"\x02" + head


def _certificates() -> Iterable[bytes]:
    for name in ("rsa.pem", "ec.pem"):
        (body,) = re.findall(rb"-----BEGIN CERTIFICATE-----\n(.*?)-----END", fixture("certificates", name), re.DOTALL)
        yield base64.b64decode(body)


def _errors() -> Iterable[bytes]:
    four = struct.pack("=IBBBBII", 113, 2, 3, 4, 0, 1400, 0) + struct.pack("=HH4s8x", 2, 0, b"\xc0\0\2\1")
    six = struct.pack("=IBBBBII", 113, 3, 1, 4, 0, 0, 0) + struct.pack("=HHI16sI", 10, 0, 0, bytes(range(16)), 0)
    for number, control in enumerate((four, six)):
        yield bytes((number, len(control))) + control.ljust(58, b"\0") + b"quoted"


HARNESS = Harness(
    "network",
    {
        "dns": Part(_answer, _answers, (dns_message.Damaged,)),
        "names": Part(
            _name, lambda: [b"www.example.com.", rb"a\.b\255.c", "b\u00fccher.example".encode()], (ValueError,)
        ),
        "http": Part(_exchange, _bodies, (Failed,)),
        "urls": Part(
            _url, lambda: [b"https://user:pw@example.com:8443/a?b=c#d", b"http://[2001:db8::1]/"], (BadOption,)
        ),
        "headers": Part(_headers, lambda: [b"X-Token\0secret", b"Accept\0*/*"], (BadOption,)),
        "certificate": Part(_certificate, _certificates, (tls_certificate.Damaged,)),
        "icmp errors": Part(_error, _errors),
    },
)
