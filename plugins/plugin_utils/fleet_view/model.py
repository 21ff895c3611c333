# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What only all hosts together tell: the words of the fleet view. Private to this collection.

Every list is bounded and worst first; a ``*_total`` beside it tells how many there are.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

Process = Mapping[str, Any]
"""``{pid, command, unit, container}`` of the facts."""


@dataclass(frozen=True)
class Listener:
    """Where a connection ends: one row of the target's listeners.

    :ivar address: as the program has bound it, so maybe any address.
    """

    address: str
    port: int
    processes: Sequence[Process]


@dataclass(frozen=True)
class Dependency:
    """One host's destination that is another host of the fleet, over all its source addresses.

    :ivar source: the host that connects.
    :ivar processes: those of the source that connect.
    :ivar target: the host that has the address; ``None`` where it cannot be told.
    :ivar candidates: the hosts that might be it, where ``target`` is ``None``.
    :ivar listener: what accepts there; ``None`` where it is not known, and then ``note`` says why.
    :ivar connections: how many, in whatever state.
    :ivar states: ``{"established": 3, "time_wait": 40}``.
    :ivar rtt_ms: the median smoothed round-trip time; ``None`` where it was not measured.
    :ivar retransmit_ratio: of the segments towards it; ``None`` where it was not measured.
    :ivar note: what cannot be told about it, as one sentence.
    :ivar source_inside: the network namespace on the source that connects (``container 3f4e5d6c7b8a``); ``None`` for
        the host's own.
    :ivar target_inside: the one on the target that has the address.
    """

    source: str
    processes: Sequence[Process]
    target: str | None
    candidates: Sequence[str]
    address: str
    port: int
    listener: Listener | None
    connections: int
    states: Mapping[str, int]
    rtt_ms: float | None
    retransmit_ratio: float | None
    note: str | None
    source_inside: str | None = None
    target_inside: str | None = None

    @property
    def stuck(self) -> int:
        """Connection attempts that have no answer yet."""
        return self.states.get("syn_sent", 0)


@dataclass(frozen=True)
class Dependencies:
    """Whose destination is whose listener.

    :ivar rows: those in trouble first, then by the number of connections.
    :ivar total: how many there are.
    :ivar ambiguous: how many of them are somebody's of whom it cannot be told who.
    :ivar outside: destinations that no host of this report has.
    """

    rows: Sequence[Dependency] = ()
    total: int = 0
    ambiguous: int = 0
    outside: int = 0


@dataclass(frozen=True)
class Part:
    """A finding of one host that belongs to a finding of the fleet.

    :ivar end: ``near`` for the host that connects, ``far`` for the one that is connected to.
    """

    host: str
    end: str
    id: str
    severity: str
    subject: str
    title: str
    evidence: Mapping[str, Any]


@dataclass(frozen=True)
class FleetFinding:
    """One problem that several hosts see, each from its end.

    :ivar host: the host to look at first; ``None`` where it is none of this report.
    :ivar subject: who or what is the culprit, in a few words.
    :ivar evidence: what it rests on, as in a host's finding.
    :ivar hosts: every host concerned, bounded; ``hosts_total`` is how many.
    :ivar parts: both ends' findings, far ends first, bounded; ``parts_total`` is how many.
    :ivar command: one line that shows it on ``host``.
    """

    id: str
    severity: str
    layer: str
    host: str | None
    subject: str
    title: str
    evidence: Mapping[str, Any]
    cause: str
    advice: Sequence[str]
    command: str
    hosts: Sequence[str]
    hosts_total: int
    parts: Sequence[Part]
    parts_total: int


@dataclass(frozen=True)
class Outlier:
    """Something in which a few hosts differ from their peers of one inventory group.

    :ivar id: ``fleet.setting_differs``, ``fleet.link_differs``, ``nic.slow_link``, ``fleet.kernel_differs`` or
        ``fleet.ratio_differs``.
    :ivar key: what differs: ``net.core.somaxconn``, ``speed_mbps of eth1``, ``retransmit_ratio``.
    :ivar hosts: those that differ and have this value, bounded; ``hosts_total`` is how many.
    :ivar usual: the peers' value: that of the majority, or for a ratio the median.
    :ivar peers: how many have the usual value; for a ratio, how many were compared with.
    :ivar members: how many hosts of the group have such a value at all.
    """

    id: str
    severity: str
    layer: str
    group: str
    key: str
    hosts: Sequence[str]
    hosts_total: int
    value: Any
    usual: Any
    peers: int
    members: int
    title: str


@dataclass(frozen=True)
class Change:
    """A finding that is not what it was in the report before.

    :ivar severity: now; ``None`` where it is gone.
    :ivar before: in the report before; ``None`` where it is new.
    """

    host: str
    id: str
    subject: str
    title: str
    severity: str | None
    before: str | None


@dataclass(frozen=True)
class Changes:
    """What is different since the report before. Only hosts that were looked at both times are compared.

    :ivar since: when the report before was made, UTC, ISO 8601; ``None`` where there is none to compare with.
    :ivar why: why there is nothing to compare with, one sentence; ``None`` where there is.
    :ivar totals: how many there are of each list; ``{"new": 3, "appeared": 1, ...}``.
    :ivar appeared: hosts that were not in the report before.
    :ivar vanished: hosts that are in the report before only.
    :ivar lost: hosts that could be looked at then and cannot now.
    """

    since: str | None = None
    why: str | None = None
    new: Sequence[Change] = ()
    worse: Sequence[Change] = ()
    better: Sequence[Change] = ()
    gone: Sequence[Change] = ()
    appeared: Sequence[str] = ()
    vanished: Sequence[str] = ()
    lost: Sequence[str] = ()
    totals: Mapping[str, int] = field(default_factory=dict)

    @property
    def any(self) -> bool:
        """Whether anything has changed."""
        return any(self.totals.values())


_NO_DEPENDENCIES = Dependencies()
_NO_CHANGES = Changes()


@dataclass(frozen=True)
class Joined:
    """The fleet view: everything that one host alone does not tell.

    :ivar findings: worst first, then by the number of hosts.
    """

    dependencies: Dependencies = _NO_DEPENDENCIES
    findings: Sequence[FleetFinding] = ()
    findings_total: int = 0
    outliers: Sequence[Outlier] = ()
    outliers_total: int = 0
    changes: Changes = _NO_CHANGES


NOTHING = Joined()
