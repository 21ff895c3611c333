# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values of facts and evidence as people write them. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import FORMATS
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import sentence

count, percent, endpoint, processes = (FORMATS[name] for name in ("count", "percent", "endpoint", "processes"))

# What a name ends with, by the conventions of the facts, and how such a value is written.
_UNITS = {"_per_s": "per_s", "_ms": "ms", "_s": "s", "_mbps": "mbps", "_bytes": "bytes"}
_SHARES = ("usage", "ratio", "share")
# Numbers that name something and count nothing.
_NAMES = ("pid", "pids", "port", "ports", "uid")
_LISTED = 4
_LIMIT = 200


def evidence(found: Any) -> list[tuple[str, str]]:
    """What a finding is based on, as ``(label, text)``: ``("port usage", "91.4 %")``."""
    if not isinstance(found, Mapping):
        return [("", sentence(found, _LIMIT))] if found else []
    return [_told(str(name), value) for name, value in found.items() if value not in (None, [], {})]


def evidence_line(found: Any) -> str:
    """The same in one line."""
    return "; ".join(f"{label} {text}".strip() for label, text in evidence(found))


def culprit(finding: Mapping[str, Any]) -> str:
    """Who causes *finding*: the processes that it rests on, else what it is about; empty for the host itself."""
    owner = _owner(finding)
    if owner is not None:
        return sentence(processes(finding["evidence"][owner]), _LIMIT)
    subject = finding.get("subject")
    return "" if subject in (None, "host") else sentence(subject, _LIMIT)


def grounds(finding: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Its evidence without what :func:`culprit` tells."""
    found, owner = finding.get("evidence"), _owner(finding)
    if owner is not None and isinstance(found, Mapping):
        found = {name: value for name, value in found.items() if name != owner}
    return evidence(found)


def _owner(finding: Mapping[str, Any]) -> str | None:
    """The part of the evidence that names processes."""
    found = finding.get("evidence")
    for name in ("processes", "process"):
        if isinstance(found, Mapping) and _processes(found.get(name)):
            return name
    return None


def _processes(value: Any) -> bool:
    rows = value if isinstance(value, list) else [value]
    return bool(rows) and all(isinstance(row, Mapping) and "command" in row and "pid" in row for row in rows)


def _told(name: str, value: Any) -> tuple[str, str]:
    if name.endswith("_bytes") and ("mtu" in name or "mss" in name) and isinstance(value, int):
        # Nobody knows the size of a packet in KiB.
        return _label(name.removesuffix("_bytes")), f"{value} bytes"
    for suffix, unit in _UNITS.items():
        if name.endswith(suffix) and is_number(value):
            return _label(name.removesuffix(suffix)), FORMATS[unit](value)
    if name.endswith(_SHARES) and is_number(value):
        return _label(name), percent(value)
    if name in _NAMES or (_known(name) and isinstance(value, (int, list))):
        # To be copied, not to be read.
        return _label(name), sentence(" ".join(map(str, value)) if isinstance(value, list) else value, _LIMIT)
    return _label(name), sentence(_text(value), _LIMIT)


def _known(name: str) -> bool:
    """Names of kernel parameters and counters, which people search for."""
    return name.startswith(("tcp_", "net.", "ip_", "nf_", "rmem", "wmem")) or not name.islower()


def _label(name: str) -> str:
    return sentence(name if _known(name) else name.replace("_", " "), _LIMIT)


def short(value: Any) -> str:
    """A single value of facts: names of sysctls keep their numbers as the kernel prints them."""
    return sentence(" ".join(map(str, value)) if isinstance(value, (list, tuple)) else FORMATS["plain"](value), _LIMIT)


def _text(value: Any) -> str:
    if _processes(value):
        return processes(value)
    if isinstance(value, Mapping):
        if "address" in value and "port" in value:
            return endpoint(value)
        return counts(value)
    if isinstance(value, list):
        more = len(value) - _LISTED
        return ", ".join(map(_text, value[:_LISTED])) + (f" and {more} more" if more > 0 else "")
    return count(value) if isinstance(value, int) and not isinstance(value, bool) else FORMATS["plain"](value)


def counts(value: Mapping[str, Any]) -> str:
    """``established 3, time_wait 1``: what is not zero, most first, whatever is no number behind."""
    found = {name: item for name, item in value.items() if item not in (None, 0, "", [], {})}
    ordered = sorted(found, key=lambda name: -found[name] if is_number(found[name]) else 0)
    return ", ".join(f"{name} {_text(found[name])}" for name in ordered) or "none"
