# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings and the facts that nobody else exports, in Prometheus' text format. Private to this collection.

Names follow Prometheus' conventions: base units, ``_total`` for what only grows, ``_ratio`` from 0 to 1. Labels are
such as stay the same from run to run: no process numbers, no clients, no destinations. What node_exporter has is left
to it.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number, peak, total
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import Finding, Fleet, Host
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.view_cells import at
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES, VERDICTS, clean

Labels = tuple[tuple[str, str], ...]
Sample = tuple[str, Labels, float]

# What each metric is, in the order in which they are written; those of a type "counter" only grow until a restart.
METRICS: dict[str, tuple[str, str]] = {
    "nettriage_fleet_hosts": ("gauge", "Hosts of the report by verdict."),
    "nettriage_fleet_findings": ("gauge", "Problems that several hosts see, by rule and severity."),
    "nettriage_host_verdict": ("gauge", "1 for the verdict on the host, 0 for the others."),
    "nettriage_audit_timestamp_seconds": ("gauge", "When the host was looked at, seconds since 1970."),
    "nettriage_audit_interval_seconds": ("gauge", "Time between the two samples that changes are of."),
    "nettriage_findings": ("gauge", "Findings by severity."),
    "nettriage_finding": ("gauge", "Findings by rule and severity; absent where there are none."),
    "nettriage_tcp_sockets": ("gauge", "TCP sockets by state."),
    "nettriage_tcp_retransmit_ratio": ("gauge", "Data segments that were sent again, in the interval."),
    "nettriage_tcp_out_of_order_ratio": ("gauge", "Segments that came out of order, in the interval."),
    "nettriage_tcp_memory_ratio": ("gauge", "Memory of TCP to the limit at which pressure begins."),
    "nettriage_tcp_rtt_median_seconds": ("gauge", "Median of the smoothed round-trip times of all connections."),
    "nettriage_ephemeral_port_usage_ratio": ("gauge", "Ephemeral ports in use towards the worst destination."),
    "nettriage_accept_queue_usage_ratio": ("gauge", "Connections that wait for accept() to the limit, worst listener."),
    "nettriage_link_utilisation_ratio": ("gauge", "Utilisation of the busiest interface, in the interval."),
    "nettriage_conntrack_usage_ratio": ("gauge", "Connection tracking entries to their limit."),
    "nettriage_listener_accept_queue": ("gauge", "Connections that wait for accept()."),
    "nettriage_listener_backlog": ("gauge", "How many connections may wait for accept()."),
    "nettriage_listener_drops_total": ("counter", "Connections that the listener had no room for."),
}
_SCALARS = {
    "nettriage_audit_interval_seconds": ("meta.interval_s", 1),
    "nettriage_tcp_retransmit_ratio": ("tcp.derived.retransmit_ratio", 1),
    "nettriage_tcp_out_of_order_ratio": ("tcp.derived.out_of_order_ratio", 1),
    "nettriage_tcp_memory_ratio": ("tcp.derived.memory_ratio", 1),
    "nettriage_tcp_rtt_median_seconds": ("sockets.tcp.quality.rtt_ms.median", 0.001),
    "nettriage_conntrack_usage_ratio": ("conntrack.usage", 1),
}
_LISTENER = {
    "nettriage_listener_accept_queue": "accept_queue",
    "nettriage_listener_backlog": "backlog",
    "nettriage_listener_drops_total": "drops",
}
_RULES = 200  # different rules and severities of one host


def host_lines(facts: Mapping[str, Any], findings: Iterable[Finding]) -> Iterator[str]:
    """The metrics of one host, for its own node_exporter: which host it is, the scraper knows."""
    return _document([*_of_findings(list(findings), ()), *_of_facts(facts, ()), *_of_listeners(facts)])


def lines(fleet: Fleet, __: str) -> Iterator[str]:
    """The metrics of all hosts, each with the label ``host``."""
    samples: list[Sample] = [
        ("nettriage_fleet_hosts", (("verdict", verdict),), number) for verdict, number in fleet.verdicts.items()
    ]
    together = Counter((problem.id, problem.severity) for problem in fleet.joined.findings)
    samples += [
        ("nettriage_fleet_findings", (("id", name), ("severity", severity)), number)
        for (name, severity), number in sorted(together.items())
    ]
    for host in fleet.hosts:
        samples += _of_host(host)
    return _document(samples)


def _of_host(host: Host) -> Iterator[Sample]:
    label = (("host", host.name),)
    for verdict in VERDICTS:
        yield "nettriage_host_verdict", (*label, ("verdict", verdict)), int(verdict == host.verdict)
    if host.error is None:
        yield from _of_findings(list(host.findings), label)
        # Facts are kept as text; of thousands of hosts only one at a time is an object.
        yield from _of_facts(json.loads(host.facts_json), label)


def _of_findings(findings: list[Finding], host: Labels) -> Iterator[Sample]:
    severities = Counter(finding["severity"] for finding in findings)
    for severity in SEVERITIES:
        yield "nettriage_findings", (*host, ("severity", severity)), severities[severity]
    rules = Counter((str(finding["id"]), str(finding["severity"])) for finding in findings)
    for (name, severity), number in sorted(rules.items())[:_RULES]:
        yield "nettriage_finding", (*host, ("id", name), ("severity", severity)), number


def _of_facts(facts: Any, host: Labels) -> Iterator[Sample]:
    sampled = _seconds(at(facts, "meta.sampled_at"))
    if sampled is not None:
        yield "nettriage_audit_timestamp_seconds", host, sampled
    for name, (path, factor) in _SCALARS.items():
        value = at(facts, path)
        if is_number(value):
            yield name, host, value * factor if factor != 1 else value
    states = at(facts, "sockets.tcp.states")
    for state, number in states.items() if isinstance(states, Mapping) else ():
        if is_number(number):
            yield "nettriage_tcp_sockets", (*host, ("state", str(state))), number
    yield from _worst(
        "nettriage_ephemeral_port_usage_ratio", host, _each(facts, "sockets.tcp.destinations", "port_usage")
    )
    yield from _worst("nettriage_accept_queue_usage_ratio", host, _each(facts, "sockets.tcp.listeners", "fill"))
    used = [*_each(facts, "nic.interfaces", "utilisation.rx"), *_each(facts, "nic.interfaces", "utilisation.tx")]
    yield from _worst("nettriage_link_utilisation_ratio", host, used)


def _of_listeners(facts: Any) -> Iterator[Sample]:
    """Sockets that share an address and a port are one series."""
    found: dict[Labels, list[Mapping[str, Any]]] = {}
    rows = at(facts, "sockets.tcp.listeners")
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, Mapping) and isinstance(row.get("address"), str) and is_number(row.get("port")):
            labels: Labels = ("address", row["address"]), ("port", str(row["port"]))
            found.setdefault(labels, []).append(row)
    for name, field in _LISTENER.items():
        for labels, same in found.items():
            value = total(row.get(field) for row in same)
            if value is not None:
                yield name, labels, value


def _worst(name: str, host: Labels, values: Iterable[Any]) -> Iterator[Sample]:
    value = peak(values)
    if value is not None:
        yield name, host, value


def _each(facts: Any, rows: str, path: str) -> list[Any]:
    found = at(facts, rows)
    return [at(row, path) for row in found] if isinstance(found, list) else []


def _seconds(moment: Any) -> float | None:
    try:
        return datetime.fromisoformat(moment).timestamp() if isinstance(moment, str) else None
    except ValueError:
        return None


def _document(samples: Iterable[Sample]) -> Iterator[str]:
    """The samples of a metric stand together, behind what it is."""
    by_name: dict[str, list[str]] = {name: [] for name in METRICS}
    for name, labels, value in samples:
        by_name[name].append(f"{name}{_written(labels)} {value!r}\n")
    for name, rows in by_name.items():
        if rows:
            kind, meaning = METRICS[name]
            yield f"# HELP {name} {meaning}\n# TYPE {name} {kind}\n"
            yield from rows


def _written(labels: Labels) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels) + "}" if labels else ""


def _escaped(value: str) -> str:
    return clean(value).replace("\\", "\\\\").replace('"', '\\"')
