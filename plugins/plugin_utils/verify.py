# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a host is better or worse off after its settings were changed. Private to this collection."""

from __future__ import annotations

from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.arithmetic import lower_bound

Facts = dict[str, Any]
Row = dict[str, Any]


class Watched(NamedTuple):
    """A fact that must not get worse.

    :ivar factor: it is worse when it is more than this many times what it was ...
    :ivar slack: ... and by more than this, so that noise on a quiet host is no reason.
    """

    name: str
    path: str
    factor: float
    slack: float


_LOSS, _ROUND_TRIP = "tcp.derived.retransmit_ratio", "sockets.tcp.quality.rtt_ms.median"
WATCHED = (
    Watched("retransmitted share of segments", _LOSS, 2.0, 0.01),
    Watched("resets sent per second", "tcp.derived.resets_sent_per_s", 3.0, 10.0),
    Watched("failed connection attempts per second", "tcp.derived.attempt_fails_per_s", 3.0, 10.0),
    Watched("listen drops per second", "tcp.rates.TcpExt.ListenDrops", 2.0, 10.0),
    Watched("UDP receive errors per second", "tcp.rates.Udp.RcvbufErrors", 2.0, 10.0),
    Watched("packets dropped before the protocols per second", "tcp.softnet.rates.dropped", 2.0, 10.0),
    Watched("pruned receive queues per second", "tcp.rates.TcpExt.PruneCalled", 2.0, 10.0),
    Watched("connections lost to memory per second", "tcp.rates.TcpExt.TCPAbortOnMemory", 1.0, 1.0),
    Watched("connection tracking drops per second", "conntrack.rates.drop", 2.0, 1.0),
    Watched("median round-trip time in ms", _ROUND_TRIP, 1.5, 5.0),
)
# Fewer segments sent again than this say nothing about loss. Where nothing gets through any more, few are sent at all.
_RETRANSMITTED = 10


def verify(before: Facts, after: Facts, plan: list[Row]) -> Row:
    """What changed between two samples, one before and one after *plan* was applied.

    :returns: ``verdict`` (``better``, ``same`` or ``worse``), ``checks`` (each watched fact with both values) and
        ``proofs`` (each planned key with the fact in its ``verify_by``; ``proven`` is ``None`` where nothing moved).
    """
    checks = [_check(watched, before, after) for watched in WATCHED]
    proofs = [_proof(row, before, after) for row in plan if row["status"] == "planned"]
    if any(check["worse"] for check in checks):
        verdict = "worse"
    else:
        verdict = "better" if any(proof["proven"] for proof in proofs) else "same"
    return {"verdict": verdict, "checks": checks, "proofs": proofs}


def _check(watched: Watched, before: Facts, after: Facts) -> Row:
    old, new = measure(before, watched.path), measure(after, watched.path)
    certain = new
    if watched.path == _LOSS:
        certain = _certain_loss(after)
        new = certain if new is None else new
    elif watched.path == _ROUND_TRIP and new is not None:
        certain = new - _longer_paths(before, after)
    # Without a value from before there is nothing to be worse than.
    worse = old is not None and certain is not None and certain > old * watched.factor and certain - old > watched.slack
    return {"name": watched.name, "before": old, "after": new, "worse": worse}


def _certain_loss(facts: Facts) -> float | None:
    """The retransmitted share that the number of segments proves; ``None`` where they are too few.

    It is 1 where nothing new is sent any more, since what was sent before does not arrive.
    """
    retransmitted = measure(facts, "tcp.derived.retransmitted_segments") or 0.0
    if retransmitted < _RETRANSMITTED:
        return None
    sent = measure(facts, "tcp.derived.data_segments_sent") or 0.0
    return lower_bound(min(retransmitted, sent), sent) if sent else 1.0


def _longer_paths(before: Facts, after: Facts) -> float:
    """By how many ms the shortest round trips have grown: other connections than before, to hosts further away."""
    old, new = (measure(facts, "sockets.tcp.quality.min_rtt_ms.median") or 0.0 for facts in (before, after))
    return max(0.0, new - old)


def _proof(row: Row, before: Facts, after: Facts) -> Row:
    if row["proof"] == "set":
        return {"key": row["key"], "verify_by": "read back", "before": None, "after": None, "proven": None}
    old, new = measure(before, row["verify_by"]), measure(after, row["verify_by"])
    proven = None
    if old is not None and new is not None and (old or new):
        proven = new > 0 if row["proof"] == "rises" else new < old
    return {"key": row["key"], "verify_by": row["verify_by"], "before": old, "after": new, "proven": proven}


def measure(facts: Facts, path: str) -> float | None:
    """The number at a dotted *path*; the largest one where the path leads through a list."""
    found: Any = facts
    parts = path.split(".")
    for position, part in enumerate(parts):
        if isinstance(found, list):
            rest = ".".join(parts[position:])
            values = [value for row in found if (value := measure(row, rest)) is not None]
            return max(values, default=None)
        if not isinstance(found, dict):
            return None
        found = found.get(part)
    return float(found) if isinstance(found, (int, float)) and not isinstance(found, bool) else None
