# SPDX-FileCopyrightText: nettriage maintainers
# SPDX-License-Identifier: GPL-3.0-or-later
"""Connection tracking: how full, what it drops, how long it remembers. Private to this collection."""

from __future__ import annotations

import os
from typing import Any, Dict, NamedTuple

from ansible_collections.nettriage.linux.plugins.module_utils.collect.gather import Facts, Window
from ansible_collections.nettriage.linux.plugins.module_utils.kernel import ctnetlink, proc_net
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.errors import Unavailable
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.host import Host, read_int, read_text
from ansible_collections.nettriage.linux.plugins.module_utils.kernel.netlink import NETLINK_NETFILTER, Netlink

Stats = Dict[int, Dict[str, int]]

# Where the sysctls are, and what their names begin with: the present place and those of old kernels.
_SYSCTLS = (("sys/net/netfilter", "nf_conntrack_"), ("sys/net/ipv4/netfilter", "ip_conntrack_"))
_OLDER_MAX = ("sys/net/nf_conntrack_max", "sys/net/ipv4/ip_conntrack_max")
_STAT_FILES = ("stat/nf_conntrack", "stat/ip_conntrack")

# One file's names for what netlink calls otherwise.
_RENAMED = {"icmp_error": "error", "clashres": "clash_resolve", "chainlength": "chaintoolong"}
# No longer counted since Linux 4.7 (``ignore`` since 5.10), but the file still prints zeros for them.
_RETIRED = ("searched", "new", "ignore", "delete", "delete_list")
_NOT_COUNTERS = ("entries", "expect_new", "expect_create", "expect_delete")

# struct nf_conn and the 128 bytes that any extension allocates first; a bucket is one pointer.
_ENTRY_BYTES = 256 + 128
_BUCKET_BYTES = 8


class Sample(NamedTuple):
    """One reading; ``in_use`` false where the module is not loaded, and then nothing else is known."""

    in_use: bool
    source: str | None = None
    entries: int | None = None
    limit: int | None = None
    buckets: int | None = None
    timeouts: dict[str, int] = {}
    stats: Stats = {}
    limited: list[str] = []


def sample(host: Host) -> Sample:
    """Only files are looked at until it is clear that asking loads no module."""
    place = _place(host)
    if place is None:
        return Sample(False)
    directory, prefix = place
    limited: list[str] = []
    count, maximum = read_int(f"{directory}/{prefix}count"), read_int(f"{directory}/{prefix}max")
    for path in _OLDER_MAX:
        maximum = read_int(host.proc(path)) if maximum is None else maximum
    stats: Stats = {}
    source = "netlink"
    try:
        ctnetlink.require(host)
        with Netlink(NETLINK_NETFILTER) as link:
            stats = ctnetlink.per_cpu(link)
            if count is None or maximum is None:
                entries, most = ctnetlink.entries_and_max(link)
                count, maximum = entries if count is None else count, most if maximum is None else maximum
    except Unavailable:
        source, stats = "procfs", _stats_of_file(host, limited)
    if count is None:
        limited.append("the number of tracked connections can be read neither from /proc/sys nor by netlink")
    return Sample(
        True,
        source,
        count,
        maximum,
        read_int(f"{directory}/{prefix}buckets"),
        _timeouts(directory, prefix),
        stats,
        limited,
    )


def facts(host: Host, before: Sample | None, now: Sample, window: Window) -> Facts:
    if not now.in_use:
        return {"available": True, "limited": [], "in_use": False}
    stats = _sum(now.stats.values())
    # Counts that came by different ways would be compared with each other.
    comparable = before is not None and before.source == now.source and bool(before.stats)
    delta = changes(before.stats, now.stats) if before is not None and comparable else None
    return {
        "available": True,
        "limited": now.limited,
        "in_use": True,
        "source": now.source,
        "count": now.entries,
        "max": now.limit,
        "usage": _ratio(now.entries, now.limit),
        "buckets": now.buckets,
        "entries_per_bucket": _ratio(now.limit, now.buckets),
        "stats": stats,
        "delta": delta,
        "rates": {n: proc_net.per_second(d, window.seconds) for n, d in delta.items()} if delta else None,
        "timeouts": now.timeouts,
        "memory_estimate_bytes": (
            None if now.limit is None else now.limit * _ENTRY_BYTES + (now.buckets or 0) * _BUCKET_BYTES
        ),
    }


def _place(host: Host) -> tuple[str, str] | None:
    for directory, prefix in _SYSCTLS:
        if any(os.path.exists(host.proc(directory, prefix + name)) for name in ("max", "count")):
            return host.proc(directory), prefix
    # Without the sysctls the statistics still tell that the module is there.
    if any(os.path.exists(host.net(name)) for name in _STAT_FILES):
        return host.proc(_SYSCTLS[0][0]), _SYSCTLS[0][1]
    return None


def _timeouts(directory: str, prefix: str) -> dict[str, int]:
    """``nf_conntrack_tcp_timeout_close_wait`` as ``tcp_close_wait_s``."""
    found: dict[str, int] = {}
    try:
        names = sorted(os.listdir(directory))
    except OSError:
        names = []
    for name in names:
        if name.startswith(prefix) and "_timeout" in name and not name.startswith(prefix + "frag6"):
            value = read_int(f"{directory}/{name}")
            if value is not None:
                found[name[len(prefix) :].replace("_timeout", "") + "_s"] = value
    return found


def _stats_of_file(host: Host, limited: list[str]) -> Stats:
    reasons = []
    for name in _STAT_FILES:
        try:
            rows, damage = proc_net.cpu_table(read_text(host.net(name)))
        except Unavailable as error:
            reasons.append(str(error))
            continue
        limited += [f"{name}: {sentence}" for sentence in damage]
        return {cpu: _counters(row) for cpu, row in enumerate(rows)}
    limited.append(f"statistics: {reasons[0]}, and netlink does not tell them either")
    return {}


def _counters(row: dict[str, int]) -> dict[str, int]:
    return {
        _RENAMED.get(name, name): value
        for name, value in row.items()
        if name not in _NOT_COUNTERS and (value or name not in _RETIRED)
    }


def changes(before: Stats, now: Stats) -> dict[str, int | None]:
    """The change over all CPUs; ``None`` for what cannot be compared on any of them."""
    result: dict[str, int | None] = {}
    for cpu, row in now.items():
        for name, value in row.items():
            change = proc_net.wrapped_u32(before.get(cpu, {}).get(name), value)
            known = result.get(name)
            result[name] = known if change is None else change + (known or 0)
    return result


def _sum(rows: Any) -> dict[str, int]:
    total: dict[str, int] = {}
    for row in rows:
        for name, value in row.items():
            total[name] = total.get(name, 0) + value
    return total


def _ratio(part: int | None, whole: int | None) -> float | None:
    return None if part is None or not whole else round(part / whole, 4)
