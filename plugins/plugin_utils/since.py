# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has happened since the last audit, beside what happens now. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES

Facts = dict[str, Any]
Finding = dict[str, Any]
# Limits that are so many events within an interval. What proves something within a minute proves nothing in hours.
_COUNTED = ("syn_flood_cookies_min", "retransmit_events_min", "spurious_events_min", "out_of_order_segments_min")
_COUNTED_WITHIN_S = 60
# Of the moment, whatever the window is.
_MOMENTARY = ("memory_ratio", "memory_pages", "memory_pressure_pages", "orphan_ratio", "udp_memory_ratio")


def seconds(facts: Facts) -> float | None:
    """How long ago the last audit was; ``None`` where nothing was compared with it."""
    since = _dict(facts, "since")
    value = since.get("seconds")
    if since.get("available") is not True or not isinstance(value, (int, float)) or not value > 0:
        return None
    return float(value)


def overlay(facts: Facts) -> Facts:
    """*facts* with the changes since the last audit in the place of those of the interval."""
    since = _dict(facts, "since")
    found = {**facts, "meta": {**_dict(facts, "meta"), "interval_s": since["seconds"]}}
    tcp = _dict(since, "tcp")
    if tcp and isinstance(facts.get("tcp"), dict):
        found["tcp"] = _tcp(facts["tcp"], tcp)
    elif isinstance(facts.get("tcp"), dict):
        found["tcp"] = {
            **facts["tcp"],
            "delta": None,
            "rates": None,
            "derived": _momentary(facts["tcp"]),
            "softnet": None,
        }
    if isinstance(facts.get("nic"), dict):
        found["nic"] = _nic(facts["nic"], _dict(since, "nic").get("interfaces"))
    if isinstance(facts.get("conntrack"), dict):
        found["conntrack"] = {**facts["conntrack"], "delta": _dict(since, "conntrack").get("delta"), "rates": None}
    if isinstance(facts.get("sockets"), dict):
        found["sockets"] = _sockets(facts["sockets"], _dict(since, "sockets"))
    if isinstance(facts.get("routes"), dict):
        found["routes"] = _routes(facts["routes"], _dict(since, "routes"))
    return found


def limits(given: Mapping[str, Any], length_s: float) -> dict[str, Any]:
    """*given* as they are to be held against so long a window."""
    factor = max(1.0, length_s / _COUNTED_WITHIN_S)
    return {**given, **{name: given[name] * factor for name in _COUNTED}}


def joined(now: list[Finding], then: list[Finding], facts: Facts, recent_s: float, changing: set[str]) -> list[Finding]:
    """Findings of both windows, with the window in the evidence of those that a change has led to.

    :param now: findings of the interval and the moment.
    :param then: findings of what has happened since the last audit.
    :param recent_s: a window no longer than this speaks of now.
    :param changing: ids of the rules that look at changes.
    """
    length = seconds(facts) or 0.0
    interval = _dict(facts, "meta").get("interval_s")
    known = {(finding["id"], finding["subject"]): finding for finding in now}
    found = [_of_now(finding, interval) if finding["id"] in changing else finding for finding in now]
    places = {(finding["id"], finding["subject"]): index for index, finding in enumerate(found)}
    for finding in then:
        key = finding["id"], finding["subject"]
        if key not in known:
            found.append(_past(finding, length, length <= recent_s))
        elif finding["evidence"] != known[key]["evidence"]:
            changed = {
                name: value
                for name, value in finding["evidence"].items()
                if is_number(value) and value != known[key]["evidence"].get(name)
            }
            index = places[key]
            evidence = {**found[index]["evidence"], "since_last_audit": {"window": duration(length), **changed}}
            found[index] = {**found[index], "evidence": evidence}
    return found


def _of_now(finding: Finding, interval: Any) -> Finding:
    window = f"{interval:.1f} s sample" if is_number(interval) else "the moment"
    return {**finding, "evidence": {**finding["evidence"], "window": window}}


def _past(finding: Finding, length: float, recent: bool) -> Finding:
    rank = SEVERITIES.index(finding["severity"])
    return {
        **finding,
        # It may long be over.
        "severity": finding["severity"] if recent else SEVERITIES[min(rank + 1, len(SEVERITIES) - 1)],
        "title": f"Since the last audit, {duration(length)} ago: {finding['title']}",
        "evidence": {**finding["evidence"], "window": f"since the last audit, {duration(length)}"},
    }


def duration(length: float) -> str:
    """``45 s``, ``12 min``, ``3 h 12 min``, ``2 d 4 h``."""
    minutes = int(length // 60)
    if length < 120:
        return f"{length:.0f} s"
    if minutes < 60:
        return f"{minutes} min"
    hours = minutes // 60
    return f"{hours} h {minutes % 60} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"


def _tcp(tcp: Facts, since: Facts) -> Facts:
    whole = {
        group: dict.fromkeys(table, 0) for group, table in _dict(tcp, "counters").items() if isinstance(table, dict)
    }
    for group, table in _dict(since, "delta").items():
        whole[group] = {**whole.get(group, {}), **table}
    return {
        **tcp,
        "delta": whole,
        "rates": None,
        "derived": {**_dict(since, "derived"), **_momentary(tcp)},
        "softnet": {**_dict(tcp, "softnet"), **_dict(since, "softnet")} or None,
    }


def _momentary(tcp: Facts) -> Facts:
    return {name: value for name, value in _dict(tcp, "derived").items() if name in _MOMENTARY}


def _nic(nic: Facts, since: Any) -> Facts:
    rows = {row["name"]: row for row in since or [] if isinstance(row, dict) and isinstance(row.get("name"), str)}
    found = []
    for row in nic.get("interfaces") or []:
        past = rows.pop(row.get("name"), None)
        still = {"delta": None, "rates": None, "errors_delta": None, "carrier_changes_delta": None, "error_ratio": None}
        quiet = {**still, "utilisation": {"rx": None, "tx": None}, "qdisc": None}
        found.append({**row, **quiet, **(past or {})})
    return {**nic, "interfaces": [*found, *rows.values()]}


def _sockets(sockets: Facts, since: Facts) -> Facts:
    tcp, udp = _dict(sockets, "tcp"), _dict(sockets, "udp")
    return {
        **sockets,
        "tcp": {**tcp, "listeners": _dropping(tcp.get("listeners"), _dict(since, "tcp").get("listeners"))},
        "udp": {**udp, "sockets": _dropping(udp.get("sockets"), _dict(since, "udp").get("sockets"))},
    }


def _dropping(rows: Any, since: Any) -> list[Facts]:
    """*rows* with the drops since the last audit; each row of *since* is of one socket, and is used up by one."""
    left = [row for row in since or [] if isinstance(row, dict)]
    found = []
    for row in rows or []:
        place = row.get("address"), row.get("port")
        index = next((i for i, past in enumerate(left) if (past.get("address"), past.get("port")) == place), None)
        found.append({**row, "drops_delta": 0 if index is None else left.pop(index).get("drops_delta")})
    return found


def _routes(routes: Facts, since: Facts) -> Facts:
    neighbours = dict(_dict(routes, "neighbours"))
    for family in ("ipv4", "ipv6"):
        fulls = _dict(_dict(since, "neighbours"), family).get("table_fulls_delta")
        if isinstance(neighbours.get(family), dict):
            neighbours[family] = {**neighbours[family], "table_fulls_delta": fulls}
    return {**routes, "neighbours": neighbours}


def _dict(facts: Mapping[str, Any], name: str) -> Facts:
    value = facts.get(name)
    return value if isinstance(value, dict) else {}
