# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""The counter files of ``/proc/net``: their forms, and how two readings compare. Private to this collection.

Fields come and go between kernels, so nothing here knows a field's position except in ``softnet_stat``,
which has no header. Sources: ``net/ipv4/proc.c``, ``net/ipv6/proc.c``, ``net/core/net-procfs.c``.
"""

from __future__ import annotations

from typing import Dict, NamedTuple, Optional

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import number

Table = Dict[str, Dict[str, int]]
Deltas = Dict[str, Dict[str, Optional[int]]]

# Fields that are states or constants: they have no change and no rate.
GAUGES = {
    "Ip": ("Forwarding", "DefaultTTL"),
    "Tcp": ("RtoAlgorithm", "RtoMin", "RtoMax", "MaxConn", "CurrEstab"),
    "MPTcpExt": ("MPCurrEstab",),
}

# softnet_stat: the columns that have a meaning everywhere, and those that came later.
_PROCESSED, _DROPPED, _SQUEEZED, _RECEIVED_RPS, _FLOW_LIMIT, _CPU = 0, 1, 2, 9, 10, 12
_U32 = 1 << 32
_MOST_WRAPPED = 1 << 28
_MAX_HEX_DIGITS = 16


class Softnet(NamedTuple):
    """One CPU's receive path. The kernel prints 32 bits of each counter.

    :ivar cpu: its number, ``None`` where the kernel does not print it (before 5.10).
    :ivar received_rps: inter-processor interrupts for receive packet steering; ``None`` before 2.6.35.
    :ivar flow_limit: packets dropped by the flow limit; ``None`` before 3.11.
    """

    cpu: int | None
    processed: int
    dropped: int
    squeezed: int
    received_rps: int | None
    flow_limit: int | None


def paired_lines(text: str) -> tuple[Table, list[str]]:
    """``snmp`` and ``netstat``: a line of names, then a line of values, each begun by its group.

    :returns: the groups, and one sentence for each thing that was damaged. A truncated line keeps the
        fields that have both a name and a whole value.
    """
    table: Table = {}
    damage: list[str] = []
    group = ""
    names: list[str] | None = None
    lines = text.split("\n")
    for at, line in enumerate(lines):
        label, colon, rest = line.partition(":")
        if not (colon and _is_name(label)):
            if line:
                damage.append(f"line {at + 1} has no group")
            continue
        if names is None or label != group:
            if names is not None:
                damage.append(f"{group}: the line of values is missing")
            group, names = label, rest.split()
            continue
        values = rest.split()
        if at == len(lines) - 1:
            # A line that lost its end may have lost digits of its last number.
            values = values[:-1]
        if len(values) != len(names):
            damage.append(f"{group}: {len(names)} names but {len(values)} values")
        fields = table.setdefault(group, {})
        unread = sum([not _put(fields, name, value) for name, value in zip(names, values)])
        if unread:
            damage.append(f"{group}: {unread} values are no numbers")
        names = None
    if names is not None:
        damage.append(f"{group}: the line of values is missing")
    return table, damage


def snmp6(text: str) -> tuple[Table, list[str]]:
    """``snmp6``: one counter a line; ``Ip6InReceives`` is ``InReceives`` of the group ``Ip6``."""
    table: Table = {}
    lines, damaged = _whole_lines(text)
    for line in lines:
        words = line.split()
        group, six, name = words[0].partition("6") if len(words) == 2 else ("", "", "")
        if not (name and _put(table.setdefault(group + six, {}), name, words[1])):
            damaged += 1
    return {group: fields for group, fields in table.items() if fields}, _damaged_lines(damaged)


def sockstat(text: str) -> tuple[Table, list[str]]:
    """``sockstat`` and ``sockstat6``: ``TCP: inuse 1 orphan 0 ...``; memory is in pages, except FRAG's in bytes."""
    table: Table = {}
    lines, damaged = _whole_lines(text)
    for line in lines:
        label, colon, rest = line.partition(":")
        words = rest.split()
        pairs = list(zip(words[::2], words[1::2]))
        fields: dict[str, int] = {}
        taken = [_put(fields, name, value) for name, value in pairs]
        named = bool(colon) and _is_name(label)
        damaged += not named or len(words) % 2 or not all(taken)
        if named and fields:
            table[label] = fields
    return table, _damaged_lines(damaged)


def softnet_stat(text: str) -> tuple[list[Softnet], list[str]]:
    """``softnet_stat``: a row of hexadecimal columns for each CPU that is online."""
    rows: list[Softnet] = []
    lines, damaged = _whole_lines(text)
    for line in lines:
        columns = _hex_columns(line)
        if columns is None or len(columns) <= _SQUEEZED or (rows and rows[0].cpu is not None and len(columns) <= _CPU):
            damaged += 1
            continue
        later = [columns[i] if len(columns) > i else None for i in (_CPU, _RECEIVED_RPS, _FLOW_LIMIT)]
        rows.append(Softnet(later[0], columns[_PROCESSED], columns[_DROPPED], columns[_SQUEEZED], later[1], later[2]))
    return rows, _damaged_lines(damaged)


def cpu_table(text: str) -> tuple[list[dict[str, int]], list[str]]:
    """``stat/*``: a line of names, then a row of hexadecimal numbers for each possible CPU.

    A name that stands twice (``stat/arp_cache`` of some kernels) keeps its first column.
    """
    lines, damaged = _whole_lines(text)
    names = lines[0].split() if lines else []
    rows: list[dict[str, int]] = []
    for line in lines[1:]:
        values = _hex_columns(line)
        if values is None:
            damaged += 1
            continue
        damaged += len(values) != len(names)
        row: dict[str, int] = {}
        for name, value in zip(names, values):
            row.setdefault(name, value)
        rows.append(row)
    return rows, _damaged_lines(damaged)


def deltas(before: Table, now: Table) -> Deltas:
    """The change of every counter of *now*.

    ``None`` where there is nothing to compare with, and where the counter went back: it was reset, and the true
    change is not known. One that stood just below 32 bits has wrapped (``unsigned long`` on a 32-bit kernel).
    """
    return {group: group_deltas(group, before.get(group), fields) for group, fields in now.items()}


def group_deltas(group: str, before: dict[str, int] | None, now: dict[str, int]) -> dict[str, int | None]:
    """:func:`deltas` of one group."""
    gauges = GAUGES.get(group, ())
    result: dict[str, int | None] = {}
    for name, value in now.items():
        if name in gauges:
            continue
        first = (before or {}).get(name)
        # The kernel prints ICMP types only once they have been seen: absent is zero.
        if first is None and name.startswith(("InType", "OutType")):
            first = 0
        result[name] = None if first is None else value - first if value >= first else _wrapped(first, value)
    return result


def _wrapped(before: int, now: int) -> int | None:
    """The change of a counter that went back, if it wrapped soon enough that no reset is likelier."""
    change = _U32 - before + now
    return change if before < _U32 and change < _MOST_WRAPPED else None


def wrapped_u32(before: int | None, now: int | None) -> int | None:
    """The change of a counter of which 32 bits are shown; half the range or more is no change but a reset."""
    if before is None or now is None:
        return None
    change = (now - before) % _U32
    return change if change < _U32 // 2 else None


def rates(change: Deltas, seconds: float) -> dict[str, dict[str, float | None]]:
    """*change* per second."""
    return {
        group: {name: per_second(delta, seconds) for name, delta in fields.items()} for group, fields in change.items()
    }


def per_second(delta: int | None, seconds: float | None) -> float | None:
    return None if delta is None or not seconds else round(delta / seconds, 3)


def _whole_lines(text: str) -> tuple[list[str], int]:
    """The lines that are not empty, and how many were left out: a last one without its end may have lost digits."""
    *lines, last = text.split("\n")
    return [line for line in lines if line.strip()], int(bool(last))


def _damaged_lines(count: int) -> list[str]:
    return [f"{count} line{'s are' if count > 1 else ' is'} damaged"] if count else []


def _put(fields: dict[str, int], name: str, value: str) -> bool:
    """Take *value* if it is a number of at most 64 bits and *name* is one that the kernel could have written."""
    if not _is_name(name):
        return False
    try:
        fields[name] = number(value)
    except ValueError:
        return False
    return True


def _is_name(text: str) -> bool:
    return text.isascii() and text.isidentifier()


def _hex_columns(line: str) -> list[int] | None:
    """The numbers of a row, ``None`` where one of them is none."""
    words = line.split()
    if not (line.isascii() and all(word.isalnum() and len(word) <= _MAX_HEX_DIGITS for word in words)):
        return None
    try:
        return [int(word, 16) for word in words]
    except ValueError:
        return None
