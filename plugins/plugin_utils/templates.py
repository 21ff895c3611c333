# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Sentences of rules: text with ``{expression|format}`` in it. Private to this collection.

A brace that is meant stands behind a backslash. What is absent is written as ``unknown``.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Collection
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.addresses import endpoint
from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import is_number
from ansible_collections.nettriage.linux.plugins.plugin_utils.expressions import Expression, ExpressionError
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import clean

ABSENT = "unknown"
_LISTED = 3
_CONTAINER_ID = re.compile(r"[0-9a-f]{64}\Z")
_SHOWN_ID = 12
_PIECES = re.compile(r"\\([{}])|\{([^{}]*)\}|([{}])")
_BYTE_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
_BINARY_STEP = 1024
_WHOLE = 1000  # from here on decimals tell nothing


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return _listed(list(dict.fromkeys(_plain(item) for item in value)))
    return clean(value)


def _count(value: Any) -> str:
    return f"{value:,.0f}".replace(",", " ") if is_number(value) else _plain(value)


def _percent(value: Any) -> str:
    return f"{value * 100:.3g} %" if is_number(value) else _plain(value)


def _bytes(value: Any) -> str:
    if not is_number(value):
        return _plain(value)
    unit = 0
    while abs(value) >= _BINARY_STEP and unit < len(_BYTE_UNITS) - 1:
        value, unit = value / _BINARY_STEP, unit + 1
    return f"{value:.4g} {_BYTE_UNITS[unit]}"


def _unit(suffix: str) -> Callable[[Any], str]:
    def write(value: Any) -> str:
        if not is_number(value):
            return _plain(value)
        return f"{value:.0f} {suffix}" if abs(value) >= _WHOLE else f"{value:.4g} {suffix}"

    return write


def _process(value: Any) -> str:
    """``nginx[4711] (nginx.service)``."""
    return _workers([value])


def _processes(value: Any) -> str:
    """Processes of one command and unit are written as one: ``nginx[11, 12, 13 and 5 more] (nginx.service)``."""
    if not isinstance(value, list):
        return _process(value)
    groups: dict[tuple[str, str], list[Any]] = {}
    for item in value:
        groups.setdefault(_name_and_home(item), []).append(item)
    return _listed([_workers(group) for group in groups.values()]) if groups else _process(None)


def _name_and_home(process: Any) -> tuple[str, str]:
    """Command, and container or unit; empty where they are not known."""
    if not isinstance(process, dict):
        return "", ""
    return _plain(process.get("command") or ""), _home(process)


def _home(process: dict[str, Any]) -> str:
    """The unit, and the container by as much of its id as the engines' own tools show.

    The unit of a container as such only repeats its id: ``docker-0123...scope``.
    """
    unit, container = _plain(process.get("unit") or ""), _plain(process.get("container") or "")
    if not container:
        return unit
    named = f"container {container[:_SHOWN_ID]}" if _CONTAINER_ID.match(container) else container
    return f"{unit} in {named}" if unit and container not in unit else named


def _workers(processes: list[Any]) -> str:
    name, home = _name_and_home(processes[0])
    pids = list(dict.fromkeys(_plain(row["pid"]) for row in processes if isinstance(row, dict) and row.get("pid")))
    if not (name or home or pids):
        return "unknown process"
    written = (name or "unknown") + (f"[{_listed(pids)}]" if pids else "")
    return f"{written} ({home})" if home else written


def _listed(items: list[str]) -> str:
    """The first few of *items*, and how many more there are."""
    if not items:
        return "none"
    more = len(items) - _LISTED
    return ", ".join(items[:_LISTED]) + (f" and {more} more" if more > 0 else "")


def _endpoint(value: Any) -> str:
    """A row with ``address`` and ``port`` as ``10.0.0.1:443`` or ``[2001:db8::1]:443``."""
    if not isinstance(value, dict) or not isinstance(value.get("address"), str):
        return ABSENT
    return clean(endpoint(value["address"], value.get("port")))


def _host(value: Any) -> str:
    """The address of ``10.0.0.1:443`` or ``[2001:db8::1]:443``."""
    return _plain(value).rpartition(":")[0].strip("[]") or _plain(value)


FORMATS: dict[str, Callable[[Any], str]] = {
    "plain": _plain,
    "count": _count,
    "percent": _percent,
    "bytes": _bytes,
    "ms": _unit("ms"),
    "s": _unit("s"),
    "mbps": _unit("Mbit/s"),
    "per_s": _unit("per second"),
    "process": _process,
    "processes": _processes,
    "endpoint": _endpoint,
    "host": _host,
}


_Placeholder = tuple[Expression, Callable[[Any], str], Callable[[str], str]]


class Template:
    """A text with placeholders, compiled; calling it with a scope writes it.

    :param shell: the text is a command that somebody will paste: what is written stays part of the word it stands in.
    :raises ExpressionError: a placeholder that cannot be compiled, an unknown format, a lonely brace.
    """

    def __init__(self, text: str, roots: Collection[str], limits: Collection[str] = (), shell: bool = False) -> None:
        self._parts: list[str | _Placeholder] = []
        at, quotes = 0, ""
        for found in _PIECES.finditer(text):
            self._parts.append(text[at : found.start()])
            quotes = _quotes(text[at : found.start()], quotes)
            at = found.end()
            literal, placeholder, lonely = found.groups()
            if lonely:
                raise ExpressionError(
                    f"lonely {lonely!r} at column {found.start() + 1}; a brace that is meant is \\{lonely}"
                )
            mask = _MASKS[quotes] if shell else str
            self._parts.append(literal or (*_placeholder(placeholder, roots, limits), mask))
        self._parts.append(text[at:])

    def __call__(self, scope: dict[str, Any]) -> str:
        return "".join(part if isinstance(part, str) else part[2](_written(*part[:2], scope)) for part in self._parts)


def _quotes(text: str, before: str) -> str:
    """The quotation mark of a shell that is open behind *text*; empty for none. *before*: the one before it."""
    at = 0
    while at < len(text):
        if text[at] == "\\" and before != "'":
            at += 1
        elif text[at] in ("'", '"') and before in ("", text[at]):
            before = "" if before else text[at]
        at += 1
    return before


# By the quotation mark that is open. In double quotes a shell would still look at the value, so they are left.
_MASKS: dict[str, Callable[[str], str]] = {
    "": shlex.quote,
    "'": lambda value: value.replace("'", "'\"'\"'"),
    '"': lambda value: f'"{shlex.quote(value)}"',
}


def _placeholder(text: str, roots: Collection[str], limits: Collection[str]) -> tuple[Expression, Callable[[Any], str]]:
    path, pipe, name = text.rpartition("|")
    path, name = (path, name.strip()) if pipe else (name, "plain")
    if name not in FORMATS:
        raise ExpressionError(f"format {name!r} of {{{text}}} does not exist; there are {', '.join(FORMATS)}")
    return Expression(path.strip(), roots, limits), FORMATS[name]


def _written(expression: Expression, write: Callable[[Any], str], scope: dict[str, Any]) -> str:
    value = expression(scope)
    return ABSENT if value is None and write is not _process and write is not _processes else write(value)
