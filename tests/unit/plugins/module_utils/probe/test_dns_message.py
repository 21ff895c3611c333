# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe.dns_message import (
    Damaged,
    canonical,
    decode,
    encode_name,
    query,
    values,
)

NAME = b"\x03www\x07example\x00"


def answer(*records: bytes, flags: int = 0x8180, question: bytes = NAME + b"\0\1\0\1") -> bytes:
    return struct.pack("!6H", 7, flags, 1, len(records), 0, 0) + question + b"".join(records)


def record(name: bytes, rtype: int, data: bytes, ttl: int = 60) -> bytes:
    return name + struct.pack("!HHIH", rtype, 1, ttl, len(data)) + data


def test_a_query_as_rfc_1035_draws_it() -> None:
    assert query(0x1234, "www.example", "AAAA") == b"\x12\x34\x01\0\0\1\0\0\0\0\0\0" + NAME + b"\0\x1c\0\1"


def test_edns_and_the_authentic_bit_are_offered() -> None:
    message = query(1, "www.example.", "A", edns_bytes=1200, trust_ad=True)
    assert message[2:4] == b"\x01\x20" and message[10:12] == b"\0\1"
    assert message.endswith(b"\0\0\x29\x04\xb0\0\0\0\0\0\0")


def test_an_answer_with_an_alias_and_compression() -> None:
    message = decode(
        answer(
            record(b"\xc0\x0c", 5, b"\x03Web\xc0\x10"),
            record(b"\x03web\xc0\x10", 1, b"\xc0\0\x02\x01", ttl=9),
            record(b"\x05other\xc0\x10", 1, b"\xc0\0\x02\x02"),
        )
    )
    assert (message.identity, message.rcode, message.truncated) == (7, "noerror", False)
    assert message.question == ("www.example", "A")
    assert values(message, "WWW.example.", "A") == (["192.0.2.1"], ["Web.example"])
    assert values(message, "www.example", "AAAA") == ([], ["Web.example"])


def test_aliases_in_a_circle_end() -> None:
    message = decode(answer(record(b"\xc0\x0c", 5, b"\xc0\x0c")))
    assert values(message, "www.example", "A")[0] == []


@pytest.mark.parametrize(
    ("code", "name"), [(0, "noerror"), (2, "servfail"), (3, "nxdomain"), (5, "refused"), (12, "rcode12")]
)
def test_codes_have_names(code: int, name: str) -> None:
    assert decode(answer(flags=0x8180 | code)).rcode == name


def test_edns_extends_the_code() -> None:
    data = bytearray(answer() + b"\0" + struct.pack("!HHIH", 41, 1232, 1 << 24, 0))
    data[11] = 1
    assert decode(bytes(data)).rcode == "rcode16"


@pytest.mark.parametrize(
    "name",
    [
        b"\xc0\x0c",  # to itself
        b"\xc0\x0e",  # forward
        b"\x01a\xc0\x0c",  # back to its own beginning
        b"\x80",
        b"\x40" + b"a" * 64,
        b"\x3f" + b"a" * 63 + b"\x3f" + b"b" * 63 + b"\x3f" + b"c" * 63 + b"\x3f" + b"d" * 63 + b"\0",
        b"\x05ab",
    ],
)
def test_names_that_never_end_or_are_too_long(name: bytes) -> None:
    with pytest.raises(Damaged):
        decode(struct.pack("!6H", 7, 0x8180, 1, 0, 0, 0) + name + b"\0\1\0\1")


def test_a_hostile_name_is_harmless_text() -> None:
    message = decode(answer(record(b"\xc0\x0c", 5, b'\x07a\n."\\\xff\x1b\x00')))
    assert values(message, "www.example", "A")[1] == ["a\\010\\046\\034\\092\\255\\027"]


def test_what_was_announced_to_be_cut_may_be() -> None:
    whole = answer(record(b"\xc0\x0c", 1, b"\xc0\0\x02\x01"), record(b"\xc0\x0c", 1, b"\xc0\0\x02\x02"), flags=0x8380)
    message = decode(whole[:-7])
    assert message.truncated and [each.value for each in message.answers] == ["192.0.2.1"]
    with pytest.raises(Damaged):
        decode(whole[:2] + b"\x81\x80" + whole[4:-7])


@pytest.mark.parametrize("data", [b"abc", b"abcde" * 4])
def test_addresses_have_their_length(data: bytes) -> None:
    with pytest.raises(Damaged):
        decode(answer(record(b"\xc0\x0c", 1, data)))


@pytest.mark.parametrize("text", ["a..b", ".a", "a" * 64, ".".join(["abcdefgh"] * 30)])
def test_names_that_cannot_be_asked_for(text: str) -> None:
    with pytest.raises(ValueError, match="bytes"):
        encode_name(text)


@pytest.mark.parametrize(
    ("text", "wire"),
    [
        (".", b"\0"),
        ("a.", b"\1a\0"),
        ("a\\.b.c", b"\3a.b\1c\0"),
        ("\\065", b"\1A\0"),
        ("bücher.example", b"\x0dxn--bcher-kva\7example\0"),
    ],
)
def test_names_in_wire_form(text: str, wire: bytes) -> None:
    assert encode_name(text) == wire


@given(st.binary(max_size=300))
def test_anything_is_decoded_or_damaged(data: bytes) -> None:
    try:
        message = decode(data)
    except Damaged:
        return
    for each in message.answers:
        assert each.name.isascii() and each.name.isprintable()


@given(st.data())
def test_flipped_and_cut_answers_are_decoded_or_damaged(data: st.DataObject) -> None:
    whole = bytearray(
        answer(record(b"\xc0\x0c", 5, b"\x03web\xc0\x10"), record(b"\x03web\xc0\x10", 1, b"\xc0\0\x02\x01"))
    )
    for __ in range(data.draw(st.integers(0, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        values(decode(bytes(whole[: data.draw(st.integers(0, len(whole)))])), "www.example", "A")
    except Damaged:
        return


@given(st.lists(st.binary(min_size=1, max_size=20), min_size=1, max_size=8))
def test_every_name_survives_being_shown(labels: list[bytes]) -> None:
    wire = b"".join(bytes((len(label),)) + label for label in labels) + b"\0"
    message = decode(struct.pack("!6H", 7, 0x8180, 1, 0, 0, 0) + wire + b"\0\1\0\1")
    assert message.question is not None
    assert encode_name(message.question[0]).lower() == wire.lower()
    assert canonical(message.question[0]) == message.question[0]
