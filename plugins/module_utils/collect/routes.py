# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Routes, rules, neighbours and the reverse path filter. Private to this collection."""

from __future__ import annotations

import os
import socket
from typing import Any, Callable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import neighbours, rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_int, read_text, shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.neighbours import Neighbours, Table
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import Netlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import cpu_table
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import Default, Routes, Rule

_IPV4, _IPV6 = socket.AF_INET.value, socket.AF_INET6.value
_ALL = -1
_UNKNOWN = Table(None, None, None, None, None)
# Any addresses in the world: which way would a packet to them leave? Asking the routing table sends nothing.
_OUTSIDE = {_IPV4: "1.1.1.1", _IPV6: "2606:4700:4700::1111"}


class Sample(NamedTuple):
    """One reading.

    :ivar names: interface index to name.
    :ivar exempt_counts: permanent neighbours count against a table's limit too (before Linux 5.0).
    :ivar rp_filter: interface index to value, -1 being ``all``.
    """

    names: dict[int, str]
    routes: Routes
    rules: list[Rule] | None
    neighbours: Neighbours
    tables: dict[int, Table]
    exempt_counts: bool
    rp_filter: dict[int, int]
    ways: list[dict[str, Any]]
    limited: list[str]


def baseline(host: Host) -> dict[int, Table]:
    """The neighbour tables: nothing else of this subset is counted, and a router has many routes to walk."""
    try:
        host.require_live("neighbour tables")
        with rtnetlink.open_route() as link:
            return neighbours.tables(link)
    except Unavailable:
        return {family: _table(host, family, []) for family in (_IPV4, _IPV6)}


def sample(host: Host) -> Sample:
    """:raises Unavailable: neither rtnetlink nor the files below ``/proc/net`` tell any route."""
    try:
        host.require_live("routes")
        with rtnetlink.open_route() as link:
            return _ask(host, link)
    except Unavailable as error:
        return _recorded(host, str(error))


def _ask(host: Host, link: Netlink) -> Sample:
    limited: list[str] = []

    def consistent(name: str, answer: tuple[Any, bool]) -> Any:
        if answer[1]:
            limited.append(f"{name}: changed while they were read, so one may be missing or there twice")
        return answer[0]

    def optional(name: str, ask: Callable[[], Any], otherwise: Any) -> Any:
        try:
            return ask()
        except Unavailable as error:
            limited.append(f"{name}: {error}")
            return otherwise

    links = consistent("interfaces", rtnetlink.links(link))
    names = {each.ifindex: each.name for each in links}
    routes = consistent("routes", rtnetlink.routes(link))
    gateways = frozenset(hop.gateway for hop in routes.defaults if hop.gateway)
    return Sample(
        names,
        routes,
        optional("rules", lambda: consistent("rules", rtnetlink.rules(link)), None),
        optional(
            "neighbours",
            lambda: consistent("neighbours", neighbours.neighbours(link, gateways)),
            Neighbours({}, {}, {}, {}),
        ),
        optional("neighbour tables", lambda: neighbours.tables(link), {}),
        _release() < (5, 0),
        optional("rp_filter", lambda: rtnetlink.rp_filters(link), {}) or _rp_filters(host, names),
        [_way(link, _OUTSIDE[family]) for family in sorted({hop.family for hop in routes.defaults})],
        limited,
    )


def _release() -> tuple[int, ...]:
    numbers = os.uname().release.split("-")[0].split(".")
    return tuple(int(each) for each in numbers[:2] if each.isascii() and each.isdigit())


def _recorded(host: Host, reason: str) -> Sample:
    # Few hosts need the fallback, and every import costs each host.
    from ansible_collections.nettriage.linux.plugins.module_utils.kernel import route_files

    found, damage = route_files.read_routes(host)
    if not found:
        raise Unavailable(f"{reason}; and neither net/route nor net/ipv6_route can be read")
    limited = [f"{reason}; rules, tables other than main, IPv6 neighbours and the way out are not known", *damage]
    arp: list[tuple[str, str, str]] = []
    seen: dict[int, int] = {}
    try:
        arp, damaged = route_files.parse_arp(read_text(host.net("arp")))
        if damaged:
            limited.append(f"net/arp: {damaged} lines are damaged")
        if arp or not damaged:
            seen[_IPV4] = sum(state == "permanent" for __, __, state in arp)
    except Unavailable as error:
        limited.append(str(error))
    rp_filter = route_files.rp_filters(host)
    every = [each.interface for routes in found.values() for each in routes] + [each[0] for each in arp] + [*rp_filter]
    index = {name: number for number, name in enumerate(dict.fromkeys(every), 1)}
    counts: dict[tuple[int, int, str], int] = {}
    examples: dict[int, list[str]] = {}
    states: dict[tuple[int, str], str] = {}
    for name, address, state in arp:
        key = _IPV4, index[name], state
        counts[key] = counts.get(key, 0) + 1
        states[index[name], address] = state
        if state == "incomplete":
            examples.setdefault(index[name], []).append(address)
    defaults = [
        Default(family, each.gateway, index[each.interface], each.metric, None, "main", True)
        for family, routes in found.items()
        for each in routes
        if each.default
    ]
    return Sample(
        {number: name for name, number in index.items()},
        Routes({family: len(routes) for family, routes in found.items()}, defaults),
        None,
        Neighbours(counts, {i: rows[: neighbours.EXAMPLES] for i, rows in examples.items()}, states, seen),
        {family: _table(host, family, limited) for family in (_IPV4, _IPV6)},
        True,
        {_ALL if name == "all" else index[name]: value for name, value in rp_filter.items()},
        [],
        limited,
    )


def _table(host: Host, family: int, limited: list[str]) -> Table:
    """A table's limits and counters as files tell them, which is in the first network namespace only."""
    version, file = ("ipv4", "arp_cache") if family == _IPV4 else ("ipv6", "ndisc_cache")
    rows: list[dict[str, int]] = []
    try:
        rows, damage = cpu_table(read_text(host.net("stat", file)))
        limited += [f"net/stat/{file}: {sentence}" for sentence in damage]
    except Unavailable as error:
        limited.append(str(error))
    low, middle, high = (
        read_int(host.proc("sys/net", version, "neigh/default", f"gc_thresh{each}")) for each in (1, 2, 3)
    )
    # "entries" is the same on every CPU; "table_fulls" is of Linux 4.3.
    fulls = [row["table_fulls"] for row in rows if "table_fulls" in row]
    return Table(rows[0].get("entries") if rows else None, low, middle, high, sum(fulls) if fulls else None)


def _rp_filters(host: Host, names: dict[int, str]) -> dict[int, int]:
    from ansible_collections.nettriage.linux.plugins.module_utils.kernel import route_files

    index = {name: number for number, name in names.items()}
    values = route_files.rp_filters(host)
    return {_ALL if name == "all" else index[name]: value for name, value in values.items() if name in ("all", *index)}


def route_get(host: Host, destination: str) -> dict[str, Any]:
    """The way that a packet to *destination* would take: ``interface``, ``gateway``, ``source``, ``mtu``.

    ``error`` says why there is none. No packet is sent. ``mtu`` is the path's where the kernel has learnt it.

    :raises Unavailable: netlink cannot be asked.
    """
    host.require_live("route get")
    with rtnetlink.open_route() as link:
        return _way(link, destination)


def _way(link: Netlink, destination: str) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(("interface", "gateway", "source", "mtu", "table", "error"))
    try:
        found = rtnetlink.way(link, destination)
        through = rtnetlink.one_link(link, found.ifindex) if found.ifindex else None
    except Unavailable as error:
        return {"destination": destination, **row, "error": str(error)}
    row.update(gateway=found.gateway, source=found.source, mtu=found.mtu, table=found.table)
    if through is not None:
        row.update(interface=shown(through.name), mtu=found.mtu or through.mtu)
    return {"destination": destination, **row}


def facts(host: Host, before: dict[int, Table] | None, now: Sample, window: Window) -> Facts:
    top = window.top
    interfaces = _interfaces(now)
    filters = _filters(now)
    rules = None if now.rules is None else [_rule(each) for each in now.rules[:top]]
    return {
        "available": True,
        "limited": now.limited,
        "counts": {rtnetlink.family_name(family): number for family, number in now.routes.counts.items()},
        "default_total": len(now.routes.defaults),
        "default": [_default(each, now) for each in sorted(now.routes.defaults, key=_preference)[:top]],
        "rules_total": None if now.rules is None else len(now.rules),
        "rules": rules,
        "neighbours": {
            "ipv4": _family(_IPV4, before, now),
            "ipv6": _family(_IPV6, before, now),
            "interfaces_total": len(interfaces),
            "interfaces": interfaces[:top],
        },
        "rp_filter_total": len(filters),
        "rp_filter": filters[:top],
        "route_get": now.ways,
    }


def _preference(hop: Default) -> tuple[Any, ...]:
    return hop.family, hop.table != "main", hop.metric


def _name(now: Sample, ifindex: int | None) -> str | None:
    return shown(now.names[ifindex]) if ifindex in now.names else None


def _default(hop: Default, now: Sample) -> dict[str, Any]:
    state = now.neighbours.states.get((hop.ifindex or 0, hop.gateway or ""))
    return {
        "family": rtnetlink.family_name(hop.family),
        "gateway": hop.gateway,
        "gateway_state": state,
        "interface": _name(now, hop.ifindex),
        "metric": hop.metric,
        "source": hop.source,
        "table": hop.table,
        "usable": hop.usable,
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "family": rtnetlink.family_name(rule.family),
        "priority": rule.priority,
        "from": rule.source or "all",
        "to": rule.destination or "all",
        "in_interface": None if rule.in_interface is None else shown(rule.in_interface),
        "out_interface": None if rule.out_interface is None else shown(rule.out_interface),
        "mark": rule.mark,
        "action": rule.action,
        "table": rule.table,
    }


def _family(family: int, before: dict[int, Table] | None, now: Sample) -> dict[str, Any]:
    table = now.tables.get(family, _UNKNOWN)
    seen = family in now.neighbours.exempt
    states: dict[str, int] = {}
    for (of, __, state), number in now.neighbours.counts.items():
        if of == family:
            states[state] = states.get(state, 0) + number
    counted = table.entries
    if counted is not None and not now.exempt_counts:
        counted = max(0, counted - now.neighbours.exempt.get(family, 0))
    fulls = before.get(family, _UNKNOWN).fulls if before else None
    return {
        "total": sum(states.values()) if seen else None,
        "states": states if seen else None,
        "entries": table.entries,
        "gc_thresh1": table.gc_thresh1,
        "gc_thresh2": table.gc_thresh2,
        "gc_thresh3": table.gc_thresh3,
        "usage": round(counted / table.gc_thresh3, 4) if counted is not None and table.gc_thresh3 else None,
        "table_fulls": table.fulls,
        "table_fulls_delta": None if fulls is None or table.fulls is None else max(0, table.fulls - fulls),
    }


def _interfaces(now: Sample) -> list[dict[str, Any]]:
    """The interfaces that have neighbours, those first whose neighbours fail to answer."""
    routed = {hop.ifindex for hop in now.routes.defaults}
    totals: dict[int, dict[str, int]] = {}
    for (__, ifindex, state), number in now.neighbours.counts.items():
        states = totals.setdefault(ifindex, {})
        states[state] = states.get(state, 0) + number
    rows = []
    for ifindex, states in totals.items():
        total = sum(states.values())
        failed, incomplete = states.get("failed", 0), states.get("incomplete", 0)
        rows.append(
            {
                "name": _name(now, ifindex),
                "total": total,
                "failed": failed,
                "incomplete": incomplete,
                "failing_share": round((failed + incomplete) / total, 4),
                "has_default_route": ifindex in routed,
                "examples": now.neighbours.examples.get(ifindex, []),
            }
        )
    return sorted(
        rows, key=lambda row: (-row["failed"] - row["incomplete"], not row["has_default_route"], -row["total"])
    )


def _filters(now: Sample) -> list[dict[str, Any]]:
    """``effective`` is the larger of ``all`` and the interface's own value (ip-sysctl).

    First come interfaces with a default route, then those whose own value is overruled, then strict ones.
    """
    overall = now.rp_filter.get(_ALL)
    routed = {hop.ifindex for hop in now.routes.defaults}
    rows = []
    for ifindex, value in now.rp_filter.items():
        if ifindex in now.names:
            effective = None if overall is None else max(value, overall)
            key = ifindex not in routed, effective == value, effective != 1, ifindex
            row = {"interface": _name(now, ifindex), "all": overall, "value": value, "effective": effective}
            rows.append((key, row))
    return [row for __, row in sorted(rows, key=lambda each: each[0])]
