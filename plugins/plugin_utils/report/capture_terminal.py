# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What captures on some hosts show, as a table for people. Private to this collection."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.addresses import endpoint
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MISSHAPEN
from ansible_collections.nettriage.linux.plugins.plugin_utils.report.as_terminal import COLOURS, Line
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import FORMATS
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean, count, fit, sentence

Result = Mapping[str, Any]
_LABEL = 16
_LIMITS = {"duration": "", "packets": ", ended by max_packets", "bytes": ", ended by max_bytes", None: ", ended early"}


def table(
    results: Mapping[str, Result | None],
    columns: int,
    files: Mapping[str, str] | None = None,
    findings: Mapping[str, list[dict[str, Any]]] | None = None,
) -> Iterator[Line]:
    """Each host in a few lines, none wider than *columns*: how much was captured, and what is not as it should be.

    :param results: what ``packet_capture`` returned on each host; ``None`` where nothing came from it.
    :param files: where its file is on the controller.
    :param findings: of the rules, whose severity colours the lines.
    """
    for number, (host, result) in enumerate(results.items()):
        if number:
            yield "", None
        if result is None or "summary" not in result:
            why = "it had dropped out of the play before" if result is None else result.get("msg") or "unknown"
            for line in textwrap.wrap(
                f"{clean(host)}: nothing captured: {sentence(why)}", columns, subsequent_indent="  "
            ):
                yield fit(line, columns), COLOURS["unreachable"]
            continue
        severities = {finding["id"]: finding["severity"] for finding in reversed((findings or {}).get(host, []))}
        try:
            lines = list(_host(host, result, columns, severities))
        except MISSHAPEN:  # a host may answer anything
            lines = [
                (fit(f"{clean(host)}: its answer is not what packet_capture returns", columns), COLOURS["unreachable"])
            ]
        yield from lines
        if files and host in files:
            yield fit(f"  {'file':<{_LABEL}}{clean(files[host])}", columns), None


def _host(host: str, result: Result, columns: int, severities: Mapping[str, str]) -> Iterator[Line]:
    where = clean(result["interface"]) + (f" in {clean(result['netns'])}" if result.get("netns") else "")
    seen = f"{count(result['packets'], 'packet')}, {FORMATS['bytes'](result['bytes'])}"
    head = f"{clean(host)}: {seen} in {result['duration_s']:.1f} s on {where}"
    yield fit(head + _LIMITS.get(result["truncated_by"], ""), columns), None
    lines = list(_rows(result["summary"]))
    if result["dropped"] or result["dropped"] is None:
        lost = "unknown" if result["dropped"] is None else f"{result['dropped']} of {result['received']} packets"
        lines.insert(0, ("capture.lost", "capture lost", lost))
    for rule, label, told in lines:
        colour = COLOURS.get(severities.get(rule, ""), None)
        yield fit(f"  {label:<{_LABEL}}{clean(told)}", columns), colour
    if not lines:
        yield fit("  nothing unusual" if result["packets"] else "  no packet came by", columns), COLOURS["ok"]
    for gap in result.get("limited", ()):
        yield fit(f"  {'limited':<{_LABEL}}{clean(gap)}", columns), None
    for row in result["summary"]["talkers"][:1]:
        rate = f", {FORMATS['mbps'](row['mbps'])}" if row["mbps"] is not None else ""
        yield fit(f"  {'top talker':<{_LABEL}}{_way(row)} {clean(row['protocol'])}{rate}", columns), None


def _rows(summary: Mapping[str, Any]) -> Iterator[tuple[str, str, str]]:
    """The rule that judges it, its name, and the worst of its kind."""
    for row, more in _worst(summary["syn_unanswered"]["destinations"]):
        yield "capture.syn_unanswered", "SYN unanswered", f"{row['connections']} to {_end(row)}{more}"
    for row, more in _worst(summary["resets"]["refused_by"]):
        yield "capture.resets", "refused", f"{row['connections']} by {_end(row)}{more}"
    for row, more in _worst(summary["resets"]["senders"]):
        whom = f"{row['role']} {row['address']}, port {row['service_port']}, after {row['after']}"
        yield "capture.resets", "reset", f"{row['connections']} by {whom}{more}"
    for row, more in _worst(summary["retransmits"]["paths"]):
        if row["retransmits"]:
            share = f"{FORMATS['percent'](row['ratio'])} ({row['retransmits']} of {row['segments']})"
            yield "capture.retransmits", "retransmits", f"{share} {_way(row)}, port {row['service_port']}{more}"
        elif row["out_of_order"]:
            yield "", "out of order", f"{row['out_of_order']} of {row['segments']} {_way(row)}{more}"
    for row, more in _worst(summary["zero_windows"]["receivers"]):
        whom = f"{row['role']} {row['address']}, port {row['service_port']}"
        yield "capture.zero_window", "zero window", f"{FORMATS['ms'](row['closed_ms'])} by {whom}{more}"
    for row, more in _worst(summary["too_big"]["routers"]):
        fits = f"mtu {row['mtu']}" if row["mtu"] else "no mtu"
        yield "capture.too_big", "too big", f"{fits} says {row['router']} about {row['destination']}{more}"
    for row, more in _worst(summary["unreachable"]["senders"]):
        about = endpoint(row["destination"], row["port"]) if row["port"] else row["destination"]
        yield "", "unreachable", f"{row['what']} says {row['sender']} about {about}{more}"
    for row, more in _worst(summary["fragments"]["senders"]):
        yield "", "fragments", f"{row['packets']} {_way(row)}{more}"


def _worst(rows: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], str]]:
    """The first row, and how many there are beside it."""
    for row in rows[:1]:
        yield row, f" (+{len(rows) - 1})" if len(rows) > 1 else ""


def _way(row: Mapping[str, Any]) -> str:
    return f"{row['source']} > {row['destination']}"


def _end(row: Mapping[str, Any]) -> str:
    return endpoint(row["address"], row["port"])
