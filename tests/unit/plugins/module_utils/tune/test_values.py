# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sysctl
from ansible_collections.nettriage.linux.plugins.module_utils.tune import survey, values

PORTS = st.sets(st.integers(0, 65535), max_size=60)


@given(PORTS)
def test_a_list_of_ports_survives_its_text(ports: set[int]) -> None:
    text = values.ports_text(ports)
    assert values.ports_of(text) == ports
    assert values.ports_text(values.ports_of(text)) == text


@given(PORTS, PORTS, st.booleans())
def test_reserved_ports_only_grow(there: set[int], wanted: set[int], raise_only: bool) -> None:
    text = values.target(values.RESERVED_PORTS, values.ports_text(there), values.ports_text(wanted), raise_only)
    assert values.ports_of(text) == (set() if not wanted and not raise_only else there | wanted)


@given(st.lists(st.integers(-9, 10**9), min_size=1, max_size=4), st.lists(st.integers(-9, 10**9), max_size=4))
def test_raise_only_lowers_no_number(present: list[int], wanted: list[int]) -> None:
    shown, asked = "\t".join(map(str, present)), " ".join(map(str, wanted))
    text = values.target("net.x.y", shown, asked, True)
    if len(present) == len(wanted):
        assert [int(word) for word in text.split()] == [max(pair) for pair in zip(present, wanted)]
        assert values.same("net.x.y", values.target("net.x.y", text, asked, True), text)
    else:
        assert text == asked


@given(
    st.one_of(
        st.text(), st.integers(), st.floats(), st.booleans(), st.none(), st.lists(st.one_of(st.text(), st.integers()))
    )
)
def test_any_value_becomes_one_line_or_a_sentence(value: Any) -> None:
    for key in ("net.core.somaxconn", values.RESERVED_PORTS, "net.x.y", values.PORT_RANGE):
        try:
            text = values.text_of(key, value)
            values.check(key, text, "1")
            values.check(key, text, "a word")
        except ValueError as error:
            assert str(error)
            continue
        assert "\n" not in text and text == " ".join(text.split())


@given(st.text(), st.text())
def test_sameness_is_an_equivalence(left: str, right: str) -> None:
    for key in (values.RESERVED_PORTS, "net.core.somaxconn", "net.netfilter.nf_conntrack_buckets", "x.y"):
        assert values.same(key, left, left)
        assert values.same(key, left, right) == values.same(key, *reversed((left, right)))


@pytest.mark.parametrize(
    ("key", "one", "other", "expected"),
    [
        ("net.ipv4.tcp_rmem", "4096\t131072\t6291456\n", "4096 131072 6291456", True),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456", "4096 131072 6291457", False),
        ("net.core.somaxconn", "0128", "128", True),
        ("net.netfilter.nf_conntrack_buckets", "262656\n", "262145", True),
        ("net.netfilter.nf_conntrack_buckets", "262656\n", "262657", False),
        (values.RESERVED_PORTS, "8080-8082\n", "8082,8080,8081", True),
        (values.RESERVED_PORTS, "\n", "", True),
        (values.RESERVED_PORTS, "x", "8080", False),
        (values.CONGESTION_CONTROL, "cubic\n", "cubic", True),
        (values.CONGESTION_CONTROL, "cubic", "bbr", False),
    ],
)
def test_when_two_values_are_the_same(key: str, one: str, other: str, expected: bool) -> None:
    assert values.same(key, one, other) is expected


def test_every_rule_accepts_its_own_limits_and_nothing_beyond() -> None:
    for key, rule in values.RULES.items():
        key = key.replace("*", "eth0/7")
        assert values.rule_of(key) == rule
        current = " ".join(["1"] * rule.length)
        low = [rule.least] * rule.length
        high = [rule.most] * rule.length
        if key == values.PORT_RANGE:
            low[1], high[0] = rule.most, rule.least
        values.check(key, " ".join(map(str, low)), current)
        values.check(key, " ".join(map(str, high)), current)
        for wrong in ([*low[:-1], rule.most + 1], [rule.least - 1, *high[1:]]):
            with pytest.raises(ValueError, match="out of range"):
                values.check(key, " ".join(map(str, wrong)), current)
        assert sysctl.canonical(key) == key


def test_unknown_keys_keep_the_form_that_they_have() -> None:
    values.check("net.x.y", "-7", "3")
    values.check("net.x.y", "a", "b c")
    for text in ("", "a", "1 2", "0x10", "1.5", "\u0661"):
        with pytest.raises(ValueError, match="another form"):
            values.check("net.x.y", text, "3")


def test_every_conntrack_timeout_has_a_rule() -> None:
    assert values.rule_of("net.netfilter.nf_conntrack_tcp_timeout_established") == values.Rule(1, 2147483)
    assert values.rule_of("net.netfilter.nf_conntrack_log_invalid") is None


@pytest.mark.parametrize(
    ("value", "text"),
    [(5, "5"), ("  a\tb ", "a b"), ([1, 2, "3"], "1 2 3"), ((4, 5), "4 5"), ("", ""), ([], "")],
)
def test_forms_of_a_value(value: Any, text: str) -> None:
    assert values.text_of("net.x.y", value) == text


def test_lists_of_ports_are_joined_by_commas() -> None:
    assert values.text_of(values.RESERVED_PORTS, [80, "90-95"]) == "80,90-95"


@pytest.mark.parametrize("value", [True, False, None, 1.5, {}, [True], [None], [[1]], "a\nb", "a\0b", "\x7f"])
def test_what_is_no_value(value: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        values.text_of("net.x.y", value)


@pytest.mark.parametrize(
    ("name", "key", "path"),
    [
        ("net.ipv4.tcp_rmem", "net.ipv4.tcp_rmem", "net/ipv4/tcp_rmem"),
        ("net/ipv4/tcp_rmem", "net.ipv4.tcp_rmem", "net/ipv4/tcp_rmem"),
        (
            "net.ipv6.neigh.eth0.1.2.gc_stale_time",
            "net.ipv6.neigh.eth0/1/2.gc_stale_time",
            "net/ipv6/neigh/eth0.1.2/gc_stale_time",
        ),
        ("net.ipv4.conf.a/b.rp_filter", "net.ipv4.conf.a/b.rp_filter", "net/ipv4/conf/a.b/rp_filter"),
        ("net/ipv4/conf/a.b/rp_filter", "net.ipv4.conf.a/b.rp_filter", "net/ipv4/conf/a.b/rp_filter"),
    ],
)
def test_names_in_both_forms(name: str, key: str, path: str) -> None:
    assert survey.resolved(name) == (key, path)
    assert survey.resolved(key) == (key, path)
    assert survey.resolved(path) == (key, path)
