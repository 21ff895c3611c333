# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Every rule of the collection: it fires on its fault, stays silent on the healthy twin, and is complete."""

from __future__ import annotations

import os
import pathlib
import re
import shlex
from typing import Any

import pytest
import yaml

from ansible_collections.nettriage.linux.plugins.plugin_utils import catalogue
from ansible_collections.nettriage.linux.plugins.plugin_utils.catalogue import built_in_rules
from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import evaluate
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view import traits
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import Template
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean

_CASES = os.path.join(os.path.dirname(__file__), "..", "..", "fixtures", "rules")
_FINDING = [
    "id",
    "severity",
    "layer",
    "subject",
    "title",
    "evidence",
    "cause",
    "advice",
    "remedies",
    "refused",
    "command",
]
# What a measurement of its own finds: promised, and a fault at any one moment.
_MEASURED = [
    "dns.search_amplification",
    "dns.ignored_nameserver",
    "dns.unreachable",
    "dns.slow",
    "dns.pair_lost",
    "dns.lookup_waits",
    "dns.server_failure",
    "dns.tcp_unreachable",
    "dns.servers_disagree",
    "dns.lookup_differs",
    "http.unreachable",
    "http.slow_phase",
    "http.error_status",
    "tls.handshake_failed",
    "tls.certificate_expired",
    "tls.certificate_expiring",
    "tls.untrusted",
    "capture.lost",
    "capture.too_big",
    "capture.syn_unanswered",
    "capture.resets",
    "capture.retransmits",
    "capture.zero_window",
    "drop.receive_queue",
    "drop.transmit_queue",
    "drop.checksum",
    "drop.neighbour",
    "drop.netfilter",
    "drop.policy",
    "drop.reverse_path",
    "drop.no_route",
    "drop.fragments",
    "drop.malformed",
    "drop.no_socket",
    "drop.receive_buffer",
    "drop.accept_queue",
    "drop.tcp_authentication",
    "drop.tcp_timestamps",
    "tcp.connects_fail",
]

# What the audit promises to find from these facts, all layers.
_PROMISED = [
    "nic.link_down",
    "nic.physical_errors",
    "nic.ring_overrun",
    "nic.half_duplex",
    "nic.slow_link",
    "nic.carrier_flaps",
    "nic.saturated",
    "nic.drops",
    "host.softnet_drops",
    "ip.rp_filter_drops",
    "ip.no_route",
    "ip.neighbours_full",
    "ip.neighbours_failing",
    "path.mtu_reduced",
    "path.mtu_black_hole",
    "path.loss",
    "path.unreachable",
    "path.latency",
    "tcp.ephemeral_ports",
    "tcp.time_wait_overflow",
    "tcp.close_wait_leak",
    "tcp.fin_wait2",
    "tcp.orphans",
    "tcp.accept_queue",
    "tcp.syn_queue",
    "tcp.syn_flood",
    "tcp.syn_sent_stuck",
    "tcp.retransmits",
    "tcp.spurious_retransmits",
    "tcp.reordering",
    "tcp.resets",
    "tcp.receive_pruned",
    "tcp.slow_reader",
    "tcp.send_queue",
    "tcp.memory",
    "tcp.buffers_below_bdp",
    "tcp.keepalive_slow",
    "tcp.congestion_control",
    "udp.receive_errors",
    "conntrack.near_full",
    "conntrack.dropping",
    "conntrack.hash_overloaded",
    "sysctl.tcp_tw_recycle",
    "sysctl.timestamps_off",
    "sysctl.syn_backlog_inert",
    "sysctl.buffer_max_inert",
    "sysctl.keepalive_inert",
    "sysctl.somaxconn_inert",
    "sysctl.rp_filter_inert",
    "sysctl.overridden",
    "sysctl.container_differs",
    *_MEASURED,
]

# What is a fault at any one moment, so that one sample is enough.
_OF_THE_MOMENT = [
    "nic.link_down",
    "nic.half_duplex",
    "nic.slow_link",
    "ip.gateway_unreachable",
    "ip.neighbours_full",
    "ip.neighbours_failing",
    "path.mtu_reduced",
    "path.mtu_black_hole",
    "path.loss",
    "path.unreachable",
    "path.latency",
    "tcp.ephemeral_ports",
    "tcp.close_wait_leak",
    "tcp.fin_wait2",
    "tcp.orphans",
    "tcp.accept_queue",
    "tcp.syn_queue",
    "tcp.syn_sent_stuck",
    "tcp.memory",
    "tcp.buffers_below_bdp",
    "tcp.keepalive_slow",
    "udp.memory",
    "conntrack.near_full",
    "conntrack.hash_overloaded",
    "sysctl.tcp_tw_recycle",
    "sysctl.timestamps_off",
    "sysctl.syn_backlog_inert",
    "sysctl.buffer_max_inert",
    "sysctl.keepalive_inert",
    "sysctl.somaxconn_inert",
    "sysctl.rp_filter_inert",
    "sysctl.overridden",
    "sysctl.container_differs",
    *_MEASURED,
]


def _cases() -> dict[str, dict[str, list[Any]]]:
    cases: dict[str, dict[str, list[Any]]] = {}
    for name in sorted(os.listdir(_CASES)):
        with open(os.path.join(_CASES, name), encoding="utf-8") as file:
            cases.update(yaml.safe_load(file))
    return cases


CASES = _cases()
RULES = {rule["id"]: rule for rule in catalogue.built_in_rules()}
FIRES = [(rule_id, case) for rule_id, each in CASES.items() for case in each["fires"]]
SILENT = [(rule_id, facts) for rule_id, each in CASES.items() for facts in each["silent"]]


def _found(rule_id: str, facts: dict[str, Any], limits: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    return [finding for finding in evaluate(facts, limits) if finding["id"] == rule_id]


@pytest.mark.parametrize(("rule_id", "case"), FIRES, ids=[rule_id for rule_id, __ in FIRES])
def test_fires(rule_id: str, case: dict[str, Any]) -> None:
    (finding,) = _found(rule_id, case["facts"], case.get("limits"))
    assert list(finding) == _FINDING
    assert finding["severity"] == case["severity"]
    for field in ("subject", "title", "cause", "command"):
        assert finding[field] and "{" not in finding[field].replace("%{", "")  # curl -w has such
        assert case.get(field, "") in finding[field]
    assert finding["advice"] and case.get("advice", "") in " ".join(finding["advice"])
    assert finding["remedies"] == case.get("remedies", finding["remedies"])
    refused = [row["remedy"] for row in finding["refused"]]
    assert "refused" not in case or case["refused"] in refused
    assert not set(refused) & set(finding["remedies"])
    assert case.get("evidence", {}).items() <= finding["evidence"].items()


@pytest.mark.parametrize(("rule_id", "facts"), SILENT, ids=[rule_id for rule_id, __ in SILENT])
def test_stays_silent(rule_id: str, facts: dict[str, Any]) -> None:
    assert _found(rule_id, facts) == []


@pytest.mark.parametrize("rule_id", RULES)
def test_has_a_case_for_each_severity_and_a_healthy_twin(rule_id: str) -> None:
    assert CASES[rule_id]["silent"]
    when = RULES[rule_id]["when"]
    possible = set(when) if isinstance(when, dict) else {RULES[rule_id]["severity"]}
    assert {case["severity"] for case in CASES[rule_id]["fires"]} == possible


@pytest.mark.parametrize("rule_id", RULES)
def test_is_complete(rule_id: str) -> None:
    data = RULES[rule_id]
    optional = {"severity", "for_each", "scope", "enabled"}
    assert set(catalogue.FIELDS) - optional <= set(data)
    assert isinstance(data["layer"], str)
    assert data["refs"]
    (rule,) = (rule for rule in catalogue.Catalogue().rules if rule.id == rule_id)
    rule.check()


def test_nothing_that_was_promised_is_missing() -> None:
    assert set(_PROMISED) <= set(RULES)
    assert set(CASES) == set(RULES)


def test_ids_are_given_once() -> None:
    ids = [rule["id"] for rule in catalogue.built_in_rules()]
    assert len(ids) == len(set(ids))


def test_every_limit_is_read() -> None:
    texts = yaml.safe_dump(catalogue.built_in_rules())
    read = {name for name in catalogue.built_in_limits() if f"limits.{name}" in texts}
    sources = "".join(path.read_text() for path in pathlib.Path(catalogue.__file__).parent.rglob("*.py"))
    read |= {name for name in catalogue.built_in_limits() if f'limits["{name}"]' in sources}
    read |= {f"outlier_{name}_min" for name in traits.RATIOS}
    assert set(catalogue.built_in_limits()) == read


@pytest.mark.parametrize(("rule_id", "case"), FIRES, ids=[rule_id for rule_id, __ in FIRES])
def test_a_single_sample_tells_only_of_the_moment(rule_id: str, case: dict[str, Any]) -> None:
    """Totals since boot are no finding: without an interval, what is a change or a rate is null."""
    found = _found(rule_id, _of_the_moment(case["facts"]), case.get("limits"))
    assert not found or rule_id in _OF_THE_MOMENT


def _of_the_moment(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: None if _is_change(key) else _of_the_moment(each) for key, each in value.items()}
    return [_of_the_moment(each) for each in value] if isinstance(value, list) else value


def _is_change(key: str) -> bool:
    if key in ("memory_ratio", "orphan_ratio", "udp_memory_ratio"):
        return False
    return key.endswith(("delta", "_before", "_per_s", "_ratio", "_segments", "_sent", "persistent")) or key in (
        "rates",
        "utilisation",
        "flows",
        "peer_progress",
    )


MARK = "MARK7"
PASTED = ("$(id)", "`id`", ";reboot", "a b", "'", '"', "' ; id '", '" ; id "', "!!", "\\", "*", "~", "-rf", "a\nid", "")


def commands() -> list[str]:
    """Every command of every rule, those of pairs among them."""
    triage = os.path.join(os.path.dirname(catalogue.__file__), "triage", "rules.yml")
    with open(triage, encoding="utf-8") as file:
        found = [rule.get("command") for rule in (*built_in_rules(), *yaml.safe_load(file))]
    entries = [entry for each in found for entry in (each if isinstance(each, list) else [each]) if entry]
    return [entry if isinstance(entry, str) else entry["text"] for entry in entries]


@pytest.mark.parametrize("text", [*commands(), "a '{item}' b", 'a "x{item}y" b', "a \\'{item} b", "\"'{item}'\""])
def test_a_name_stays_one_part_of_a_pasted_command(text: str) -> None:
    """A shell takes exactly the words that the rule has, with the name in its place."""
    (marked, simple) = (re.sub(r"(?<!\\)\{[^{}]*\}", instead, text) for instead in (MARK, "{item}"))
    unescaped = re.sub(r"\\([{}])", r"\1", marked)
    template = Template(simple, ("item",), shell=True)
    for name in PASTED:
        shown = clean(name)
        expected = [word.replace(MARK, shown) for word in shlex.split(unescaped)]
        assert shlex.split(template({"item": name})) == expected, template({"item": name})
