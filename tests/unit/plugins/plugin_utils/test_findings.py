# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""From facts to findings: forms of facts, order, limits, rules of the user, errors."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils import catalogue
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import (
    Catalogue,
    RuleError,
    evaluate,
    inside,
    judge,
)

FACTS: dict[str, Any] = {
    "meta": {"uptime_s": 9000, "netns": None},
    "sysctl": {"values": {"net.ipv4.tcp_timestamps": 0, "net.ipv4.tcp_tw_recycle": 1}},
    "nic": {"interfaces": [{"name": "eth0", "duplex": "half", "carrier": True, "virtual": False}]},
    "resolver": {"nameservers_ignored": ["192.0.2.4"]},
    "routes": {"neighbours": {"ipv4": {"usage": 0.9}}},
}
RULE: dict[str, Any] = {
    "id": "site.up",
    "layer": 4,
    "severity": "info",
    "when": "facts.meta.uptime_s > `1`",
    "title": "t",
}


def _ids(findings: list[dict[str, Any]]) -> list[str]:
    return [finding["id"] for finding in findings]


def test_worst_first_then_bottom_up() -> None:
    assert _ids(evaluate(FACTS)) == [
        "sysctl.tcp_tw_recycle",
        "nic.half_duplex",
        "ip.neighbours_full",
        "dns.ignored_nameserver",
        "sysctl.timestamps_off",
    ]


def test_structure_string_and_bytes_say_the_same() -> None:
    assert evaluate(FACTS) == evaluate(json.dumps(FACTS))


def test_values_that_templates_make_are_taken() -> None:
    """Since ansible-core 2.19 facts come as containers and texts of types of their own."""

    class Text(str):
        __slots__ = ()

    class Lazy(dict[str, Any]):
        def items(self) -> Any:
            return [(key, Text(value) if isinstance(value, str) else value) for key, value in super().items()]

    interface = Lazy(FACTS["nic"]["interfaces"][0])
    assert _ids(evaluate({"nic": Lazy(interfaces=[interface])})) == ["nic.half_duplex"]


@pytest.mark.parametrize("subset", [None, {"available": False, "why": "no such file"}, [], "text", 5])
def test_what_is_unavailable_is_no_finding(subset: Any) -> None:
    facts = {
        **dict.fromkeys(("sockets", "tcp", "nic", "conntrack", "sysctl", "routes", "resolver"), subset),
        "meta": {},
    }
    assert evaluate(facts) == []


@pytest.mark.parametrize("facts", ["", "no json", "[]", "5", [], {}, {"nic": 5}, {1, 2}, None])
def test_what_is_no_facts_is_refused(facts: Any) -> None:
    with pytest.raises(ValueError, match="facts are n"):
        evaluate(facts)


@pytest.mark.parametrize(
    ("netns", "begins"),
    [
        (None, "sysctl"),
        ("blue", "ip netns exec blue sysctl"),
        ("pid:4711", "nsenter --net --target 4711 sysctl"),
        ("/run/x y/ns", "nsenter --net='/run/x y/ns' sysctl"),
        (7, "sysctl"),
    ],
)
def test_the_command_leads_into_the_namespace(netns: Any, begins: str) -> None:
    (finding,) = evaluate({"meta": {"netns": netns}, "sysctl": {"values": {"net.ipv4.tcp_timestamps": 0}}})
    assert finding["command"].startswith(begins)


def test_a_hostile_name_stays_on_its_line() -> None:
    process = {"pid": 1, "command": "evil\n\x1b[31m{item}\u202e", "states": {"close_wait": 90}}
    (finding,) = evaluate({"sockets": {"tcp": {"processes": [process]}}})
    for text in (finding["subject"], finding["title"], *finding["advice"]):
        assert text.isprintable() and "{item}" in finding["subject"]


def test_a_command_to_paste_runs_nothing_that_a_name_holds() -> None:
    interface = {"name": "$(reboot)", "admin_up": True, "carrier": False, "kind": "physical", "virtual": False}
    (found,) = evaluate({"nic": {"available": True, "interfaces": [interface]}})
    assert found["command"] == "ip -s link show dev '$(reboot)'"


def test_limits_are_replaced() -> None:
    assert "ip.neighbours_full" not in _ids(evaluate(FACTS, {"neighbour_table_usage_warning": 0.95}))


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"nope": 1}, "'nope' is not a limit; accepted are"),
        ({"wan_rtt_ms": "20"}, "wan_rtt_ms: '20' is not accepted; give a number"),
        ({"wan_rtt_ms": True}, "wan_rtt_ms: True"),
        ({"wan_rtt_ms": -1}, "not negative"),
        ({"wan_rtt_ms": None}, "wan_rtt_ms: None"),
        ([1], "give a mapping"),
    ],
)
def test_a_wrong_limit_is_one_sentence(limits: Any, says: str) -> None:
    with pytest.raises(RuleError) as raised:
        evaluate(FACTS, limits)
    assert says in str(raised.value) and str(raised.value).startswith("limits:") and "\n" not in str(raised.value)


def test_a_rule_of_the_user_is_added_replaces_and_switches_off() -> None:
    own = {
        "id": "site.long_up",
        "layer": 7,
        "when": {"critical": "facts.meta.uptime_s > limits.settle_s", "info": "facts.meta.uptime_s > `1`"},
        "title": [{"when": "evidence.seconds > `5`", "text": r"up {evidence.seconds|s} \{really\}"}, "short"],
        "evidence": {"seconds": "facts.meta.uptime_s", "absent": "facts.meta.none"},
        "remedies": ["buffers", {"when": "item", "text": "tw_reuse"}],
        "refused": [{"remedy": "keepalive", "why": "no", "when": "facts.meta"}],
    }
    replaced = {**RULE, "id": "nic.half_duplex", "when": "facts.nope"}
    found = evaluate(FACTS, rules=[own, replaced, {"id": "sysctl.tcp_tw_recycle", "enabled": False}])
    assert _ids(found)[0] == "site.long_up"
    assert "nic.half_duplex" not in _ids(found) and "sysctl.tcp_tw_recycle" not in _ids(found)
    assert found[0] == {
        "id": "site.long_up",
        "severity": "critical",
        "layer": "7",
        "subject": "host",
        "title": "up 9000 s {really}",
        "evidence": {"seconds": 9000},
        "cause": "",
        "advice": [],
        "remedies": ["buffers"],
        "refused": [{"remedy": "keepalive", "why": "no"}],
        "command": "",
    }


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"when": "facts.meta.uptime_s >"}, "when: 'facts.meta.uptime_s >' ends too early, at column 22"),
        ({"when": "facts.meta ) x"}, "when: unexpected ')' at column 12"),
        ({"when": 5}, "when: 5 is not accepted; give a JMESPath expression"),
        ({"when": None}, "when: a rule needs"),
        (
            {"when": {"bad": "facts.meta"}, "severity": None},
            "when: 'bad' is not accepted; give one of critical, warning, info",
        ),
        ({"when": {"info": "facts.meta"}}, "severity: when already names its severities"),
        ({"severity": "fatal"}, "severity: 'fatal' is not accepted"),
        ({"layer": 9}, "layer: '9' is not accepted; give one of 1/2, 3, 4, 7"),
        ({"for_each": "facts.nic[", "item": 1}, "item: there is no such field; accepted are id, layer"),
        ({"for_each": "facts.nic["}, "for_each: 'facts.nic[' ends too early"),
        ({"title": None}, "title: a rule needs one"),
        ({"title": "{facts.meta|percentage}"}, "title: format 'percentage'"),
        ({"title": "{facts.meta"}, "title: lonely '{' at column 1"),
        ({"title": "{fact.meta}"}, "title: name 'fact' at column 1"),
        ({"subject": 7}, "subject: 7 is not accepted; give a text"),
        ({"advice": "text"}, "advice: 'text' is not accepted; give a list"),
        ({"advice": [{"text": "a", "if": "b"}]}, "advice: {'text': 'a', 'if': 'b'} is not accepted"),
        ({"advice": [{"text": "a", "when": "fact"}]}, "advice.when: name 'fact'"),
        ({"evidence": ["a"]}, "evidence: give a mapping"),
        ({"evidence": {"x": "limits.nope"}}, "evidence.x: limit 'nope'"),
        ({"remedies": ["reboot"]}, "remedies: 'reboot' is not accepted; give one of tw_reuse"),
        ({"refused": ["buffers"]}, "refused: 'buffers' is not accepted; give remedy, why"),
        ({"refs": "x"}, "refs: give a list"),
        ({"enabled": "no"}, "enabled: 'no' is not accepted; give true or false"),
    ],
)
def test_a_wrong_rule_names_its_id_the_field_and_the_place(change: dict[str, Any], says: str) -> None:
    with pytest.raises(RuleError) as raised:
        evaluate(FACTS, rules=[{**RULE, **change}])
    assert f"rule site.up: {says}" in str(raised.value) and "\n" not in str(raised.value)


@pytest.mark.parametrize("rules", [[5], [{}], [{"id": ""}], {"id": "x"}, "x"])
def test_what_is_no_rule_is_refused(rules: Any) -> None:
    with pytest.raises(RuleError, match=r"^rules: "):
        Catalogue(rules=rules)


def test_a_rule_that_cannot_be_evaluated_is_named() -> None:
    with pytest.raises(RuleError, match=r"^rule site.up: cannot be evaluated on these facts: abs\(\) takes number"):
        evaluate(FACTS, rules=[{**RULE, "when": "abs(facts.meta)"}])


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield path
    if isinstance(value, dict):
        for key, each in value.items():
            yield from _paths(each, (*path, key))
    elif isinstance(value, list):
        for number, each in enumerate(value):
            yield from _paths(each, (*path, number))


def _replaced(value: Any, path: tuple[Any, ...], damage: Any) -> Any:
    if not path:
        return damage
    copy = value.copy()
    copy[path[0]] = _replaced(value[path[0]], path[1:], damage)
    return copy


_DAMAGE = st.sampled_from([None, True, 0, -1, 1e308, "", "text", [], [None], {}, {"a": 1}, [[1]]])


@given(st.data(), _DAMAGE)
def test_damaged_facts_end_in_findings_or_one_sentence(rich_facts: dict[str, Any], data: Any, damage: Any) -> None:
    path = data.draw(st.sampled_from([path for path in _paths(rich_facts) if path]))
    try:
        found = judge(_replaced(rich_facts, path, damage), _CATALOGUE)
    except RuleError as error:
        assert str(error).startswith("rule ") and "\n" not in str(error)
    else:
        assert all(finding["severity"] in ("critical", "warning", "info") for finding in found)


_CATALOGUE = Catalogue()


@pytest.fixture(scope="module")
def rich_facts() -> dict[str, Any]:
    from ansible_collections.nettriage.linux.tests.bench.findings import busy_host

    return busy_host(rows=2)


def test_each_limit_is_a_number() -> None:
    assert all(isinstance(value, (int, float)) for value in catalogue.built_in_limits().values())


def test_a_command_is_one_line_wherever_it_is_to_be_run() -> None:
    assert inside({"meta": {"netns": "a\n\x1b[31mb;id"}}, "ss -tn") == "ip netns exec 'a \\x1b[31mb;id' ss -tn"
