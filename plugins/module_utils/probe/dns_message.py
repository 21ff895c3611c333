# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""DNS messages: queries written, answers read. Private to this collection.

Sources: RFC 1035 section 4, RFC 3596 (AAAA), RFC 6891 (EDNS), RFC 4343 (names as text), RFC 6895 (codes).
Whatever a server sends is text without control characters afterwards, or :class:`Damaged`.
"""

from __future__ import annotations

import socket
import struct
from typing import NamedTuple

TYPES = {"A": 1, "NS": 2, "CNAME": 5, "AAAA": 28}
RCODES = (
    "noerror",
    "formerr",
    "servfail",
    "nxdomain",
    "notimp",
    "refused",
    "yxdomain",
    "yxrrset",
    "nxrrset",
    "notauth",
    "notzone",
)
_OPT = 41
_IN = 1
_RESPONSE, _TRUNCATED, _RECURSION_DESIRED, _AUTHENTIC = 0x8000, 0x0200, 0x0100, 0x0020
_MAX_NAME = 255
_MAX_LABEL = 63
_MAX_JUMPS = 64
_MAX_CHAIN = 16
_HEADER = struct.Struct("!6H")
_RECORD = struct.Struct("!HHIH")
_TYPE_NAMES = {number: name for name, number in TYPES.items()}


class Damaged(ValueError):
    """A message that does not have the form of RFC 1035."""


class Record(NamedTuple):
    """One record of the answer; *value* is an address, a name, or empty for types that are not read."""

    name: str
    rtype: str
    ttl: int
    value: str


class Message(NamedTuple):
    """An answer.

    :ivar rcode: lower-case name, ``rcodeN`` where it has none; extended by EDNS.
    :ivar question: name in lower case and type; ``None`` where the server did not repeat it.
    """

    identity: int
    response: bool
    rcode: str
    truncated: bool
    question: tuple[str, str] | None
    answers: list[Record]


def encode_name(text: str) -> bytes:
    """*text* in wire form. ``\\DDD`` and ``\\X`` are understood; names beyond ASCII are written by IDNA.

    :raises ValueError: an empty label, a label above 63 bytes or a name above 255.
    """
    wire = b""
    for label in _labels(text if text.isascii() else text.encode("idna").decode("ascii")):
        if not 0 < len(label) <= _MAX_LABEL:
            raise ValueError("a label has 1 to 63 bytes")
        wire += bytes((len(label),)) + label
    if len(wire) >= _MAX_NAME:
        raise ValueError("a name has at most 255 bytes")
    return wire + b"\0"


def _labels(text: str) -> list[bytes]:
    if text in (".", ""):
        return []
    labels = [bytearray()]
    at = 0
    while at < len(text):
        character = text[at]
        at += 1
        if character == ".":
            labels.append(bytearray())
        elif character == "\\":
            digits = text[at : at + 3]
            if len(digits) == 3 and digits.isdigit() and int(digits) <= 255:
                labels[-1].append(int(digits))
                at += 3
            else:
                labels[-1] += text[at : at + 1].encode()
                at += 1
        else:
            labels[-1] += character.encode()
    if not labels[-1]:
        labels.pop()  # the dot at the end
    return [bytes(label) for label in labels]


def canonical(text: str) -> str:
    """*text* as :func:`decode` would show it, in lower case: two names are equal if these are.

    :raises ValueError: it is no name.
    """
    return _name(encode_name(text), 0)[0].lower()


def query(identity: int, name: str, rtype: str, edns_bytes: int = 0, trust_ad: bool = False) -> bytes:
    """A recursive query; *edns_bytes* above 0 offers EDNS with that payload size."""
    flags = _RECURSION_DESIRED | (_AUTHENTIC if trust_ad else 0)
    message = _HEADER.pack(identity, flags, 1, 0, 0, 1 if edns_bytes else 0)
    message += encode_name(name) + struct.pack("!HH", TYPES[rtype], _IN)
    if edns_bytes:
        message += b"\0" + _RECORD.pack(_OPT, edns_bytes, 0, 0)
    return message


def decode(data: bytes) -> Message:
    """:raises Damaged: it is cut short (without saying so), a name never ends, or lengths do not fit."""
    try:
        return _decode(data)
    except (struct.error, IndexError) as error:
        raise Damaged("the message ends too early") from error


def _decode(data: bytes) -> Message:
    identity, flags, questions, answers, authorities, additional = _HEADER.unpack_from(data)
    truncated = bool(flags & _TRUNCATED)
    at = _HEADER.size
    question = None
    for __ in range(questions):
        name, at = _name(data, at)
        rtype, __rclass = struct.unpack_from("!HH", data, at)
        at += 4
        question = question or (name.lower(), _type_name(rtype))
    rcode = flags & 15
    records: list[Record] = []
    try:
        for number in range(answers + authorities + additional):
            name, at = _name(data, at)
            rtype, rclass, ttl, length = _RECORD.unpack_from(data, at)
            at += _RECORD.size
            if at + length > len(data):
                raise Damaged("a record is longer than its message")
            if rtype == _OPT:
                rcode |= ttl >> 24 << 4
            elif number < answers and rclass == _IN:
                records.append(Record(name, _type_name(rtype), ttl, _value(data, at, rtype, length)))
            at += length
    except (Damaged, struct.error, IndexError):
        if not truncated:  # what was cut off is missing by announcement
            raise
    name_of = RCODES[rcode] if rcode < len(RCODES) else f"rcode{rcode}"
    return Message(identity, bool(flags & _RESPONSE), name_of, truncated, question, records)


def _type_name(rtype: int) -> str:
    return _TYPE_NAMES.get(rtype, f"TYPE{rtype}")


def _value(data: bytes, at: int, rtype: int, length: int) -> str:
    if rtype == TYPES["A"] or rtype == TYPES["AAAA"]:
        family, size = (socket.AF_INET, 4) if rtype == TYPES["A"] else (socket.AF_INET6, 16)
        if length != size:
            raise Damaged("an address has the wrong length")
        return socket.inet_ntop(family, data[at : at + size])
    if rtype in (TYPES["CNAME"], TYPES["NS"]):
        return _name(data, at)[0]
    return ""


def _name(data: bytes, at: int) -> tuple[str, int]:
    """The name at *at* as text, and where the message goes on. Pointers must lead backwards, so they end."""
    labels: list[str] = []
    after, length, jumps, limit = 0, 0, 0, at
    while True:
        size = data[at]
        if size >= 0xC0:
            target = (size & 0x3F) << 8 | data[at + 1]
            after = after or at + 2
            jumps += 1
            if target >= limit or jumps > _MAX_JUMPS:
                raise Damaged("a compressed name leads in a circle")
            at = limit = target
        elif size > _MAX_LABEL:
            raise Damaged("a label of an unknown kind")
        elif size == 0:
            return ".".join(labels) or ".", after or at + 1
        else:
            length += size + 1
            label = data[at + 1 : at + 1 + size]
            if len(label) < size or length >= _MAX_NAME:
                raise Damaged("a name that is too long")
            labels.append(_text(label))
            at += size + 1


def _text(label: bytes) -> str:
    if label.isalnum():
        return label.decode("ascii")
    return "".join(chr(byte) if 0x21 <= byte <= 0x7E and byte not in b'."\\' else f"\\{byte:03d}" for byte in label)


def values(message: Message, name: str, rtype: str) -> tuple[list[str], list[str]]:
    """What *message* answers for *name*: the values of type *rtype*, and the aliases that led there, in order."""
    owner = canonical(name)
    aliases: list[str] = []
    links = {record.name.lower(): record.value for record in message.answers if record.rtype == "CNAME"}
    while owner in links and len(aliases) < _MAX_CHAIN:
        aliases.append(links[owner])
        owner = links[owner].lower()
    found = [record.value for record in message.answers if record.rtype == rtype and record.name.lower() == owner]
    return found, aliases
