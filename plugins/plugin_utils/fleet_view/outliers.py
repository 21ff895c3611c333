# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""In what a host differs from its peers of the same inventory group. Private to this collection.

Discrete values are held against what nearly all peers agree on, ratios against their median and its absolute deviation
(MAD), which one sick host does not move.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.model import Outlier
from ansible_collections.nettriage.linux.plugins.plugin_utils.fleet_view.traits import RATIOS, Interface, Traits
from ansible_collections.nettriage.linux.plugins.plugin_utils.templates import FORMATS
from ansible_collections.nettriage.linux.plugins.plugin_utils.text import SEVERITIES, sentence

_ROWS = 200
_HOSTS = 20
# What the kernel itself sizes by the host's memory: no difference between hosts of different size.
_SIZED = frozenset(
    (
        "net.ipv4.tcp_mem",
        "net.ipv4.udp_mem",
        "net.ipv4.tcp_rmem",
        "net.ipv4.tcp_wmem",
        "net.ipv4.tcp_max_orphans",
        "net.ipv4.tcp_max_tw_buckets",
        "net.ipv4.tcp_max_syn_backlog",
        "net.netfilter.nf_conntrack_max",
        "net.netfilter.nf_conntrack_buckets",
        "net.netfilter.nf_conntrack_expect_max",
    )
)
_ALIKE = 0.05  # memory of two hosts of one size: what firmware keeps for itself differs
_TO_SIGMA = 1.4826  # a median absolute deviation as a standard deviation, for a normal distribution
_SEGMENT_RATIOS = ("retransmit_ratio", "out_of_order_ratio")
_SHOWN = {"rtt_ms": FORMATS["ms"]}


class _Kind(NamedTuple):
    """A kind of value that is compared.

    :ivar severity: ``warning`` for what slows a host down, ``info`` for what merely differs.
    """

    id: str
    severity: str
    layer: str


_SETTING = _Kind("fleet.setting_differs", "info", "4")
_KERNEL = _Kind("fleet.kernel_differs", "info", "4")
_SLOW = _Kind("nic.slow_link", "warning", "1/2")
_LINK = _Kind("fleet.link_differs", "warning", "1/2")
_FASTER = _Kind("fleet.link_differs", "info", "1/2")
_RATIO = _Kind("fleet.ratio_differs", "warning", "4")

Peers = Mapping[str, Traits]
_Told = Callable[[Any], str]


def outliers(
    traits: Peers, groups: Mapping[str, Sequence[str]], limits: Mapping[str, Any]
) -> tuple[list[Outlier], int]:
    """The outliers of all groups, those that slow down first, and how many there are.

    :param groups: the inventory groups of each host, without ``all``, which is no role. A difference that
        several groups show is told for the smallest.
    """
    members: dict[str, dict[str, Traits]] = {}
    for host, names in groups.items():
        for name in names:
            if host in traits:
                members.setdefault(name, {})[host] = traits[host]
    told: dict[tuple[object, ...], Outlier] = {}
    for name, peers in sorted(members.items(), key=lambda item: (len(item[1]), item[0])):
        if len(peers) >= limits["outlier_members_min"]:
            for row in _of_group(name, peers, limits):
                told.setdefault((row.key, tuple(row.hosts), repr(row.value)), row)
    rows = sorted(told.values(), key=_order)
    return rows[:_ROWS], len(rows)


def _order(row: Outlier) -> tuple[object, ...]:
    return SEVERITIES.index(row.severity), row.layer, row.hosts_total, row.group, row.key


def _of_group(group: str, peers: Peers, limits: Mapping[str, Any]) -> Iterator[Outlier]:
    yield from _links(group, peers, limits)
    yield from _odd(_KERNEL, group, "kernel", {name: each.kernel for name, each in peers.items()}, limits)
    keys = dict.fromkeys(key for each in peers.values() for key in each.settings)
    for key in keys:
        yield from _odd(_SETTING, group, key, _settings(key, peers), limits)
    for key in RATIOS:
        yield from _far_off(group, key, peers, limits)


def _settings(key: str, peers: Peers) -> dict[str, Any]:
    """What each peer has of *key*; of a key that follows the memory, only peers of the usual size."""
    found = {name: each.settings.get(key) for name, each in peers.items()}
    if key not in _SIZED:
        return found
    usual = statistics.median_low([each.memory_bytes or 0 for each in peers.values()])
    return {name: found[name] for name in found if abs((peers[name].memory_bytes or 0) - usual) <= usual * _ALIKE}


def _links(group: str, peers: Peers, limits: Mapping[str, Any]) -> Iterator[Outlier]:
    """Speed, duplex and MTU: of the default route's interface, and of physical ones that the peers call the same."""
    by_role: dict[str, dict[str, Interface]] = {}
    for name, each in peers.items():
        for interface in each.interfaces:
            role = "the default route" if interface.default_route else interface.name
            by_role.setdefault(role, {}).setdefault(name, interface)
    for role, found in by_role.items():
        for field, unit in (("speed_mbps", FORMATS["mbps"]), ("duplex", str), ("mtu", str)):
            values = {name: getattr(interface, field) for name, interface in found.items()}
            for row in _odd(_LINK, group, f"{field} of {role}", values, limits, unit):
                slower = field == "speed_mbps" and row.value < row.usual
                kind = _SLOW if slower else _FASTER if field == "speed_mbps" else _LINK
                yield Outlier(**{**row.__dict__, **kind._asdict()})


def _odd(
    kind: _Kind, group: str, key: str, values: Mapping[str, Any], limits: Mapping[str, Any], tell: _Told | None = None
) -> Iterator[Outlier]:
    """A row for each value that only a few have, where nearly all others agree; who has none is no peer."""
    by_value: dict[str, list[str]] = {}
    known = {name: value for name, value in values.items() if value is not None}
    for name, value in known.items():
        by_value.setdefault(repr(value), []).append(name)
    if len(known) < limits["outlier_members_min"] or len(by_value) == 1:
        return
    majority = max(by_value.values(), key=len)
    if len(majority) / len(known) < limits["outlier_majority"]:
        return
    usual = known[majority[0]]
    tell = tell or _plain
    for names in by_value.values():
        if names is not majority:
            value = known[names[0]]
            title = f"{_who(names)} {tell(value)} as {key}, {len(majority)} peers in {group} have {tell(usual)}"
            yield _row(kind, group, key, names, (value, usual), (len(majority), len(known)), title)


def _far_off(group: str, key: str, peers: Peers, limits: Mapping[str, Any]) -> Iterator[Outlier]:
    """Hosts whose ratio is much worse than their peers'."""
    values = {
        name: each.ratios[key]
        for name, each in peers.items()
        if key in each.ratios and (key not in _SEGMENT_RATIOS or each.segments >= limits["outlier_segments_min"])
    }
    if len(values) < limits["outlier_members_min"]:
        return
    median = statistics.median(values.values())
    deviation = statistics.median(abs(value - median) for value in values.values()) * _TO_SIGMA
    least = max(
        limits[f"outlier_{key}_min"],
        median * limits["outlier_factor"],
        median + deviation * limits["outlier_deviations"],
    )
    tell = _SHOWN.get(key, FORMATS["percent"])
    for name, value in values.items():
        if value > least:
            what = key.removesuffix("_ms").replace("_", " ")
            title = f"{_who([name])} {tell(value)} as {what}, the median in {group} is {tell(median)}"
            yield _row(_RATIO, group, key, [name], (value, median), (len(values) - 1, len(values)), title)


def _row(
    kind: _Kind, group: str, key: str, names: list[str], values: tuple[Any, Any], counts: tuple[int, int], title: str
) -> Outlier:
    value, usual = values
    peers, members = counts
    return Outlier(*kind, group, key, sorted(names)[:_HOSTS], len(names), value, usual, peers, members, sentence(title))


def _who(names: list[str]) -> str:
    return f"{names[0]} has" if len(names) == 1 else f"{len(names)} hosts have"


def _plain(value: Any) -> str:
    return sentence(" ".join(map(str, value)) if isinstance(value, list) else value, 60)
