# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import base64
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.probe.tls_certificate import Damaged, parse

FIXTURES = os.path.join(os.path.dirname(__file__), "../../../fixtures/certificates")


def der(name: str) -> bytes:
    with open(os.path.join(FIXTURES, name + ".pem"), encoding="ascii") as file:
        return base64.b64decode("".join(line for line in file if not line.startswith("-")))


def test_an_rsa_certificate() -> None:
    found = parse(der("rsa"))
    assert found.subject == "C=DE, O=B\u00fccher & S\u00f6hne, OU=Web, CN=www.example.com"
    assert found.issuer == found.subject and found.self_issued
    assert found.names == ["www.example.com", "*.example.org", "192.0.2.1", "2001:db8::1"]
    assert (found.not_before, found.not_after) == (1577836800, 1609459199)  # 2020-01-01 to 2020-12-31T23:59:59
    assert found.serial == "1234" and found.key == "RSA 2048"


def test_an_elliptic_certificate_far_into_the_future() -> None:
    found = parse(der("ec"))
    assert found.subject == "CN=lab" and found.names == [] and found.key == "EC P-384"
    assert found.not_after == 4102444800  # 2100-01-01, a GeneralizedTime


@pytest.mark.parametrize("data", [b"", b"0", b"\x30\x80\0\0", b"\x30\x82\xff\xff", b"\x30\x03\x02\1\1", b"1\0"])
def test_no_certificate(data: bytes) -> None:
    with pytest.raises(Damaged):
        parse(data)


@given(st.data())
def test_damaged_certificates_are_parsed_or_damaged(data: st.DataObject) -> None:
    whole = bytearray(der(data.draw(st.sampled_from(["rsa", "ec"]))))
    for __ in range(data.draw(st.integers(0, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = parse(bytes(whole[: data.draw(st.integers(0, len(whole)))]))
    except Damaged:
        return
    assert all(text.isprintable() for text in (found.subject, found.issuer, *found.names))


@given(st.binary(max_size=200))
def test_anything_is_parsed_or_damaged(data: bytes) -> None:
    with pytest.raises(Damaged):
        parse(data)
