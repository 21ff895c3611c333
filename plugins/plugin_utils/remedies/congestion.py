# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remedies for the pace of sending. Private to this collection."""

from __future__ import annotations

from ansible_collections.nettriage.linux.plugins.plugin_utils.remedies.model import (
    Case,
    Change,
    Guard,
    Proposal,
    Remedy,
)


def _bbr(case: Case) -> Proposal:
    """Uses BBR for new connections where the path is long and loses packets at random; refused in a datacentre."""
    current = case.value("net.ipv4.tcp_congestion_control")
    available = case.value("net.ipv4.tcp_available_congestion_control") or []
    allowed = case.value("net.ipv4.tcp_allowed_congestion_control") or []
    # The kernel holds only the namespaces that it did not start with to the list.
    contained = bool(case.at("meta.netns") or case.at("meta.container"))
    quality = case.at("sockets.tcp.quality") or {}
    rtt = case.policy.rtt_ms or (quality.get("min_rtt_ms") or {}).get("median")
    loss, reordering = quality.get("retransmit_ratio"), quality.get("reordering_max")
    policy = case.policy
    listed = "bbr" in available
    return Proposal(
        []
        if current == "bbr"
        else [
            Change(
                "net.ipv4.tcp_congestion_control",
                "bbr",
                "on a long path with random loss it does not take every lost segment for congestion;"
                " only connections opened from now on use it",
                "sockets.tcp.quality.retransmit_ratio",
                raises=False,
            )
        ],
        [
            case.exists("net.ipv4.tcp_congestion_control"),
            Guard("kernel has BBR", case.kernel >= (4, 9), f"Linux {case.at('meta.kernel')}; BBR came with 4.9"),
            Guard(
                "listed or loadable",
                listed or not contained,
                f"available are {', '.join(available) or 'unknown'}"
                + ("" if listed else "; only the host itself can load the module tcp_bbr, if it has it"),
            ),
            Guard(
                "allowed",
                not contained or not allowed or "bbr" in allowed,
                f"a namespace may have {', '.join(allowed) or 'an unknown choice'};"
                " net.ipv4.tcp_allowed_congestion_control of the host decides",
            ),
            Guard(
                "the path is long",
                rtt is not None and rtt > policy.wan_rtt_ms,
                f"round-trip time {'not measured' if rtt is None else f'{rtt:g} ms'},"
                f" long is above {policy.wan_rtt_ms:g} ms;"
                " within a datacentre BBR gains nothing and takes from others",
            ),
            Guard(
                "the path loses some",
                loss is not None and policy.loss_min <= loss <= policy.loss_max,
                "loss "
                + ("not measured" if loss is None else f"{loss:.2%}")
                + f", BBR helps from {policy.loss_min:.1%} to {policy.loss_max:.0%}",
            ),
            Guard(
                "the path keeps the order",
                reordering is None or reordering <= 3 or loss is None or loss > 0.01,
                f"reordering depth {reordering if reordering is not None else 'not measured'}",
            ),
        ],
    )


def _slow_start(case: Case) -> Proposal:
    """Keeps the congestion window of a connection over a pause. Only on request."""
    key = "net.ipv4.tcp_slow_start_after_idle"
    why = "a connection keeps its congestion window over a pause; bursts after a pause get larger"
    changes = [Change(key, 0, why, "sysctl.values", raises=False, proof="set")]
    return Proposal([] if case.number(key) == 0 else changes, [case.exists(key)])


CONGESTION_CONTROL = Remedy(
    "congestion_control", ("tcp.congestion_control",), "medium", ("net.ipv4.tcp_congestion_control",), _bbr
)
SLOW_START = Remedy("slow_start", (), "medium", ("net.ipv4.tcp_slow_start_after_idle",), _slow_start)
