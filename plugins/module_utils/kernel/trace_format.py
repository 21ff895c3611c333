# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""How the kernel lays out trace events and the pages of its ring buffers. Private to this collection.

Sources: ``events/SYSTEM/NAME/format`` and ``events/header_page`` of tracefs (``kernel/trace/trace_events.c``).
"""

from __future__ import annotations

import re
import struct
from typing import NamedTuple, Sequence

from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Malformed

_ID = re.compile(r"^ID: (\d{1,9})$", re.MULTILINE)
_FIELD = re.compile(
    r"^\s*field:\s*([^;]*?)(\w+)(\[\d*\])?;\s*offset:(\d{1,6});\s*size:(\d{1,6});(?:\s*signed:([01]);)?",
    re.MULTILINE,
)
_SYMBOLS = "__print_symbolic(REC->"
# A number may be written in any of C's ways; one that the kernel left as a name says nothing here.
_SYMBOL = re.compile(r'\{\s*(0[xX][0-9a-fA-F]+|\d+)[uUlL]*\s*,\s*"([^"]*)"\s*\}')
_INTEGERS = {1: "b", 2: "h", 4: "i", 8: "q"}
_MAX_SIZE = 1 << 17


class Field(NamedTuple):
    """Where a field lies in an event's record, in bytes."""

    offset: int
    size: int
    signed: bool
    array: bool


class Format(NamedTuple):
    """An event.

    :ivar id: the number at the start of each of its records.
    :ivar fields: by name.
    :ivar symbols: the names that ``print fmt`` gives a field's numbers.
    """

    id: int
    fields: dict[str, Field]
    symbols: dict[str, dict[int, str]]

    def picker(self, names: Sequence[str]) -> struct.Struct:
        """A format that picks these fields from a record, in their order there: integers, or the bytes of an array.

        :raises Malformed: one is missing or has an impossible place.
        """
        code, at = "=", 0
        for name in self.ordered(names):
            field = self.fields[name]
            if field.offset < at:
                raise Malformed(f"the trace event {self.id} has overlapping fields")
            code += f"{field.offset - at}x"
            if field.array or field.size not in _INTEGERS:
                code += f"{field.size}s"
            else:
                code += _INTEGERS[field.size] if field.signed else _INTEGERS[field.size].upper()
            at = field.offset + field.size
        return struct.Struct(code)

    def ordered(self, names: Sequence[str]) -> list[str]:
        """*names* in the order of :meth:`picker`.

        :raises Malformed: the event has not all of them.
        """
        missing = [name for name in names if name not in self.fields]
        if missing:
            raise Malformed(f"the trace event {self.id} has no field {', '.join(missing)} on this kernel")
        return sorted(names, key=lambda name: self.fields[name].offset)


class PageFormat(NamedTuple):
    """A page of a ring buffer.

    :ivar size: of the whole page, in bytes.
    :ivar commit: where the number of used bytes stands.
    :ivar data: where the events begin.
    """

    size: int
    commit: Field
    data: int


def parse_format(text: str) -> Format:
    """The file ``format`` of an event.

    :raises Malformed: it is none.
    """
    found = _ID.search(text)
    fields = _fields(text)
    if found is None or not fields:
        raise Malformed("the format of a trace event cannot be read")
    return Format(int(found[1]), fields, _symbols(text.partition("\nprint fmt:")[2]))


def parse_page_format(text: str) -> PageFormat:
    """The file ``header_page``.

    :raises Malformed: it is none.
    """
    fields = _fields(text)
    commit, data = fields.get("commit"), fields.get("data")
    if commit is None or data is None or commit.size not in (4, 8) or commit.offset + commit.size > data.offset:
        raise Malformed("the format of the trace's pages cannot be read")
    return PageFormat(data.offset + data.size, commit, data.offset)


def _fields(text: str) -> dict[str, Field]:
    fields = {}
    for kind, name, bracket, offset, size, signed in _FIELD.findall(text.partition("\nprint fmt:")[0]):
        array = bool(bracket) or "[" in kind
        fields[name] = Field(int(offset), int(size), signed == "1", array)
        if int(offset) + int(size) > _MAX_SIZE:
            raise Malformed(f"the field {name} of a trace event has an impossible place")
    return fields


def _symbols(text: str) -> dict[str, dict[int, str]]:
    found: dict[str, dict[int, str]] = {}
    for part in text.split(_SYMBOLS)[1:]:
        field, __, rest = part.partition(",")
        # The list ends with the first parenthesis: names have none.
        pairs = _SYMBOL.findall(rest.partition(")")[0])
        names = {int(number, 16 if number[:2].lower() == "0x" else 10): name for number, name in pairs}
        found.setdefault(field.strip(), {}).update(names)
    return found
