# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What stands in a certificate. Private to this collection.

The standard library takes only certificates apart that it has verified, and the others are the interesting ones.
Sources: RFC 5280 section 4.1, X.690 (DER).
"""

from __future__ import annotations

import calendar
import socket
from typing import Iterator, NamedTuple

_SEQUENCE, _SET, _INTEGER, _OID, _BIT_STRING, _OCTETS = 0x30, 0x31, 2, 6, 3, 4
_UTC_TIME, _GENERALIZED_TIME = 23, 24
_VERSION, _EXTENSIONS = 0xA0, 0xA3
_DNS_NAME, _IP_ADDRESS = 0x82, 0x87
_ENCODINGS = {12: "utf-8", 20: "latin-1", 28: "utf-32-be", 30: "utf-16-be"}
_ALT_NAMES = b"\x55\x1d\x11"
_ATTRIBUTES = {
    b"\x55\x04\x03": "CN",
    b"\x55\x04\x05": "serialNumber",
    b"\x55\x04\x06": "C",
    b"\x55\x04\x07": "L",
    b"\x55\x04\x08": "ST",
    b"\x55\x04\x0a": "O",
    b"\x55\x04\x0b": "OU",
    b"\x09\x92\x26\x89\x93\xf2\x2c\x64\x01\x19": "DC",
    b"\x2a\x86\x48\x86\xf7\x0d\x01\x09\x01": "emailAddress",
}
_RSA = b"\x2a\x86\x48\x86\xf7\x0d\x01\x01\x01"
_ELLIPTIC = b"\x2a\x86\x48\xce\x3d\x02\x01"
_KEYS = {
    b"\x2a\x86\x48\xce\x3d\x03\x01\x07": "EC P-256",
    b"\x2b\x81\x04\x00\x22": "EC P-384",
    b"\x2b\x81\x04\x00\x23": "EC P-521",
    b"\x2b\x65\x70": "Ed25519",
    b"\x2b\x65\x71": "Ed448",
}


class Damaged(ValueError):
    """No certificate."""


class Certificate(NamedTuple):
    """:ivar names: the alternative names, DNS names and addresses.
    :ivar not_before: seconds since 1970, as is *not_after*.
    :ivar key: kind and size, ``None`` for kinds that are not known here.
    """

    subject: str
    issuer: str
    names: list[str]
    not_before: int
    not_after: int
    serial: str
    self_issued: bool
    key: str | None


class _Element(NamedTuple):
    tag: int
    content: bytes


def parse(der: bytes) -> Certificate:
    """:raises Damaged: *der* is no certificate."""
    try:
        return _parse(der)
    except (IndexError, ValueError, StopIteration, OverflowError) as error:
        raise Damaged(f"no certificate: {error}") from error


def _parse(der: bytes) -> Certificate:
    (outer, *__) = _elements(der)
    (inner, *__) = _elements(_content(outer, _SEQUENCE))
    parts = _elements(_content(inner, _SEQUENCE))
    serial = next(parts)
    if serial.tag == _VERSION:
        serial = next(parts)
    next(parts)  # the signature's algorithm
    issuer, validity, subject, key = next(parts), next(parts), next(parts), next(parts)
    begin, end = _elements(_content(validity, _SEQUENCE))
    extensions = [part for part in parts if part.tag == _EXTENSIONS]
    return Certificate(
        _distinguished(subject),
        _distinguished(issuer),
        _alternative(extensions[0].content) if extensions else [],
        _time(begin),
        _time(end),
        _content(serial, _INTEGER).hex(),
        subject.content == issuer.content,
        _key(key),
    )


def _elements(data: bytes) -> Iterator[_Element]:
    at = 0
    while at < len(data):
        tag, size = data[at], data[at + 1]
        at += 2
        if size > 0x80:
            octets = size & 0x7F
            size = int.from_bytes(data[at : at + octets], "big")
            at += octets
        elif size == 0x80:
            raise Damaged("a length that is not definite")
        if at + size > len(data):
            raise Damaged("an element is longer than what holds it")
        yield _Element(tag, data[at : at + size])
        at += size


def _content(element: _Element, tag: int) -> bytes:
    if element.tag != tag:
        raise Damaged(f"an element of kind {element.tag} where {tag} belongs")
    return element.content


def _distinguished(name: _Element) -> str:
    """``C=US, O=Example, CN=www.example.com``, in the certificate's order."""
    parts = []
    for group in _elements(_content(name, _SEQUENCE)):
        for pair in _elements(_content(group, _SET)):
            kind, value = _elements(_content(pair, _SEQUENCE))
            word = _ATTRIBUTES.get(_content(kind, _OID))
            if word:
                parts.append(
                    f"{word}={_printable(value.content.decode(_ENCODINGS.get(value.tag, 'ascii'), 'replace'))}"
                )
    return ", ".join(parts)


def _printable(text: str) -> str:
    return "".join(character if character.isprintable() else "\ufffd" for character in text)


def _time(element: _Element) -> int:
    text = element.content.decode("ascii", "replace")
    if element.tag == _UTC_TIME:
        text = ("19" if text[:2] >= "50" else "20") + text
    elif element.tag != _GENERALIZED_TIME:
        raise Damaged("a time of an unknown kind")
    if not text[:14].isdigit() or len(text) < 14:
        raise Damaged("a time that is none")
    fields = [int(text[at : at + 2]) for at in range(4, 14, 2)]
    return calendar.timegm((int(text[:4]), *fields, 0, 0, 0))


def _alternative(content: bytes) -> list[str]:
    names = []
    (extensions, *__) = _elements(content)
    for extension in _elements(_content(extensions, _SEQUENCE)):
        kind, *rest = _elements(_content(extension, _SEQUENCE))
        if kind.content != _ALT_NAMES:
            continue
        (listed, *__) = _elements(_content(rest[-1], _OCTETS))
        for name in _elements(_content(listed, _SEQUENCE)):
            if name.tag == _DNS_NAME:
                names.append(_printable(name.content.decode("ascii", "replace")))
            elif name.tag == _IP_ADDRESS and len(name.content) in (4, 16):
                family = socket.AF_INET if len(name.content) == 4 else socket.AF_INET6
                names.append(socket.inet_ntop(family, name.content))
    return names


def _key(element: _Element) -> str | None:
    algorithm, bits = _elements(_content(element, _SEQUENCE))
    kind, *parameters = _elements(_content(algorithm, _SEQUENCE))
    if kind.content == _RSA:
        (numbers, *__) = _elements(_content(bits, _BIT_STRING)[1:])
        (modulus, *__) = _elements(_content(numbers, _SEQUENCE))
        return f"RSA {int.from_bytes(modulus.content, 'big').bit_length()}"
    if kind.content == _ELLIPTIC:
        return _KEYS.get(parameters[0].content) if parameters else None
    return _KEYS.get(kind.content)
