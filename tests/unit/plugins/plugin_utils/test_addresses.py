# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.addresses import common_prefix, endpoint, scope


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("127.0.0.53", "loopback"),
        ("::1", "loopback"),
        ("::ffff:10.1.2.3", "private"),
        ("100.64.0.1", "private"),
        ("fd00::1", "private"),
        ("169.254.169.254", "link_local"),
        ("fe80::1%eth0", "link_local"),
        ("224.0.0.1", "multicast"),
        ("ff02::1", "multicast"),
        ("0.0.0.0", "any"),
        ("::", "any"),
        ("8.8.8.8", "global"),
        ("2001:4860:4860::8888", "global"),
        ("nonsense", None),
        ("", None),
    ],
)
def test_scope(address: str, expected: str | None) -> None:
    assert scope(address) == expected


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (["10.0.0.1", "10.0.0.254"], "10.0.0.0/24"),
        (["10.0.0.1", "10.0.0.1"], None),
        (["10.0.0.1", "11.0.0.1"], None),
        (["10.0.0.1", "2001:db8::1"], None),
        (["::ffff:10.0.0.1", "10.0.0.2"], "10.0.0.0/30"),
        (["2001:db8::1", "2001:db8::ff"], "2001:db8::/120"),
        ([], None),
        (["nonsense", "10.0.0.1"], None),
    ],
)
def test_common_prefix(texts: list[str], expected: str | None) -> None:
    assert common_prefix(texts) == expected


@given(st.lists(st.integers(0xC6336400, 0xC63364FF), min_size=2, unique=True))
def test_all_addresses_are_in_their_common_prefix(numbers: list[int]) -> None:
    texts = [str(ipaddress.IPv4Address(number)) for number in numbers]
    network = ipaddress.IPv4Network(str(common_prefix(texts)))
    assert all(ipaddress.IPv4Address(text) in network for text in texts)
    assert network.prefixlen == 32 or not all(
        ipaddress.IPv4Address(text) in next(iter(network.subnets())) for text in texts
    )


def test_endpoint() -> None:
    assert endpoint("10.0.0.1", 80) == "10.0.0.1:80"
    assert endpoint("2001:db8::1", 80) == "[2001:db8::1]:80"
    assert endpoint("::") == "[::]"
