# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The forms of the report that programs read, with names that try to break out of them."""

from __future__ import annotations

import json
from typing import Any
from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Fleet, Host, join, verdict_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import FleetFinding, Joined, Part
from ansible_collections.nettriage.linux.plugins.plugin_utils.report import as_junit, as_prometheus, as_sarif
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean

junitparser = pytest.importorskip("junitparser")
prometheus = pytest.importorskip("prometheus_client.parser")

HOSTILE = [
    "<script>&amp;]]>",
    "a\"b'c\\n\\",
    "\x00\x01\x1b[31m\x7f\x9f",
    "line\nbreak\r\n# HELP x\nx 1",
    "\ud800\ufffe\uffff\U0001fffe",
    "{0} {host} [link](1) %s",
    "gnp.\u202eexe",
    "日本語" * 200,
    "",
]
FACTS = {
    "meta": {"sampled_at": "2024-01-01T00:00:10Z", "interval_s": 1.5},
    "sockets": {
        "tcp": {
            "states": {"established": 7, "time_wait": 0},
            "listeners": [
                {"address": "0.0.0.0", "port": 80, "accept_queue": 1, "backlog": 128, "fill": 0.5, "drops": 3},
                {"address": "0.0.0.0", "port": 80, "accept_queue": 2, "backlog": 128, "fill": 0.7, "drops": 4},
                {"address": "::1", "port": 25, "accept_queue": 0, "backlog": 5, "fill": 0.0, "drops": None},
            ],
            "destinations": [{"port_usage": 0.25}, {"port_usage": 0.75}, {"port_usage": None}],
            "quality": {"rtt_ms": {"median": 20}},
        }
    },
    "tcp": {"derived": {"retransmit_ratio": 0.01, "memory_ratio": None}},
    "nic": {"interfaces": [{"utilisation": {"rx": 0.1, "tx": 0.3}}, {"utilisation": None}]},
    "conntrack": {"available": True, "in_use": False},
}


def finding(text: str = "web", severity: str = "critical", name: str = "tcp.some") -> dict[str, Any]:
    return {
        "id": name,
        "severity": severity,
        "layer": "4",
        "subject": text,
        "title": f"Title {text}",
        "evidence": {"port_usage": 0.9, text: text},
        "cause": f"Cause {text}",
        "advice": [f"Advice {text}"],
        "remedies": [],
        "refused": [],
        "command": f"ss '{text}'",
    }


def fleet(text: str = "web") -> Fleet:
    rows = [finding(text), finding(text, "info", "tcp.other"), finding(text, "warning", text or "empty")]
    hosts = [
        Host(text, verdict_of(rows), rows, json.dumps(FACTS)),
        Host("fine", "ok", (), json.dumps(FACTS)),
        Host("gone", "unreachable", error=f"no route {text}"),
    ]
    part = Part("fine", "near", "tcp.x", "warning", text, f"near {text}", {})
    problem = FleetFinding(
        "fleet.x", "critical", "4", text, text, f"All {text}", {text: text}, "c", [text], "ss", ["fine"], 1, [part], 1
    )
    return join(hosts, "2024-01-01T00:00:00Z", "0.1.0", Joined(findings=[problem], findings_total=1))


TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=20))


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_junit_can_be_loaded_whatever_names_are_in_it(text: str) -> None:
    written = "".join(as_junit.lines(fleet(text), text)).encode()
    root = ElementTree.fromstring(written)
    cases = root.findall(".//testcase")
    counts = {name: int(root.attrib[name]) for name in ("tests", "failures", "errors")}
    assert counts == {"tests": len(cases), "failures": 3, "errors": 1} and len(cases) == 6
    for suite in root:
        assert int(suite.attrib["tests"]) == len(suite) and suite.attrib["timestamp"] == "2024-01-01T00:00:00"
        assert int(suite.attrib["failures"]) == len(suite.findall(".//failure"))
    assert root[1].attrib["hostname"].split() == clean(text).split()
    loaded = junitparser.JUnitXml.fromstring(written)
    assert (loaded.tests, loaded.failures, loaded.errors) == (6, 3, 1)
    assert [case.is_passed for suite in loaded for case in suite] == [False, False, True, False, False, True]


def test_junit_tells_what_to_do() -> None:
    text = "".join(as_junit.lines(fleet(), "Audit"))
    assert '<failure message="Title web" type="critical">Evidence: port usage 90 %; web web\nCause: Cause web' in text
    assert "Do: Advice web\nSee it: ss 'web'" in text and 'type="unreachable"' in text


# What the JSON schema of SARIF 2.1.0 requires of the objects that are written, and the properties that it knows.
SHAPES: dict[str, tuple[set[str], set[str]]] = {
    "log": ({"version", "runs"}, {"$schema", "version", "runs", "properties", "inlineExternalProperties"}),
    "run": ({"tool"}, {"tool", "invocations", "properties", "results", "artifacts", "columnKind"}),
    "driver": ({"name"}, {"name", "version", "informationUri", "rules"}),
    "rule": ({"id"}, {"id", "shortDescription", "defaultConfiguration", "helpUri", "name", "fullDescription"}),
    "result": (
        {"message"},
        {"ruleId", "ruleIndex", "level", "message", "locations", "partialFingerprints", "properties", "kind"},
    ),
    "location": (set(), {"physicalLocation", "logicalLocations", "message", "id", "properties"}),
    "logical": (set(), {"name", "fullyQualifiedName", "kind", "decoratedName", "index", "parentIndex"}),
    "invocation": ({"executionSuccessful"}, {"executionSuccessful", "endTimeUtc", "toolExecutionNotifications"}),
    "notification": ({"message"}, {"message", "level", "descriptor", "locations", "timeUtc"}),
}


def shaped(kind: str, value: dict[str, Any]) -> dict[str, Any]:
    required, known = SHAPES[kind]
    assert required <= set(value) <= known, (kind, set(value))
    return value


def sarif(report: Fleet, title: str = "Audit") -> dict[str, Any]:
    """The only run of the document, checked against the shape."""
    log = shaped("log", json.loads("".join(as_sarif.lines(report, title))))
    assert log["version"] == "2.1.0"
    (run,) = (shaped("run", each) for each in log["runs"])
    rules = [shaped("rule", rule) for rule in shaped("driver", run["tool"]["driver"])["rules"]]
    assert len({rule["id"] for rule in rules}) == len(rules)
    for result in run["results"]:
        shaped("result", result)
        assert rules[result["ruleIndex"]]["id"] == result["ruleId"]
        assert result["level"] in ("error", "warning", "note") and isinstance(result["message"]["text"], str)
        assert all(isinstance(value, str) for value in result["partialFingerprints"].values())
        for location in result["locations"]:
            shaped("location", location)
            assert set(location["physicalLocation"]) == {"artifactLocation"}
            assert [shaped("logical", each) for each in location["logicalLocations"]]
    for invocation in run["invocations"]:
        for notification in shaped("invocation", invocation)["toolExecutionNotifications"]:
            shaped("notification", notification)
    return run


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_sarif_has_its_shape_whatever_names_are_in_it(text: str) -> None:
    run = sarif(fleet(text), text)
    assert len(run["results"]) == 4 and len(run["invocations"][0]["toolExecutionNotifications"]) == 1
    for result in run["results"]:
        message = result["message"]["text"].replace("{{", "").replace("}}", "")
        assert "{" not in message and "}" not in message and "](" not in message


def test_sarif_is_worst_first_and_recognises_a_finding_of_the_run_before() -> None:
    def one(subject: str) -> dict[str, Any]:
        report = join([Host("a", "critical", [finding(subject)], "{}")], "2024-01-01T00:00:00Z", "1")
        result: dict[str, Any] = sarif(report)["results"][0]
        return result

    levels = [result["level"] for result in sarif(fleet())["results"]]
    assert levels == ["error", "error", "warning", "note"]
    assert one("app[7]")["partialFingerprints"] == one("app[99]")["partialFingerprints"]
    assert one("app[7]")["partialFingerprints"] != one("web[7]")["partialFingerprints"]
    assert one("x")["locations"][0]["logicalLocations"][0]["fullyQualifiedName"] == "a/x"


def test_sarif_is_bounded_and_says_so() -> None:
    rows = [finding(f"s{number}") for number in range(26000)]
    run = sarif(join([Host("a", "critical", rows, "{}")], "2024-01-01T00:00:00Z", "1"))
    assert len(run["results"]) == 25000 and run["properties"]["resultsLeftOut"] == 1000


def families(text: str) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """What Prometheus' own parser reads; a series may be there only once."""
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in prometheus.text_string_to_metric_families(text):
        assert family.documentation and family.type in ("gauge", "counter")
        for sample in family.samples:
            assert sample.timestamp is None
            series = found.setdefault(sample.name, {})
            labels = tuple(sorted(sample.labels.items()))
            assert labels not in series, (sample.name, labels)
            series[labels] = sample.value
    return found


def test_the_metrics_of_a_host() -> None:
    text = "".join(as_prometheus.host_lines(FACTS, [finding(), finding("b"), finding("c", "info", "tcp.other")]))
    assert text.endswith("\n")
    found = families(text)
    assert found["nettriage_audit_timestamp_seconds"] == {(): 1704067210.0}
    assert found["nettriage_findings"] == {
        (("severity", "critical"),): 2,
        (("severity", "warning"),): 0,
        (("severity", "info"),): 1,
    }
    assert found["nettriage_finding"][("id", "tcp.some"), ("severity", "critical")] == 2
    assert found["nettriage_tcp_sockets"] == {(("state", "established"),): 7, (("state", "time_wait"),): 0}
    assert found["nettriage_ephemeral_port_usage_ratio"] == {(): 0.75}
    assert found["nettriage_accept_queue_usage_ratio"] == {(): 0.7}
    assert found["nettriage_link_utilisation_ratio"] == {(): 0.3}
    assert found["nettriage_tcp_rtt_median_seconds"] == {(): 0.02}
    # Two sockets of one port are one series, and a counter that the kernel does not tell is absent.
    assert found["nettriage_listener_drops_total"] == {(("address", "0.0.0.0"), ("port", "80")): 7}
    assert "nettriage_tcp_memory_ratio" not in found and "nettriage_conntrack_usage_ratio" not in found


@given(TEXTS)
@settings(max_examples=60, deadline=None)
def test_metrics_can_be_parsed_whatever_names_are_in_them(text: str) -> None:
    found = families("".join(as_prometheus.lines(fleet(text), "Audit")))
    assert set(found) <= set(as_prometheus.METRICS)
    hosts = {dict(labels)["host"] for labels in found["nettriage_host_verdict"]}
    assert hosts == {clean(text), "fine", "gone"}
    assert found["nettriage_host_verdict"][("host", "gone"), ("verdict", "unreachable")] == 1
    assert found["nettriage_fleet_hosts"] == {
        (("verdict", "critical"),): 1,
        (("verdict", "warning"),): 0,
        (("verdict", "unreachable"),): 1,
        (("verdict", "ok"),): 1,
    }
    assert found["nettriage_fleet_findings"] == {(("id", "fleet.x"), ("severity", "critical")): 1}


def test_names_follow_the_conventions() -> None:
    for name, (kind, meaning) in as_prometheus.METRICS.items():
        assert name.startswith("nettriage_") and name == name.lower()
        assert name.endswith("_total") == (kind == "counter")
        assert not name.endswith(("_ms", "_percent", "_count", "_sum")) and meaning.endswith(".")


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["tcp", "rx", "port", "address"]), inner)
    ),
    max_leaves=6,
)


@given(VALUES, st.sampled_from(["meta", "sockets", "tcp", "nic", "conntrack"]))
def test_facts_of_any_shape_are_survived(value: Any, subset: str) -> None:
    families("".join(as_prometheus.host_lines({**FACTS, subset: value}, [])))
