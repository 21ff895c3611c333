# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
from typing import Any

import pytest

from ansible_collections.nettriage.linux.plugins.plugin_utils.audit import Judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import RuleError
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Host, Unusable, facts_of, join, verdict_of

FACTS = {"meta": {"schema": 1}, "sysctl": {"available": True}}


def finding(name: str, severity: str, **more: Any) -> dict[str, Any]:
    return {"id": name, "severity": severity, "layer": "4", "title": name, "cause": "x", "advice": [], **more}


def result(facts: Any) -> dict[str, Any]:
    return {"ansible_facts": {"nettriage": facts}}


def test_facts_are_taken_as_string_or_structure() -> None:
    text = json.dumps(FACTS)
    assert facts_of(result(text)) == (FACTS, text)
    assert facts_of(result(FACTS))[0] == FACTS
    assert json.loads(facts_of(result(FACTS))[1]) == FACTS


def test_what_only_python_calls_json_does_not_get_into_the_report() -> None:
    """NaN and Infinity would make a report that no other program can read."""
    __, text = facts_of(result('{"meta": {"a": NaN, "b": [-Infinity]}}'))
    assert json.loads(text, parse_constant=pytest.fail) == {"meta": {"a": None, "b": [None]}}


@pytest.mark.parametrize(
    "facts", ["", "{", "[]", "null", '"x"', "7", "{}", '{"meta": 1}', '{"meta": {}', "[" * 100000, [], 7, {"x": 1}]
)
def test_damaged_facts_are_unusable_and_say_why(facts: Any) -> None:
    with pytest.raises(Unusable) as error:
        facts_of(result(facts))
    assert str(error.value) and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("registered", "reason"),
    [
        (
            {
                "unreachable": True,
                "msg": "Task failed: Failed to connect to the host via ssh: ssh: connect to host h: No",
            },
            "connect to host h: No",
        ),
        ({"unreachable": True, "msg": ""}, "no reason was given"),
        ({"failed": True, "msg": "interval: 900 is not accepted"}, "the module failed: interval: 900 is not accepted"),
        (
            {"msg": "MODULE FAILURE\nSee", "module_stderr": "/bin/sh: 1: python3: not found\n\n", "module_stdout": ""},
            "the module failed: /bin/sh: 1: python3: not found",
        ),
        (
            {"msg": "x", "module_stdout": "Traceback (most recent call last):\r\n  File\r\nOSError: \x1b[1mboom\r\n"},
            "the module failed: OSError: \\x1b[1mboom",
        ),
        ({"msg": "x", "module_stderr": "pyenv: no such\nThe command exists in\n"}, "the module failed: pyenv: no such"),
        ({}, "the module failed: no reason was given"),
    ],
)
def test_the_reason_is_one_sentence(registered: dict[str, Any], reason: str) -> None:
    with pytest.raises(Unusable) as error:
        facts_of(registered)
    assert str(error.value) == reason


def test_a_host_that_became_unreachable_has_no_facts_of_before() -> None:
    with pytest.raises(Unusable):
        facts_of({**result(json.dumps(FACTS)), "unreachable": True, "msg": "gone"})


@pytest.mark.parametrize(
    ("severities", "verdict"),
    [([], "ok"), (["info"], "ok"), (["info", "warning"], "warning"), (["warning", "critical"], "critical")],
)
def test_the_verdict_is_the_worst_finding(severities: list[str], verdict: str) -> None:
    assert verdict_of([finding("x", severity) for severity in severities]) == verdict


def test_the_fleet_is_ordered_worst_first() -> None:
    two = [finding("b", "critical"), finding("a", "warning")]
    fleet = join(
        [
            Host("ok", "ok"),
            Host("gone", "unreachable", error="x"),
            Host("warn", "warning", [finding("a", "warning")]),
            Host("bad", "critical", [finding("b", "critical")]),
            Host("worse", "critical", two),
        ],
        "2024-01-01T00:00:00Z",
        "1",
    )
    assert [host.name for host in fleet.hosts] == ["worse", "bad", "warn", "gone", "ok"]
    assert fleet.verdict == "critical"
    assert fleet.verdicts == {"critical": 2, "warning": 1, "unreachable": 1, "ok": 1}
    assert fleet.severities == {"critical": 2, "warning": 2, "info": 0}
    assert [(cause.id, cause.hosts) for cause in fleet.causes] == [("b", ["worse", "bad"]), ("a", ["worse", "warn"])]


def test_a_kind_of_finding_has_a_name_for_people() -> None:
    (cause,) = join([Host("a", "warning", [finding("tcp.some_thing", "warning")])], "", "").causes
    assert cause.label == "Some thing (tcp)"


def test_an_empty_fleet() -> None:
    fleet = join([], "", "")
    assert (fleet.verdict, fleet.causes, sum(fleet.verdicts.values())) == ("ok", [], 0)


def own(when: str) -> dict[str, Any]:
    return {**finding("own.rule", "critical"), "when": when, "subject": "host", "evidence": {}, "command": "true"}


def test_a_rule_that_fails_on_one_host_costs_only_that_host() -> None:
    judge = Judge(rows=3)
    rules = [own("sum(facts.meta.list) > `1`")]
    broken = judge.host("a", result(json.dumps({"meta": {"list": ["x"]}})), {}, rules)
    fine = judge.host("b", result(json.dumps({"meta": {"list": [1, 2]}})), {}, rules)
    assert (broken.verdict, fine.verdict) == ("unreachable", "critical")
    assert broken.error and "own.rule" in broken.error
    assert judge.broken and "own.rule" in judge.broken and "host a" in judge.broken
    assert json.loads(broken.facts_json)["meta"] == {"list": ["x"]}


def test_a_rule_that_cannot_be_read_fails_at_once() -> None:
    with pytest.raises(RuleError, match=r"own\.rule"):
        Judge(rows=3).host("a", result(json.dumps(FACTS)), {}, [own("facts.meta ==")])


def test_facts_of_another_form_make_no_rule_of_the_collection_fail() -> None:
    """A host that was taken over may answer anything; the audit of the others goes on."""
    judge = Judge(rows=3)
    host = judge.host("a", result(json.dumps({"meta": {"kernel": 6}, "sysctl": {"values": {}}})), {}, [])
    assert host.verdict == "unreachable" and host.error and "cannot be evaluated" in host.error
    assert judge.broken is None


@pytest.mark.parametrize("number", ["1" + "0" * 400, "-1" + "0" * 40, "1e999", "1e300"])
def test_a_number_that_no_collector_makes_is_absent(number: str) -> None:
    facts, text = facts_of(result(f'{{"meta": {{"uptime_s": {number}, "id": "{"7" * 30}"}}}}'))
    assert facts == {"meta": {"uptime_s": None, "id": "7" * 30}} and json.loads(text) == facts
    assert Judge(rows=3).host("a", result(f'{{"meta": {{"uptime_s": {number}}}}}'), {}, []).verdict == "ok"


def test_a_host_is_one_line_of_the_report_and_that_is_plain() -> None:
    """Else its facts could hold lines of other hosts for the comparison of the next run, or move a cursor."""
    text = '{"meta": {},\n"b": {"verdict": "ok", "findings": []},\n "x": "\u009b31m\u202e"}'
    facts, kept = facts_of(result(text))
    assert kept.isascii() and kept.isprintable() and json.loads(kept) == facts == json.loads(text)
