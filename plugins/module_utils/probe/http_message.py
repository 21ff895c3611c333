# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP/1.1 request and its answer, in bounded time and memory. Private to this collection.

Source: RFC 9112.
"""

from __future__ import annotations

import re
import socket
import time
from typing import NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.probe.measure import Deadline, since_ms
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tcp_connect import CLOSED, Failed, positive
from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_handshake import trouble

_BLOCK = 65536
_MAX_HEAD = 65536
_MAX_LINE = 256
_SHOWN = 300
_NO_BODY = (204, 304)
_STATUS = re.compile(rb"[1-9][0-9]{2}( |$)")


class Answer(NamedTuple):
    """:ivar version: ``1.1`` or ``1.0``.
    :ivar location: where a redirect leads to; it is not followed.
    :ivar body_bytes: of the body, as far as it was read.
    :ivar whole: whether the body was read to its end.
    """

    version: str
    status: int
    location: str | None
    body_bytes: int
    whole: bool
    first_byte_ms: float
    transfer_ms: float


def exchange(stream: socket.socket, request: bytes, end: Deadline, max_bytes: int) -> Answer:
    """Send *request* and read the answer, of its body at most *max_bytes*.

    :raises Failed: with the phase ``first_byte`` or ``transfer``: no answer, one that is none, or one that is cut off.
    """
    reader = _Reader(stream, end)
    started = time.perf_counter()
    try:
        stream.settimeout(positive(end))
        stream.sendall(request)
        reader.fill()
        first = time.perf_counter()
        reader.phase = "transfer"
        status, version, headers = _head(reader)
        while 100 <= status < 200 and status != 101:
            status, version, headers = _head(reader)
        size, whole = _body(reader, request, status, headers, max_bytes)
    except OSError as error:
        raise trouble(error, reader.phase) from error
    first_byte_ms = (first - started) * 1000
    return Answer(version, status, _shown(headers.get("location")), size, whole, first_byte_ms, since_ms(first))


class _Reader:
    """What came, and what is still to come.

    :ivar phase: in which it waits.
    """

    def __init__(self, stream: socket.socket, end: Deadline) -> None:
        self._stream = stream
        self._end = end
        self.data = b""
        self.phase = "first_byte"

    def fill(self) -> bool:
        """Wait for more; false at the end.

        :raises Failed: at the end where nothing ever came, or time is over.
        """
        if self._end.over:
            raise Failed("timeout", self.phase, "no answer in time")
        self._stream.settimeout(positive(self._end))
        block = self._stream.recv(_BLOCK)
        if not block and self.phase == "first_byte":
            raise Failed(CLOSED, self.phase, "the server closed the connection without an answer")
        self.data += block
        return bool(block)

    def line(self, most: int) -> bytes:
        while b"\n" not in self.data:
            if len(self.data) > most:
                raise Failed("damaged_answer", self.phase, "a line without an end")
            if not self.fill():
                raise _cut()
        line, __, self.data = self.data.partition(b"\n")
        return line.rstrip(b"\r")

    def skip(self, size: int) -> int:
        """Drop up to *size* bytes; less at the end."""
        left = size
        while left:
            if not self.data and not self.fill():
                break
            taken = min(left, len(self.data))
            self.data = self.data[taken:]
            left -= taken
        return size - left


def _cut() -> Failed:
    return Failed(CLOSED, "transfer", "the server closed the connection amid its answer")


def _head(reader: _Reader) -> tuple[int, str, dict[str, str]]:
    line = reader.line(_MAX_HEAD)
    version, __, rest = line.partition(b" ")
    if not version.startswith(b"HTTP/") or not _STATUS.match(rest) or len(version) > _MAX_LINE:
        raise Failed("damaged_answer", "first_byte", "the answer is not HTTP")
    headers: dict[str, str] = {}
    size = 0
    while True:
        field = reader.line(_MAX_HEAD)
        size += len(field)
        if size > _MAX_HEAD:
            raise Failed("damaged_answer", "transfer", "headers without an end")
        if not field:
            return int(rest[:3]), _shown(version[5:].decode("ascii", "replace")) or "", headers
        name, __, value = field.partition(b":")
        headers[name.decode("latin-1").strip().lower()] = value.decode("utf-8", "replace").strip()


def _body(reader: _Reader, request: bytes, status: int, headers: dict[str, str], max_bytes: int) -> tuple[int, bool]:
    if request.startswith(b"HEAD ") or status in _NO_BODY or status == 101:
        return 0, True
    if headers.get("transfer-encoding", "").lower().endswith("chunked"):
        return _chunks(reader, max_bytes)
    length = headers.get("content-length", "")
    if length.isascii() and length.isdigit() and len(length) < 19:
        wanted = int(length)
        size = reader.skip(min(wanted, max_bytes))
        if size < min(wanted, max_bytes):
            raise _cut()
        return size, size == wanted
    size = reader.skip(max_bytes)
    return size, size < max_bytes


def _chunks(reader: _Reader, max_bytes: int) -> tuple[int, bool]:
    total = 0
    while True:
        digits = reader.line(_MAX_LINE).partition(b";")[0].strip()
        try:
            size = int(digits, 16)
        except ValueError:
            size = -1
        if size < 0:
            raise Failed("damaged_answer", "transfer", "a chunk without a length")
        if size == 0:
            while reader.line(_MAX_HEAD):
                pass
            return total, True
        taken = reader.skip(min(size, max_bytes - total))
        total += taken
        if total >= max_bytes:
            return total, False
        if taken < size:
            raise _cut()
        reader.line(_MAX_LINE)


def _shown(text: str | None) -> str | None:
    if text is None:
        return None
    return "".join(character if character.isprintable() else "\ufffd" for character in text[:_SHOWN])
