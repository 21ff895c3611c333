# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a remedy is made of. Private to this collection."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from ansible_collections.nettriage.linux.plugins.plugin_utils.policy import Policy

Value = int | str | list[int]


@dataclass(frozen=True)
class Guard:
    """One condition that must hold before a setting is touched, with what was seen."""

    name: str
    holds: bool
    detail: str


@dataclass(frozen=True)
class Change:
    """One key and what it should be.

    :ivar memory_bytes: what the change may cost in the worst case.
    :ivar raises: whether the new value is larger by its nature, so that the transaction may be told to only raise.
    :ivar verify_by: the path of the fact whose change proves the effect.
    :ivar proof: whether that fact ``falls`` or ``rises`` then, or the value read back is all there is (``set``).
    """

    key: str
    proposed: Value
    why: str
    verify_by: str
    memory_bytes: int = 0
    raises: bool = True
    proof: str = "falls"


@dataclass(frozen=True)
class Proposal:
    """What a remedy would do on one host, and under which conditions."""

    changes: list[Change]
    guards: list[Guard] = field(default_factory=list)
    restart_needed: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Remedy:
    """One of the collection's remedies.

    :ivar cures: ids of the findings that are evidence for it; without any it is applied only when asked for.
    :ivar keys: what it may set, and nothing else; ``*`` stands for the name of an interface.
    :ivar propose: its docstring tells operators what it does.
    """

    name: str
    cures: tuple[str, ...]
    risk: str
    keys: tuple[str, ...]
    propose: Callable[[Case], Proposal]


class Case:
    """One host as the remedies see it."""

    def __init__(self, facts: dict[str, Any], findings: Iterable[dict[str, Any]], policy: Policy) -> None:
        self.facts = facts
        self.findings = list(findings)
        self.policy = policy

    def at(self, path: str) -> Any:
        """The fact at a dotted *path*, ``None`` where a part of it is absent."""
        found: Any = self.facts
        for part in path.split("."):
            if not isinstance(found, dict):
                return None
            found = found.get(part)
        return found

    def rows(self, path: str) -> list[dict[str, Any]]:
        """The list at *path*; empty where it is absent."""
        return self.at(path) or []

    def value(self, key: str) -> Any:
        """The sysctl *key* as it stands; ``None`` where this kernel or namespace has none."""
        return (self.at("sysctl.values") or {}).get(key)

    def number(self, key: str) -> int | None:
        value = self.value(key)
        return value if isinstance(value, int) else None

    def triple(self, key: str) -> list[int] | None:
        """A key of three numbers: lowest, default and highest."""
        value = self.value(key)
        return value if isinstance(value, list) and len(value) == 3 else None

    def found(self, *ids: str) -> list[dict[str, Any]]:
        return [finding for finding in self.findings if finding["id"] in ids]

    @property
    def memory_bytes(self) -> int:
        return int(self.at("meta.memory_bytes") or 0)

    @property
    def kernel(self) -> tuple[int, int]:
        """Major and minor number of the kernel; (0, 0) where it is not known."""
        parts = str(self.at("meta.kernel") or "").split(".")
        try:
            return int(parts[0]), int(parts[1].split("-")[0])
        except (IndexError, ValueError):
            return 0, 0

    def exists(self, *keys: str) -> Guard:
        """The guard that every remedy begins with."""
        missing = [key for key in keys if self.value(key) is None]
        if missing:
            return Guard(
                "key exists", False, f"{', '.join(missing)} does not exist on this kernel or in this namespace"
            )
        return Guard("key exists", True, f"{', '.join(keys)} exists")


def owners(processes: Iterable[dict[str, Any]]) -> Iterator[str]:
    """What an operator would restart: the unit, else the container, else the command with its pid."""
    for process in processes:
        yield process.get("unit") or process.get("container") or f"{process.get('command')} (pid {process.get('pid')})"


def enough(current: int, sensible: int, highest: int, short: bool) -> int:
    """At least *sensible*, twice *current* where it is *short* right now; at most *highest*, never below *current*.

    Only present evidence doubles, so that asking for a remedy twice changes nothing the second time.
    """
    return max(current, min(highest, max(sensible, 2 * current if short else 0)))
