# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The formats of trace events as several kernels have them, and damaged."""

from __future__ import annotations

import pathlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.trace_format import (
    Field,
    parse_format,
    parse_page_format,
)

FIXTURES = pathlib.Path(__file__).parents[3] / "fixtures"
# What an ARM board has: pointers of four bytes.
_WORD_OF_32_BITS = """name: kfree_skb
ID: 777
format:
\tfield:unsigned short common_type;\toffset:0;\tsize:2;\tsigned:0;
\tfield:void * skbaddr;\toffset:8;\tsize:4;\tsigned:0;
\tfield:void * location;\toffset:12;\tsize:4;\tsigned:0;
\tfield:unsigned short protocol;\toffset:16;\tsize:2;\tsigned:0;
\tfield:enum skb_drop_reason reason;\toffset:20;\tsize:4;\tsigned:0;

print fmt: "reason: %s", __print_symbolic(REC->reason, { 0x2, "NOT_SPECIFIED" }, { 3U, "NO_SOCKET" })
"""


def read(kernel: str, event: str) -> str:
    return (FIXTURES / kernel / "tracing" / "events" / event / "format").read_text()


@pytest.mark.parametrize(
    ("kernel", "number", "names"),
    [
        ("5.10", 1327, {}),
        ("5.17", 1449, {0: "NOT_SPECIFIED", 1: "NO_SOCKET", 3: "TCP_CSUM"}),
        ("6.1", 1524, {1: "NOT_SPECIFIED", 7: "NETFILTER_DROP", 11: "IP_RPFILTER"}),
        ("6.18", 2310, {2: "NOT_SPECIFIED", 12: "NETFILTER_DROP", 16: "IP_RPFILTER", 127: "RECURSION_LIMIT"}),
    ],
)
def test_reasons_of_several_kernels(kernel: str, number: int, names: dict[int, str]) -> None:
    form = parse_format(read(kernel, "skb/kfree_skb"))
    assert form.id == number
    assert form.fields["location"] == Field(16, 8, False, False)
    assert form.fields["common_pid"] == Field(4, 4, True, False)
    assert ("reason" in form.fields) is bool(names)
    assert names.items() <= form.symbols.get("reason", {}).items()


def test_fields_are_picked_where_this_kernel_has_them() -> None:
    record = bytes(16) + (0x1234).to_bytes(8, "little")
    before = parse_format(read("6.1", "skb/kfree_skb"))
    after = parse_format(read("6.18", "skb/kfree_skb"))
    assert (before.fields["protocol"].offset, after.fields["protocol"].offset) == (24, 32)
    names = ("protocol", "location")
    assert before.ordered(names) == after.ordered(names) == ["location", "protocol"]
    assert before.picker(names).size == 26 and after.picker(names).size == 34
    assert before.picker(names).unpack_from(record + b"\x00\x08") == (0x1234, 0x0800)
    assert after.picker(names).unpack_from(record + bytes(8) + b"\xdd\x86") == (0x1234, 0x86DD)


def test_arrays_are_bytes_and_negative_numbers_are() -> None:
    form = parse_format(read("6.18", "tcp/tcp_retransmit_skb"))
    assert form.fields["saddr_v6"] == Field(42, 16, False, True)
    picked = form.picker(["state", "daddr"]).unpack_from(
        bytes(24) + b"\xff\xff\xff\xff" + bytes(10) + b"\x0a\x01\x02\x03"
    )
    assert picked == (-1, b"\x0a\x01\x02\x03")


def test_names_without_a_number_are_left_out() -> None:
    """The kernel leaves names of enumerations where nothing exports their numbers."""
    assert parse_format(read("6.18", "tcp/tcp_retransmit_skb")).symbols["state"] == {}
    reset = parse_format(read("6.18", "tcp/tcp_send_reset"))
    assert reset.symbols["reason"][1] == "NO_SOCKET" and reset.symbols["state"] == {}


def test_pointers_of_32_bits() -> None:
    form = parse_format(_WORD_OF_32_BITS)
    assert form.picker(["location", "reason"]).unpack(bytes(12) + b"\x01\0\0\0" + bytes(4) + b"\x03\0\0\0") == (1, 3)
    assert form.symbols["reason"] == {2: "NOT_SPECIFIED", 3: "NO_SOCKET"}


def test_a_field_that_is_missing_is_named() -> None:
    with pytest.raises(Unavailable, match="1327 has no field reason on this kernel"):
        parse_format(read("5.10", "skb/kfree_skb")).picker(["location", "reason"])


def test_fields_that_overlap_are_not_read() -> None:
    text = "ID: 1\n\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n\tfield:int b;\toffset:10;\tsize:4;\tsigned:1;\n"
    with pytest.raises(Malformed, match="overlapping"):
        parse_format(text).picker(["a", "b"])


@pytest.mark.parametrize("text", ["", "ID: 5\n", "name: x\n\tfield:int a;\toffset:8;\tsize:4;\tsigned:1;\n", "ID: x"])
def test_what_is_no_format(text: str) -> None:
    with pytest.raises(Malformed):
        parse_format(text)


def test_pages() -> None:
    text = (FIXTURES / "6.18" / "tracing" / "events" / "header_page").read_text()
    form = parse_page_format(text)
    assert (form.size, form.data, form.commit) == (4096, 16, Field(8, 8, True, False))
    large = parse_page_format(text.replace("size:4080", "size:65520"))
    assert large.size == 65536


@pytest.mark.parametrize(
    ("old", "new"), [("commit", "other"), ("data;", "rest;"), ("offset:16", "offset:9"), ("size:4080", "size:999999")]
)
def test_what_is_no_page(old: str, new: str) -> None:
    text = (FIXTURES / "6.18" / "tracing" / "events" / "header_page").read_text()
    with pytest.raises(Malformed):
        parse_page_format(text.replace(old, new))


@given(st.sampled_from(["5.10", "6.1", "6.18"]), st.data())
def test_damaged_formats_are_refused_or_read(kernel: str, data: st.DataObject) -> None:
    text = read(kernel, "skb/kfree_skb")
    first = data.draw(st.integers(0, len(text)))
    last = data.draw(st.integers(first, len(text)))
    try:
        form = parse_format(text[:first] + data.draw(st.text(max_size=9)) + text[last:])
        form.picker(["location", "protocol"])
    except Malformed:
        pass
