# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is looked at from where: pairs of hosts out of two patterns, and their addresses. Private to this collection."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

# What one run of the module peer_facts takes.
MAX_TARGETS = 64
_SPECIAL = "*?[]!&~"

Hosts = Callable[[str], list[str]]
"""The hosts of the inventory that match a pattern."""


class Pairs:
    """Every source with every destination, without itself.

    :ivar sources: names of the inventory.
    :ivar destinations: names of the inventory, and hosts outside of it.
    :ivar outside: the latter.
    """

    def __init__(self, sources: str, destinations: str, hosts: Hosts, limit: int = MAX_TARGETS) -> None:
        """:param limit: how many destinations a source has at most.

        :raises ValueError: a pattern that no host matches, or a limit below 0.
        """
        for option, pattern in (("sources", sources), ("destinations", destinations)):
            if not pattern.strip():
                name = f"triage_{option[:-1]}"
                raise ValueError(
                    f"{option}: {pattern!r} is not accepted; give a pattern of hosts (role triage: {name})"
                )
        if limit < 0:
            raise ValueError(
                f"limit: {limit} is not accepted; give 0 or how many peers a host has (role mesh: mesh_peers)"
            )
        self.sources = hosts(sources)
        if not self.sources:
            raise ValueError(f"{sources!r} matches no host of the inventory")
        self.destinations, self.outside = _matched(destinations, hosts)
        if not self.destinations:
            raise ValueError(f"{destinations!r} matches no host of the inventory, and is no host name or address")
        self._limit = min(limit or MAX_TARGETS, MAX_TARGETS)
        self._places = {name: place for place, name in enumerate(self.destinations)}

    def of(self, source: str) -> list[str]:
        """The destinations of *source*: all, or where there are too many, the same few in every run.

        They are taken in equal steps from the place after its own, so that in a group each host is looked at from as
        many hosts as it looks at.
        """
        if source not in self.sources:
            return []
        start = self._places[source] + 1 if source in self._places else self.sources.index(source)
        ring = [*self.destinations[start:], *self.destinations[:start]]
        others = [name for name in ring if name != source]
        if len(others) > self._limit:
            others = [others[number * len(others) // self._limit] for number in range(self._limit)]
        return sorted(others, key=self._places.__getitem__)

    def to(self, destination: str) -> list[str]:
        """The sources from which *destination* is looked at."""
        return [source for source in self.sources if destination in self.of(source)]

    @property
    def possible(self) -> int:
        """How many pairs there are without a limit."""
        return sum(len(self.destinations) - (source in self._places) for source in self.sources)

    def all(self) -> list[tuple[str, str]]:
        """Every pair that is looked at."""
        return [(source, destination) for source in self.sources for destination in self.of(source)]


def _matched(pattern: str, hosts: Hosts) -> tuple[list[str], set[str]]:
    """The hosts of *pattern*; a part that no host matches stands for itself."""
    parts = [part.strip() for part in pattern.split(",") if part.strip()]
    if any(part[0] in "!&" for part in parts):
        return hosts(pattern), set()
    found: list[str] = []
    outside: set[str] = set()
    for part in parts:
        inside = hosts(part)
        if not inside and not set(part) & set(_SPECIAL):
            outside.add(part)
            inside = [part]
        found += [name for name in inside if name not in found]
    return found, outside


class Addresses:
    """How others reach a host.

    :param variable: the variable of the host that says so; a text, or a list with one for each family.
    :param common: what that variable is for everyone, such as one on the command line, for hosts outside.
    """

    def __init__(self, hostvars: Mapping[str, Any], variable: str, common: Any = None) -> None:
        self._hostvars = hostvars
        self._variable = variable
        self._common = common

    def of(self, name: str) -> list[str]:
        """The addresses or names of the host *name*: the stated ones, where Ansible connects to, or its name."""
        if name not in self._hostvars:
            return _texts(self._common) or [name]
        own = self._hostvars[name]
        facts = own.get("ansible_facts") or {}
        gathered = [(facts.get(key) or {}).get("address") for key in ("default_ipv4", "default_ipv6")]
        for found in (own.get(self._variable), own.get("ansible_host"), gathered[0] or gathered[1]):
            if _texts(found):
                return _texts(found)
        return [name]


def _texts(value: Any) -> list[str]:
    """*value*, a text or a list of them, as a list."""
    found = untagged(value) if value else []
    return [text for each in (found if isinstance(found, list) else [found]) if (text := str(each).strip())]


def untagged(value: Any) -> Any:
    """*value* in Python's own types: what comes through templates is tagged and lazy since ansible-core 2.19."""
    return json.loads(json.dumps(value))
