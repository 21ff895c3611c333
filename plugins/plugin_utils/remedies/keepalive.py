# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedy for connections whose peer has died unnoticed. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
)

_KEY = "net.ipv4.tcp_keepalive_"


def _keepalive(case: Case) -> Proposal:
    """Notices dead peers of idle connections in minutes instead of hours, where programs ask for keepalive."""
    policy = case.policy
    wanted = {"time": policy.keepalive_time_s, "intvl": policy.keepalive_intvl_s, "probes": policy.keepalive_probes}
    detection_s = policy.keepalive_time_s + policy.keepalive_intvl_s * policy.keepalive_probes
    # Keepalive is only ever made quicker: a shorter value of the operator's own stays.
    changes = [
        Change(
            _KEY + name,
            value,
            f"a dead peer is noticed after {detection_s} s"
            " on connections that are opened from now on; armed timers keep the old value",
            "sysctl.values",
            raises=False,
            proof="set",
        )
        for name, value in wanted.items()
        if (case.number(_KEY + name) or 0) > value
    ]
    share = case.at("sockets.tcp.quality.keepalive_share")
    idle = policy.middlebox_idle_s
    return Proposal(
        changes,
        [
            case.exists(*(_KEY + name for name in wanted)),
            Guard(
                "sockets use keepalive",
                share is None or share > 0,
                "not one idle connection has SO_KEEPALIVE set, so the setting would do nothing"
                if share == 0
                else "the share of idle connections with SO_KEEPALIVE is "
                + ("unknown" if share is None else f"{share:.0%}"),
            ),
            Guard(
                "below the middlebox's idle timeout",
                idle is None or policy.keepalive_time_s < idle,
                f"first probe after {policy.keepalive_time_s} s, idle timeout on the way "
                + ("not stated" if idle is None else f"{idle} s"),
            ),
        ],
    )


KEEPALIVE = Remedy(
    "keepalive", ("tcp.keepalive_slow",), "low", (f"{_KEY}time", f"{_KEY}intvl", f"{_KEY}probes"), _keepalive
)
