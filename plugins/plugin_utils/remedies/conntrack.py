# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedy for a connection tracking table that is too small. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
    enough,
)

_ENTRY_BYTES = 320
_BUCKET_BYTES = 8
_PER_BUCKET = 4
_MOST = 1 << 24
_MAX, _BUCKETS = "net.netfilter.nf_conntrack_max", "net.netfilter.nf_conntrack_buckets"


def _conntrack_max(case: Case) -> Proposal:
    """Doubles the connection tracking table when it is nearly full, with as many hash buckets as that needs."""
    facts = case.at("conntrack") or {}
    most, buckets, usage = facts.get("max") or 0, facts.get("buckets") or 0, facts.get("usage")
    full = bool(case.found("conntrack.near_full")) or (usage or 0) >= 0.75
    crowded = bool(case.found("conntrack.hash_overloaded"))
    target = enough(most, 0, _MOST, full)
    wanted_buckets = max(buckets, -(-target // _PER_BUCKET))
    cost = (target - most) * _ENTRY_BYTES + (wanted_buckets - buckets) * _BUCKET_BYTES
    allowed = int(case.memory_bytes * case.policy.conntrack_memory_share)
    changes = []
    if target > most:
        why = f"the table holds {facts.get('count')} of {most}; beyond that new connections are dropped in silence"
        changes.append(Change(_MAX, target, why, "conntrack.delta.drop", (target - most) * _ENTRY_BYTES))
    if wanted_buckets > buckets:
        why = f"not more than {_PER_BUCKET} entries a bucket, so that look-ups stay short"
        cost_buckets = (wanted_buckets - buckets) * _BUCKET_BYTES
        changes.append(Change(_BUCKETS, wanted_buckets, why, "conntrack.delta.search_restart", cost_buckets))
    return Proposal(
        changes,
        [
            Guard(
                "connection tracking is in use",
                bool(facts.get("in_use")),
                "the module nf_conntrack is loaded" if facts.get("in_use") else "the module nf_conntrack is not loaded",
            ),
            case.exists(_MAX, _BUCKETS),
            Guard(
                "the size is the reason",
                full or crowded or not case.found("conntrack.dropping"),
                f"the table is at {usage:.0%}: drops at low usage come from races, not from its size"
                if usage is not None
                else "usage unknown",
            ),
            Guard(
                "fits into memory",
                most * _ENTRY_BYTES + cost <= allowed or not case.memory_bytes,
                f"{(most * _ENTRY_BYTES + cost) >> 20} MiB in the worst case, allowed are {allowed >> 20} MiB;"
                " exempting traffic from tracking or shorter timeouts cost none",
            ),
        ],
    )


CONNTRACK_MAX = Remedy(
    "conntrack_max",
    ("conntrack.near_full", "conntrack.dropping", "conntrack.hash_overloaded"),
    "medium",
    (_MAX, _BUCKETS),
    _conntrack_max,
)
