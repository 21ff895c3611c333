# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Interfaces: links, their counters, their drivers and their queues. Private to this collection."""

from __future__ import annotations

from typing import Any, Callable, Iterable, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect import nic_statistics
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window, gather
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import qdisc, rtnetlink
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.ethtool import (
    Channels,
    Driver,
    Ethtool,
    Rings,
    Settings,
    down_reasons,
)
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.proc_net import group_deltas, per_second
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.qdisc import Qdisc
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.rtnetlink import Link

_SHOWN_UPPERS = 8
_SHOWN_ADDRESSES = 10
_SHOWN_NAMES = 20
_SHOWN_STATISTICS = 12
_PHYSICAL_ERRORS = ("crc", "frame", "length")
_TUNNELS = (
    "gre", "gretap", "ip6gre", "ip6gretap", "erspan", "ip6erspan", "ipip", "sit", "ip6tnl", "vti", "vti6", "xfrm",
    "vxlan", "geneve", "wireguard", "gtp", "bareudp", "amt", "ovpn", "l2tpeth",
)  # fmt: skip
# ARPHRD_* of interfaces without rtnl_link_ops: tunnel, tunnel6, sit, ipddp, ipgre, ip6gre, void, none
_TUNNEL_TYPES = (768, 769, 776, 777, 778, 823, 65535, 65534)


class Device(NamedTuple):
    """One interface and what its driver told. ``None`` is what the driver does not support.

    :ivar virtual: there is no device below; ``None`` where that could not be seen.
    """

    link: Link
    virtual: bool | None
    driver: Driver | None = None
    settings: Settings | None = None
    rings: Rings | None = None
    channels: Channels | None = None
    statistics: dict[str, int] | None = None


class Sample(NamedTuple):
    """One reading, by interface index.

    :ivar routed: interfaces that a default route leads out of. ``None``, here and below, is unknown.
    """

    devices: dict[int, Device]
    addresses: dict[int, list[str]] | None
    routed: set[int] | None
    qdiscs: dict[int, list[Qdisc]] | None
    down: dict[int, str]
    limited: list[str]


def baseline(host: Host) -> Sample:
    """What a first sample needs: the counters. A router's many routes are walked once, for the last sample."""
    return sample(host, counters_only=True)


def sample(host: Host, counters_only: bool = False) -> Sample:
    """:raises Unavailable: neither rtnetlink nor ``/proc/net/dev`` answers."""
    try:
        host.require_live("interfaces")
        return _ask(counters_only)
    except Unavailable as error:
        # Few hosts need the fallback, and every import costs each host.
        from ansible_collections.nettriage.linux.plugins.module_utils.kernel import netdev_files

        devices, limited = netdev_files.read(host)
        return Sample(
            {each.link.ifindex: Device(each.link, each.virtual, settings=each.settings) for each in devices},
            None,
            netdev_files.routed(host, [each.link for each in devices]),
            None,
            {},
            [f"{error}; addresses, drivers, rings, queues and qdiscs are not known", *limited],
        )


def _ask(counters_only: bool) -> Sample:
    limited: list[str] = []

    def consistent(name: str, answer: tuple[Any, bool]) -> Any:
        if answer[1]:
            limited.append(f"{name}: changed while they were read, so one may be missing or there twice")
        return answer[0]

    def optional(name: str, ask: Callable[[], tuple[Any, bool]]) -> Any:
        try:
            return consistent(name, ask())
        except Unavailable as error:
            limited.append(f"{name}: {error}")
            return None

    with rtnetlink.open_route() as link:
        found = consistent("interfaces", rtnetlink.links(link))
        addresses = None if counters_only else optional("addresses", lambda: rtnetlink.addresses(link))
        routes = None if counters_only else optional("routes", lambda: rtnetlink.routes(link))
        qdiscs = optional("qdiscs", lambda: qdisc.qdiscs(link))
    with Ethtool() as ethtool:
        devices = {each.ifindex: _device(ethtool, each) for each in found}
    return Sample(
        devices,
        None if addresses is None else {index: [each.text for each in of] for index, of in _by_index(addresses)},
        None if routes is None else {hop.ifindex for hop in routes.defaults if hop.ifindex is not None},
        None if qdiscs is None else dict(_by_index(qdiscs)),
        {} if counters_only else _reasons(devices),
        limited,
    )


def _by_index(rows: list[Any]) -> Iterable[tuple[int, list[Any]]]:
    grouped: dict[int, list[Any]] = {}
    for row in rows:
        grouped.setdefault(row.ifindex, []).append(row)
    return grouped.items()


def _device(ethtool: Ethtool, link: Link) -> Device:
    driver = ethtool.driver(link.name)
    # Before Linux 5.14 the link does not tell its device. A bus does, except that of tun.
    virtual = not link.parent and (link.kind is not None or not (driver and driver.bus))
    device = Device(link, virtual, driver, ethtool.settings(link.name))
    if virtual:
        return device
    statistics = ethtool.statistics(link.name, driver.statistics) if driver else None
    return device._replace(
        rings=ethtool.rings(link.name),
        channels=ethtool.channels(link.name),
        statistics=nic_statistics.classified(*statistics) if statistics else None,
    )


def _reasons(devices: dict[int, Device]) -> dict[int, str]:
    if not any(device.link.carrier is False and device.virtual is False for device in devices.values()):
        return {}
    try:
        return down_reasons()
    except Unavailable:
        return {}


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    return interfaces(before, now, window, [])


def interfaces(before: Sample | None, now: Sample, window: Window, names: list[str]) -> Facts:
    """The rows of *names*, or the most telling ones of all interfaces.

    First come those that carry the host's traffic: hardware that is switched on and whatever a default route uses.
    """
    ports: dict[int, int] = {}
    above: dict[int, list[int]] = {}
    for device in now.devices.values():
        if device.link.master is not None:
            ports[device.link.master] = ports.get(device.link.master, 0) + 1
        for lower, upper in ((device.link.ifindex, device.link.master), (device.link.lower, device.link.ifindex)):
            if lower and upper in now.devices:
                above.setdefault(lower, []).append(upper)
    rows = [
        {
            **_row(device, ports.get(device.link.ifindex, 0), before, now, window.seconds),
            "uppers": [shown(now.devices[index].link.name) for index in _uppers(device.link.ifindex, above)],
        }
        for device in now.devices.values()
        if not names or shown(device.link.name) in names
    ]
    rows.sort(key=_importance)
    kept = rows if names else rows[: window.top]
    limited = list(now.limited)
    if len(kept) < len(rows):
        limited.append(f"{len(rows) - len(kept)} of {len(rows)} interfaces are not shown: top is {window.top}")
    return {"available": True, "limited": limited, "interfaces_total": len(now.devices), "interfaces": kept}


def _uppers(ifindex: int, above: dict[int, list[int]]) -> list[int]:
    """What lies upon an interface, nearest first: bridges, bonds, VLANs, and what lies upon them."""
    found: list[int] = [ifindex]
    for index in found:
        if len(found) > _SHOWN_UPPERS:
            break
        found += [upper for upper in above.get(index, ()) if upper not in found]
    return found[1 : _SHOWN_UPPERS + 1]


def _importance(row: dict[str, Any]) -> tuple[Any, ...]:
    """Smaller is more important."""
    errors = row["errors_delta"] or {}
    moving = sum(value or 0 for name, value in errors.items() if name != "dropped")
    dropped = (errors.get("dropped") or 0) + sum(each["drops_delta"] or 0 for each in row["qdisc"] or [])
    use = max(row["utilisation"]["rx"] or 0, row["utilisation"]["tx"] or 0)
    return (
        not (row["has_default_route"] or (row["virtual"] is False and row["admin_up"])),
        not (row["admin_up"] and row["carrier"] is False),
        -moving,
        -(row["carrier_changes_delta"] or 0),
        -dropped,
        -use,
        -sum(value or 0 for value in row["errors"].values()),
        row["kind"] == "loopback",
        -sum(row["counters"].get(name) or 0 for name in ("rx_bytes", "tx_bytes")),
        row["index"],
    )


def _row(device: Device, ports: int, before: Sample | None, now: Sample, seconds: float | None) -> dict[str, Any]:
    link, virtual, driver, settings, rings, channels, statistics = device
    first = before.devices.get(link.ifindex) if before else None
    # Another interface may have got the index in between.
    first = first if first and first.link.name == link.name else None
    delta = group_deltas("", first.link.counters, link.counters) if first else None
    change = _changed(first.statistics, statistics) if first else None
    errors = nic_statistics.errors(link.counters, statistics)
    errors_delta = nic_statistics.errors(_known(delta), change) if delta is not None else None
    speed = settings.speed_mbps if settings else None
    rx, tx = (_mbps(delta, name, seconds) for name in ("rx_bytes", "tx_bytes"))
    addresses = None if now.addresses is None else now.addresses.get(link.ifindex, [])
    master = now.devices.get(link.master) if link.master else None
    changes = first.link.carrier_changes if first else None
    kind = _kind(link, virtual)
    return {
        "name": shown(link.name),
        "index": link.ifindex,
        "kind": kind,
        "virtual": virtual,
        "admin_up": None if link.flags is None else bool(link.flags & rtnetlink.IFF_UP),
        "operstate": link.operstate,
        "carrier": link.carrier,
        "carrier_changes": link.carrier_changes,
        "carrier_changes_delta": _difference(changes, link.carrier_changes),
        "down_reason": now.down.get(link.ifindex),
        "speed_mbps": speed,
        "best_speed_mbps": settings.best_speed_mbps if settings else None,
        "duplex": settings.duplex if settings else None,
        "autonegotiation": settings.autonegotiation if settings else None,
        "mtu": link.mtu,
        "driver": driver.name if driver else None,
        "bus": (driver.bus if driver else None) or link.parent,
        "master": shown(master.link.name) if master else None,
        "ports": ports if ports or kind in ("bridge", "bond", "team") else None,
        "addresses": None if addresses is None else addresses[:_SHOWN_ADDRESSES],
        "addresses_total": None if addresses is None else len(addresses),
        "counters": link.counters,
        "delta": delta,
        "rates": {name: per_second(value, seconds) for name, value in delta.items() if value} if delta else None,
        "errors": errors,
        "errors_delta": errors_delta,
        "ethtool": None if statistics is None else _telling(statistics, change),
        "ring": rings._asdict() if rings else None,
        "queues": channels._asdict() if channels else None,
        "qdisc": _qdiscs(link.ifindex, before if first else None, now),
        "utilisation": {"rx": _share(rx, speed), "tx": _share(tx, speed)},
        "rx_mbps": rx,
        "tx_mbps": tx,
        "error_ratio": _error_ratio(errors_delta, delta),
        "has_default_route": None if now.routed is None else link.ifindex in now.routed,
    }


def _kind(link: Link, virtual: bool | None) -> str | None:
    if link.type == rtnetlink.ARPHRD_LOOPBACK:
        return "loopback"
    if virtual is False:
        return "physical"
    if link.kind in _TUNNELS or (not link.kind and link.type in _TUNNEL_TYPES):
        return "tunnel"
    return link.kind or ("other" if virtual else None)


def _difference(first: int | None, now: int | None) -> int | None:
    return None if first is None or now is None or now < first else now - first


def _changed(first: dict[str, int] | None, now: dict[str, int] | None) -> dict[str, int] | None:
    if first is None or now is None:
        return None
    return {name: now[name] - value for name, value in first.items() if name in now and now[name] >= value}


def _known(values: dict[str, int | None]) -> dict[str, int]:
    return {name: value for name, value in values.items() if value is not None}


def _mbps(delta: dict[str, int | None] | None, name: str, seconds: float | None) -> float | None:
    number = delta.get(name) if delta else None
    return None if number is None or not seconds else round(number * 8 / seconds / 1e6, 3)


def _share(mbps: float | None, speed: int | None) -> float | None:
    return None if mbps is None or not speed else round(mbps / speed, 4)


def _error_ratio(errors: dict[str, int | None] | None, delta: dict[str, int | None] | None) -> float | None:
    """Physical errors of the interval ÷ packets received in it; 1 where nothing but errors arrived."""
    if errors is None or delta is None:
        return None
    bad = sum(errors[name] or 0 for name in _PHYSICAL_ERRORS)
    good = delta.get("rx_packets")
    if not good:
        return 1.0 if bad and good == 0 else None
    return round(bad / good, 6)


def _telling(statistics: dict[str, int], change: dict[str, int] | None) -> dict[str, Any]:
    """The classified statistics that are not zero; those that moved come first."""
    moved = change or {}
    worst = sorted(filter(statistics.get, statistics), key=lambda name: (-moved.get(name, 0), -statistics[name]))
    worst = worst[:_SHOWN_STATISTICS]
    return {
        "statistics": {name: statistics[name] for name in worst},
        "delta": None if change is None else {name: moved[name] for name in worst if moved.get(name)},
    }


def _qdiscs(ifindex: int, before: Sample | None, now: Sample) -> list[dict[str, Any]] | None:
    """The root and ingress qdiscs. Their numbers contain those of the qdiscs below: only the worst one is named."""
    if now.qdiscs is None:
        return None
    first_rows = before.qdiscs.get(ifindex, []) if before and before.qdiscs else []
    earlier = {(each.kind, each.handle, each.parent): each for each in first_rows}

    def described(each: Qdisc) -> dict[str, Any]:
        first = earlier.get((each.kind, each.handle, each.parent))
        return {
            "kind": each.kind,
            "handle": each.handle,
            "parent": each.parent,
            "packets": each.packets,
            "drops": each.drops,
            "drops_delta": _difference(first.drops if first else None, each.drops),
            "overlimits": each.overlimits,
            "requeues": each.requeues,
            "backlog_bytes": each.backlog_bytes,
            "backlog_packets": each.backlog_packets,
        }

    every = [described(each) for each in now.qdiscs.get(ifindex, [])]
    roots = [each for each in every if each["parent"] in ("root", "ingress")]
    below = [each for each in every if each["parent"] not in ("root", "ingress")]
    for root in roots:
        if root["parent"] == "root" and below:
            worst = max(below, key=lambda each: (each["drops_delta"] or 0, each["backlog_bytes"], each["drops"]))
            root["below"] = len(below)
            root["worst_below"] = worst if worst["drops"] or worst["backlog_bytes"] else None
    return roots


class _Named:
    """The subset, with only some interfaces in it. :ivar present: the names of all that are there."""

    def __init__(self, names: list[str]) -> None:
        self.names = names
        self.present: list[str] | None = None

    def baseline(self, host: Host) -> Sample:
        return baseline(host)

    def sample(self, host: Host) -> Sample:
        return sample(host)

    def facts(self, host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
        self.present = sorted(shown(device.link.name) for device in now.devices.values())
        return interfaces(before, now, window, self.names)


def nic_health(host: Host, params: dict[str, Any]) -> Facts:
    """What the module of that name returns.

    :raises BadOption: an interface that is not there is asked for.
    """
    subset = _Named(params["interfaces"])
    found = gather(host, {"nic": subset}, params["interval"], params["top"])["nic"]
    for name in subset.names:
        if subset.present is not None and name not in subset.present:
            listed = ", ".join(subset.present[:_SHOWN_NAMES]) + (", ..." if len(subset.present) > _SHOWN_NAMES else "")
            raise BadOption("interfaces", name, f"names of interfaces that are there: {listed}")
    return {"interfaces": [], **found}
