# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who looks at whom, and by which address."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.pairs import MAX_TARGETS, Addresses, Pairs

GROUPS = {"web": ["web1", "web2"], "db": ["db1", "db2", "db3"]}
GROUPS["all"] = [*GROUPS["web"], *GROUPS["db"]]


def hosts(pattern: str) -> list[str]:
    """A small inventory's answer, with exclusions as Ansible has them."""
    found: list[str] = []
    for part in pattern.split(","):
        if part.startswith("!"):
            found = [name for name in found if name not in hosts(part[1:])]
        else:
            found += GROUPS.get(part, [part] if part in GROUPS["all"] else [])
    return found


def test_every_source_with_every_destination_but_itself() -> None:
    pairs = Pairs("web", "web1,db1", hosts)
    assert pairs.all() == [("web1", "db1"), ("web2", "web1"), ("web2", "db1")]
    assert pairs.to("web1") == ["web2"] and pairs.of("db1") == []
    assert pairs.possible == 3 and not pairs.outside


def test_what_no_host_matches_is_outside() -> None:
    pairs = Pairs("web1", "db1,db.example.com,2001:db8::7", hosts)
    assert pairs.destinations == ["db1", "db.example.com", "2001:db8::7"]
    assert pairs.outside == {"db.example.com", "2001:db8::7"}


def test_exclusions_are_the_inventorys() -> None:
    assert Pairs("web1", "all,!web", hosts).destinations == GROUPS["db"]


@pytest.mark.parametrize(
    ("sources", "destinations", "named"), [("nobody", "db", "nobody"), ("web", "db[", r"db\["), ("web", "*x", r"\*x")]
)
def test_a_pattern_without_hosts(sources: str, destinations: str, named: str) -> None:
    with pytest.raises(ValueError, match=f"'{named}' matches no host"):
        Pairs(sources, destinations, hosts)


def test_an_end_that_is_not_stated() -> None:
    with pytest.raises(ValueError, match=r"sources: '' is not accepted; give a pattern of hosts \(role triage"):
        Pairs("", "db", hosts)


def test_a_limit_below_zero() -> None:
    with pytest.raises(ValueError, match=r"limit: -1 is not accepted; give 0 or how many"):
        Pairs("web", "db", hosts, -1)


@given(st.integers(2, 150), st.integers(0, 80))
def test_a_limit_keeps_the_mesh_even(number: int, limit: int) -> None:
    """Each host looks at as many as it is looked at from, the same ones in every run."""
    names = [f"h{each}" for each in range(number)]
    pairs = Pairs("all", "all", lambda __: names, limit)
    found = pairs.all()
    each = min(limit or MAX_TARGETS, MAX_TARGETS, number - 1)
    assert set(Counter(source for source, __ in found).values()) == {each}
    assert set(Counter(destination for __, destination in found).values()) == {each}
    assert len(set(found)) == len(found) and all(source != destination for source, destination in found)
    assert Pairs("all", "all", lambda __: names, limit).all() == found


@pytest.mark.parametrize(
    ("own", "addresses"),
    [
        ({"reached_by": "10.0.0.1", "ansible_host": "bastion"}, ["10.0.0.1"]),
        ({"reached_by": ["10.0.0.1", "2001:db8::1"]}, ["10.0.0.1", "2001:db8::1"]),
        ({"reached_by": "", "ansible_host": "10.0.0.2"}, ["10.0.0.2"]),
        ({"ansible_facts": {"default_ipv4": {"address": "10.0.0.3"}}}, ["10.0.0.3"]),
        ({"ansible_facts": {"default_ipv4": {}, "default_ipv6": {"address": "2001:db8::3"}}}, ["2001:db8::3"]),
        ({}, ["db1"]),
    ],
)
def test_the_address_of_a_host(own: dict[str, Any], addresses: list[str]) -> None:
    assert Addresses({"db1": own}, "reached_by").of("db1") == addresses


def test_the_address_of_a_host_outside() -> None:
    assert Addresses({}, "reached_by").of("db.example.com") == ["db.example.com"]
    assert Addresses({}, "reached_by", "10.0.0.9").of("db.example.com") == ["10.0.0.9"]
