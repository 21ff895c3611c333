# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network namespaces in a host's facts, each as facts that rules can judge. Private to this collection.

A row of ``namespaces`` holds only what is that namespace's alone; the rest is the host's, or zero.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

Facts = dict[str, Any]
_SHORT_ID = 12
_LONG_ID = 64
IDENTITY = ("name", "container", "pod", "unit", "pid", "command")


def each(facts: Facts) -> Iterator[tuple[Facts, Facts]]:
    """Who each namespace is that was looked into, and its facts."""
    found = facts.get("namespaces")
    rows = found.get("list") if isinstance(found, dict) else None
    for row in rows if isinstance(rows, list) else ():
        if isinstance(row, dict) and isinstance(row.get("name"), str):
            yield {key: row.get(key) for key in IDENTITY}, _facts_of(row, facts)


def label(identity: Mapping[str, Any]) -> str:
    """What people call the namespace."""
    name, pod, container = (str(identity[key] or "") for key in ("name", "pod", "container"))
    named = not name.startswith(("/", "pid:"))
    if pod:
        return f"pod {pod}"
    if container:
        return f"container {container[:_SHORT_ID] if len(container) == _LONG_ID else container}"
    if named:
        return f"namespace {name}"
    who = identity["unit"] or identity["command"]
    return f"namespace {name} ({who})" if who else f"namespace {name}"


def _facts_of(row: Facts, host: Facts) -> Facts:
    meta = {**_dict(host, "meta"), "netns": row["name"]}
    found: Facts = {"meta": meta}
    for name in ("sockets", "nic", "conntrack", "routes"):
        if isinstance(row.get(name), dict):
            found[name] = row[name]
    if "routes" in found:
        found["routes"] = {"default": [], **found["routes"]}
    if "sockets" in found:
        found["sockets"] = {"ports": _dict(host, "sockets").get("ports"), **found["sockets"]}
    if isinstance(row.get("tcp"), dict):
        found["tcp"] = {**row["tcp"], "delta": _whole(row["tcp"].get("delta"), _dict(host, "tcp").get("delta"))}
    if isinstance(row.get("resolver"), dict):
        found["resolver"] = row["resolver"]
    values = _dict(host, "sysctl").get("values")
    if isinstance(values, dict) and ("sockets" in found or "sysctl" in row):
        found["sysctl"] = {"available": True, "values": {**values, **_dict(_dict(row, "sysctl"), "differing")}}
    return found


def _whole(delta: Any, host: Any) -> Any:
    """*delta* with a zero for each counter of the host's that did not move here."""
    if not isinstance(delta, dict):
        return None
    whole = {group: dict.fromkeys(table, 0) for group, table in (host or {}).items() if isinstance(table, dict)}
    for group, table in delta.items():
        whole[group] = {**whole.get(group, {}), **table}
    return whole


def _dict(facts: Facts, name: str) -> Facts:
    value = facts.get(name)
    return value if isinstance(value, dict) else {}
