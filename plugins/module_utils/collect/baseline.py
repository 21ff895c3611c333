# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has happened since the last run: counters that one run leaves for the next. Private to this collection.

As nstat(8) keeps a history, but of this boot, this namespace and this view of it only. Nothing is kept that a later run
would have to trust: whatever has another form is no baseline.
"""

from __future__ import annotations

import json
import os
import socket
import time
import zlib
from typing import Any, Callable, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect import conntrack, nic, routes, tcp
from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import (
    DAMAGE,
    Facts,
    Subset,
    Window,
    unavailable,
)
from ansible_collections.nettriage.linux.plugins.module_utils.collect.sockets_sample import Sample as Sockets
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import proc_net
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import sock_diag as diag
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import BadOption, Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, number, read_text, shown
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.own_files import Directory

FORMAT = 1
DIRECTORY = "/run/nettriage"
_ACCEPTED = "true, false, or the absolute path of a directory"
_WORDS = {
    "true": True,
    "yes": True,
    "on": True,
    "1": True,
    "false": False,
    "no": False,
    "off": False,
    "0": False,
    "": False,
}
# include/uapi/asm-generic/socket.h; asked for since Linux 5.14, and never given out twice.
_SO_NETNS_COOKIE = 71
_MAX_DEVICES = 512
_MAX_SOCKETS = 2000
_HALF_U32 = 1 << 31
_SHOWN = 3
_NO_FORM = (*DAMAGE, TypeError, AttributeError, RecursionError)

Kept = Dict[str, Any]


def wanted(option: Any) -> str | None:
    """The directory that the option ``baseline`` means, ``None`` where none is kept.

    :raises BadOption: it is neither a truth value nor an absolute path.
    :raises Unavailable: this user has no directory for such files.
    """
    value = _WORDS.get(str(option).lower(), option) if not isinstance(option, bool) else option
    if value is False or value is None:
        return None
    if isinstance(value, str) and value.startswith("/") and "\0" not in value:
        return value.rstrip("/") or "/"
    if value is not True:
        raise BadOption("baseline", option, _ACCEPTED)
    if os.geteuid() == 0:
        return DIRECTORY
    own = os.environ.get("XDG_RUNTIME_DIR") or f"/run/user/{os.geteuid()}"
    if not os.path.isdir(own):
        raise Unavailable(f"{DIRECTORY} is root's, and this user has no XDG_RUNTIME_DIR: name a directory")
    return os.path.join(own, "nettriage")


class Baseline:
    """The counters of the last run beside those of this one.

    :param option: the module's option.
    :param keep: whether this run leaves its own counters; in check mode it does not.
    :raises BadOption: the option cannot be used.
    """

    def __init__(self, host: Host, option: Any, keep: bool) -> None:
        self._host, self._keep = host, keep
        self._samples: dict[str, Any] = {}
        self._why: str | None = None
        self._directory: str | None = None
        try:
            self._directory = wanted(option)
        except Unavailable as error:
            self._why = str(error)

    def watch(self, subsets: dict[str, Subset]) -> dict[str, Subset]:
        """*subsets*, with the last sample of each that has counters remembered."""
        return {name: _Watched(name, subset, self._host, self._samples) if name in _PARTS else subset
                for name, subset in subsets.items()}  # fmt: skip

    def since(self, top: int) -> Facts | None:
        """The part ``since`` of the facts, ``None`` where none is wanted; and leave the counters for the next run."""
        if self._directory is None:
            return None if self._why is None else unavailable(f"baseline: {self._why}")
        try:
            identity = _identity(self._host)
            with Directory(self._directory, self._keep) as directory:
                name = _name(identity)
                try:
                    found = _compared(directory.read(name), identity, self._samples, top)
                except Unavailable as error:
                    found = unavailable(f"baseline: {error}")
                if self._keep:
                    directory.write(name, _packed(identity, self._samples))
        except Unavailable as error:
            return unavailable(f"baseline: {error}")
        return found


class _Watched:
    """A subset that leaves its last sample of the own namespace in *samples*."""

    def __init__(self, name: str, subset: Subset, host: Host, samples: dict[str, Any]) -> None:
        self._name, self._subset, self._host, self._samples = name, subset, host, samples
        self.baseline: Callable[[Host], Any] = getattr(subset, "baseline", subset.sample)

    def sample(self, host: Host) -> Any:
        now = self._subset.sample(host)
        if host is self._host:
            self._samples[self._name] = now
        return now

    def facts(self, host: Host, before: Any | None, now: Any, window: Window) -> Facts:
        return self._subset.facts(host, before, now, window)


# --- Which boot, namespace and view it is of ---


class _Identity(NamedTuple):
    boot_id: str
    procfs: str
    sysfs: str
    netns: int | None
    cookie: int | None
    uptime_s: float


def _identity(host: Host) -> _Identity:
    try:
        boot_id = read_text(host.proc("sys/kernel/random/boot_id")).strip()
        uptime = read_text(host.proc("uptime")).split()[0]
        seconds = number(uptime.partition(".")[0]) + number(uptime.partition(".")[2] or "0") / 100
    except (Unavailable, ValueError, IndexError) as error:
        raise Unavailable("neither boot id nor uptime are known, so nothing tells this boot from another") from error
    netns = cookie = None
    if host.live:
        try:
            netns = os.stat(host.proc("self", "ns", "net")).st_ino
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as any_socket:
                raw = any_socket.getsockopt(socket.SOL_SOCKET, _SO_NETNS_COOKIE, 8)
            cookie = int.from_bytes(raw, "little")
        except OSError:
            pass
    return _Identity(boot_id, os.path.abspath(host.procfs), os.path.abspath(host.sysfs), netns, cookie, seconds)


def _name(identity: _Identity) -> str:
    view = zlib.crc32(f"{identity.procfs}\n{identity.sysfs}".encode("utf-8", "surrogateescape"))
    return f"counters-{identity.netns or 0}-{view:08x}.json"


def _packed(identity: _Identity, samples: dict[str, Any]) -> bytes:
    kept = {name: keep(samples[name]) for name, (keep, __) in _PARTS.items() if name in samples}
    head = {"format": FORMAT, "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()), **identity._asdict()}
    return json.dumps({**head, "parts": kept}, separators=(",", ":")).encode("ascii")


def _compared(data: bytes | None, identity: _Identity, samples: dict[str, Any], top: int) -> Facts:
    """:raises Unavailable: there is nothing to compare with."""
    if data is None:
        raise Unavailable("no run has left its counters yet")
    try:
        kept = json.loads(data)
        before = _Identity(*(kept[name] for name in _Identity._fields))
        seconds = round(identity.uptime_s - before.uptime_s, 2)
        parts, known, at = kept["parts"], kept["format"], str(kept["at"])[:32]
        if not isinstance(parts, dict):
            raise ValueError
    except _NO_FORM as error:
        raise Unavailable("what the last run has left is damaged") from error
    if known != FORMAT:
        raise Unavailable(f"what the last run has left has format {known!r}, and this release has {FORMAT}")
    if before.boot_id != identity.boot_id:
        raise Unavailable("the host was booted since the last run")
    if before[1:5] != identity[1:5]:
        raise Unavailable("the last run saw another network namespace, which had the same number")
    if seconds <= 0:
        raise Unavailable("the clock since boot is not later than in the last run")
    found: Facts = {"available": True, "limited": [], "seconds": seconds, "at": at}
    for name, (__, compare) in _PARTS.items():
        if name not in samples:
            continue
        if name not in parts:
            found["limited"].append(f"{name}: the last run did not look at it")
            continue
        try:
            found[name] = compare(parts[name], samples[name], Window(seconds, top), found["limited"])
        except _NO_FORM:
            found["limited"].append(f"{name}: what the last run has left is damaged")
    return found


# --- What is kept of each subset, and how it compares ---


def _keep_tcp(now: tcp.Sample) -> Kept:
    return {"counters": now.counters, "softnet": now.softnet}


def _tcp(kept: Kept, now: tcp.Sample, window: Window, limited: list[str]) -> Facts:
    delta = proc_net.deltas(kept["counters"], now.counters)
    back = [
        f"{group}.{name}"
        for group, table in delta.items()
        for name, change in table.items()
        if change is None and name in kept["counters"].get(group, {})
    ]
    if back:
        limited.append(f"tcp: {len(back)} counters were reset or have wrapped, such as {', '.join(back[:_SHOWN])}")
    rows = [proc_net.Softnet(*row) for row in kept["softnet"]]
    moved = {group: {name: change for name, change in table.items() if change != 0} for group, table in delta.items()}
    return {
        "delta": {group: table for group, table in moved.items() if table},
        "derived": tcp.derived(delta, window.seconds, now),
        "softnet": tcp.softnet(rows, now.softnet, window) if rows and now.softnet else None,
    }


def _keep_nic(now: nic.Sample) -> Kept:
    kept = {}
    for index, device in sorted(now.devices.items())[:_MAX_DEVICES]:
        qdiscs = (now.qdiscs or {}).get(index, [])
        kept[str(index)] = {
            "name": device.link.name.encode("utf-8", "surrogateescape").hex(),
            "counters": device.link.counters,
            "carrier_changes": device.link.carrier_changes,
            "statistics": device.statistics,
            "qdiscs": {f"{each.kind} {each.handle} {each.parent}": each.drops for each in qdiscs},
        }
    return kept


def _nic(kept: Kept, now: nic.Sample, window: Window, limited: list[str]) -> Facts:
    devices, qdiscs, new, anew = {}, {}, [], []
    for index, device in now.devices.items():
        past = kept.get(str(index))
        name = device.link.name
        if past is None or bytes.fromhex(past["name"]).decode("utf-8", "surrogateescape") != name:
            new.append(shown(name))
            continue
        if any(value < past["counters"].get(counter, 0) for counter, value in device.link.counters.items()):
            anew.append(shown(name))
            continue
        link = device.link._replace(counters=past["counters"], carrier_changes=past["carrier_changes"])
        devices[index] = device._replace(link=link, statistics=past["statistics"])
        rows = [
            each._replace(drops=past["qdiscs"][f"{each.kind} {each.handle} {each.parent}"])
            for each in (now.qdiscs or {}).get(index, [])
            if f"{each.kind} {each.handle} {each.parent}" in past["qdiscs"]
        ]
        qdiscs[index] = rows
    for names, what in ((new, "were not there in the last run"), (anew, "have counters that began anew since then")):
        if names:
            limited.append(f"nic: {len(names)} of {len(now.devices)} {what}: {', '.join(names[:_SHOWN])}")
    before = now._replace(devices=devices, qdiscs=qdiscs)
    found = nic.interfaces(before, now, window, [])
    return {"interfaces": [_without_totals(row) for row in found["interfaces"] if _moved(row)]}


def _moved(row: Facts) -> bool:
    drops = [each["drops_delta"] or 0 for each in row["qdisc"] or []]
    return any((row["errors_delta"] or {}).values()) or bool(row["carrier_changes_delta"]) or any(drops)


def _without_totals(row: Facts) -> Facts:
    return {key: value for key, value in row.items() if key not in ("counters", "errors")}


def _keep_conntrack(now: conntrack.Sample) -> Kept:
    return {"source": now.source, "stats": {str(cpu): row for cpu, row in now.stats.items()}}


def _conntrack(kept: Kept, now: conntrack.Sample, window: Window, limited: list[str]) -> Facts:
    past = {int(cpu): row for cpu, row in kept["stats"].items()}
    if kept["source"] != now.source or not past:
        return {"delta": None}
    for cpu, row in now.stats.items():
        # A counter of 32 bits that was small cannot have wrapped.
        if any(value < past.get(cpu, {}).get(name, 0) < _HALF_U32 for name, value in row.items()):
            limited.append("conntrack: its counters began anew since the last run")
            return {"delta": None}
    return {"delta": conntrack.changes(past, now.stats)}


def _keep_sockets(now: Sockets) -> Kept:
    listeners = [(one.cookie, one.drops) for one in now.listeners if one.drops]
    udp = [(one.cookie, one.drops) for one in (now.udp[1] if now.udp else []) if one.drops]
    return {"source": now.source, "listeners": listeners[:_MAX_SOCKETS], "udp": udp[:_MAX_SOCKETS],
            "cut": max(len(listeners), len(udp)) > _MAX_SOCKETS}  # fmt: skip


def _sockets(kept: Kept, now: Sockets, window: Window, limited: list[str]) -> Facts:
    if kept["source"] != now.source or kept["cut"]:
        limited.append("sockets: the drops of sockets were not all seen in the last run")
        return {}
    rows = {}
    for name, found in (("listeners", now.listeners), ("udp", now.udp[1] if now.udp else [])):
        drops = dict(kept[name])
        rows[name] = [
            {
                "address": diag.address(one.family, one.source),
                "port": one.port,
                "drops_delta": (one.drops - drops.get(one.cookie, 0)) & 0xFFFFFFFF,
            }
            for one in found
            if one.drops is not None and one.drops != drops.get(one.cookie, 0)
        ]
        rows[name].sort(key=lambda row: -row["drops_delta"])
        del rows[name][window.top :]
    return {"tcp": {"listeners": rows["listeners"]}, "udp": {"sockets": rows["udp"]}}


def _keep_routes(now: routes.Sample) -> Kept:
    return {str(family): table.fulls for family, table in now.tables.items()}


def _routes(kept: Kept, now: routes.Sample, window: Window, limited: list[str]) -> Facts:
    names = {socket.AF_INET.value: "ipv4", socket.AF_INET6.value: "ipv6"}
    found: Facts = {}
    for family, table in now.tables.items():
        past = kept.get(str(family))
        if family in names and past is not None and table.fulls is not None and table.fulls >= past:
            found[names[family]] = {"table_fulls_delta": table.fulls - past}
    return {"neighbours": found}


_PARTS: dict[str, tuple[Callable[[Any], Kept], Callable[[Any, Any, Window, list[str]], Facts]]] = {
    "tcp": (_keep_tcp, _tcp),
    "nic": (_keep_nic, _nic),
    "conntrack": (_keep_conntrack, _conntrack),
    "sockets": (_keep_sockets, _sockets),
    "routes": (_keep_routes, _routes),
}
