# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""One end of a connection: what its host registered, and what is wrong on it by itself. Private to this collection."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.findings import Catalogue, judge
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet import MISSHAPEN, Unusable, facts_of
from ansible_collections.nettriage.linux.plugins.plugin_utils.paths import cleared

Row = dict[str, Any]


class End:
    """A host of the inventory, or one outside of it.

    :ivar facts: what ``peer_facts`` returned there; empty where it was not looked at.
    :ivar error: why it was not.
    """

    def __init__(self, name: str, result: Mapping[str, Any] | None, catalogue: Catalogue, outside: bool) -> None:
        self.name = name
        self.facts: Row = {}
        self.error: str | None = None
        self._catalogue = catalogue
        if outside:
            self.error = "it is not in the inventory"
        elif result is None:
            self.error = "it was not asked: it is not in the play"
        else:
            try:
                found, __ = facts_of(result)
            except Unusable as error:
                self.error = str(error)
            else:
                try:
                    path = {**(found.get("path") or {}), "paths": cleared(rows(found, "path", "paths"))}
                    self.facts = {**found, "path": path}
                except MISSHAPEN:
                    self.error = "what it returned is not what peer_facts returns"

    @classmethod
    def misshapen(cls, name: str) -> End:
        """A host of a pair of which at least one end returned something of another form."""
        made = cls(name, None, Catalogue({}, None, []), False)
        made.error = "what it or the other end returned is not what peer_facts returns"
        return made

    @property
    def seen(self) -> bool:
        return bool(self.facts)

    @cached_property
    def findings(self) -> list[Row]:
        """What the rules of the audit say of this host alone."""
        return judge(self.facts, self._catalogue) if self.facts else []

    def target(self, address: str) -> Row:
        """What it knows of the way to *address*, as it was given to it."""
        return self._one("peers", "targets", "target", address)

    def client(self, addresses: list[str]) -> Row:
        """What it knows of the way back to one of *addresses*."""
        found = (self._one("peers", "clients", "address", address) for address in addresses)
        return next((row for row in found if row), {})

    def path(self, subset: str, address: str) -> Row:
        """The row of ``path`` or ``pmtu`` for *address*, as it was given to it."""
        return self._one(subset, "paths", "target", address)

    def connect(self, address: str | None, port: int | None) -> Row:
        """How connections to *port* of *address* ended."""
        return next(
            (
                {**row, **place}
                for row in rows(self.facts, "http", "targets")
                for place in row.get("addresses") or ()
                if place.get("address") == address and row.get("port") == port
            ),
            {},
        )

    def nic(self, name: str | None) -> Row:
        """The interface *name* as its own subset describes it."""
        return self._one("nic", "interfaces", "name", name)

    def _one(self, subset: str, table: str, key: str, value: Any) -> Row:
        return next((row for row in rows(self.facts, subset, table) if row.get(key) == value), {})


def rows(facts: Row, *path: str) -> list[Row]:
    """The rows at *path* of *facts*; none where there is no such list."""
    value: Any = facts
    for key in path:
        value = value.get(key) if isinstance(value, dict) else None
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []
